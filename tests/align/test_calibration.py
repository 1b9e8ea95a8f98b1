import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from galaxalign.align.calibration import fit_temperature
from galaxalign.evaluate.metrics import expected_calibration_error


def drawn(seed, count=4000, classes=5, spread=2.0):
    """Scores, and labels drawn with just the probabilities that the scores state."""
    generator = np.random.default_rng(seed)
    scores = spread * generator.normal(size=(count, classes))
    labels = (softmax(scores, axis=1).cumsum(axis=1) < generator.random((count, 1))).sum(axis=1)
    return scores, np.minimum(labels, classes - 1)


def loss(scores, labels, temperature):
    return -log_softmax(scores / temperature, axis=1)[np.arange(len(labels)), labels].mean()


@pytest.mark.parametrize("factor", [0.3, 1.0, 4.0])
def test_the_temperature_that_scores_were_multiplied_by_is_found(factor):
    scores, labels = drawn(0)
    assert fit_temperature(factor * scores, labels) == pytest.approx(factor, rel=0.05)


@pytest.mark.parametrize("seed", range(5))
def test_no_other_temperature_is_likelier(seed):
    scores, labels = drawn(seed, count=60, spread=3.0)
    labels[:10] = (labels[:10] + 1) % 5
    best = fit_temperature(scores, labels)
    others = np.geomspace(0.05, 20, 400)
    assert loss(scores, labels, best) <= min(loss(scores, labels, other) for other in others) + 1e-12


def test_scores_shifted_galaxy_by_galaxy_have_the_same_temperature():
    scores, labels = drawn(1, count=200)
    shifted = scores + np.random.default_rng(2).normal(0, 300, (200, 1))
    assert fit_temperature(shifted, labels) == pytest.approx(fit_temperature(scores, labels), rel=1e-6)


def test_scores_that_say_nothing_or_the_contrary_are_flattened_and_faint_ones_sharpened():
    scores, labels = drawn(3, count=300)
    assert fit_temperature(-50 * scores, labels) == 20.0
    assert fit_temperature(1e-3 * scores, labels) == 0.05


def test_where_nothing_bounds_the_temperature_scores_stay_as_they_are():
    assert fit_temperature(np.empty((0, 3)), np.empty(0, dtype=int)) == 1.0
    assert fit_temperature(np.eye(3), np.arange(3)) == 1.0
    assert fit_temperature(np.ones((4, 1)), np.zeros(4, dtype=int)) == 1.0
    with pytest.raises(ValueError, match="finite"):
        fit_temperature(np.array([[np.nan, 0.0]]), np.array([0]))


def test_calibration_lowers_the_error_of_scores_that_are_too_sure():
    scores, labels = drawn(4)
    fitted, held = slice(0, 2000), slice(2000, None)
    temperature = fit_temperature(5 * scores[fitted], labels[fitted])
    before = expected_calibration_error(softmax(5 * scores[held], axis=1), labels[held])
    after = expected_calibration_error(softmax(5 * scores[held] / temperature, axis=1), labels[held])
    assert before > 0.15
    assert after < 0.04
