"""Heads fitted to embeddings: the least of what they claim to make least, near the prototypes where there is little."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from galaxalign.align.fitting import DRAW, MANY, fit_head

CLASSES, WIDTH = 3, 6
OFFSETS = np.array([0.0, 0.3, 0.7])


def galaxies(counts, seed=0):
    """Unit-length embeddings around a direction a class, and labels."""
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    vectors = generator.normal(size=(len(counts), WIDTH))[labels] + generator.normal(size=(len(labels), WIDTH))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), labels


def prototypes():
    return 5 * np.random.default_rng(9).normal(size=(CLASSES, WIDTH))


def test_around_nothing_it_is_a_regularised_logistic_regression():
    vectors, labels = galaxies([40, 25, 8])
    weights, bias = fit_head(vectors, labels, np.zeros((CLASSES, WIDTH)), np.zeros(CLASSES))
    # The bias is drawn as weights are: one of a column of ones.
    columns = np.concatenate([vectors, np.ones((len(labels), 1))], axis=1)
    strength = DRAW * (MANY / len(labels)) ** 2
    known = LogisticRegression(C=1 / strength, fit_intercept=False, max_iter=10000, tol=1e-9)
    share = 1 / np.sqrt(np.bincount(labels)[labels])
    known.fit(columns, labels, sample_weight=share / share.sum())
    ours = columns @ np.c_[weights, bias].T
    # Adding one number to all scores of a galaxy changes no probability.
    expected = known.decision_function(columns)
    assert np.allclose(ours - ours.mean(1, keepdims=True), expected - expected.mean(1, keepdims=True), atol=2e-2)


@pytest.mark.parametrize("counts", [[0, 0, 0], [4, 0, 0]])
def test_nothing_to_tell_apart_leaves_the_prototypes(counts):
    weights, bias = fit_head(*galaxies(counts), prototypes(), OFFSETS)
    assert np.array_equal(weights, prototypes())
    assert np.array_equal(bias, OFFSETS)


def test_a_class_without_galaxies_keeps_its_prototype():
    vectors, labels = galaxies([60, 0, 60])
    weights, bias = fit_head(vectors, labels, prototypes(), OFFSETS)
    assert np.array_equal(weights[1], prototypes()[1])
    assert bias[1] == OFFSETS[1]
    assert np.abs(weights[[0, 2]] - prototypes()[[0, 2]]).max() > 0.1


def test_many_galaxies_move_what_few_do_not():
    def moved(count):
        return np.abs(fit_head(*galaxies([count] * CLASSES), prototypes(), OFFSETS)[0] - prototypes()).max()

    assert 5 * moved(3) < moved(300)


def test_many_galaxies_are_told_apart_better_than_by_wrong_prototypes():
    vectors, labels = galaxies([300] * CLASSES)
    seen, new = np.arange(len(labels)) % 2 == 0, np.arange(len(labels)) % 2 == 1
    weights, bias = fit_head(vectors[seen], labels[seen], prototypes(), OFFSETS)
    before = ((vectors[new] @ prototypes().T).argmax(1) == labels[new]).mean()
    after = ((vectors[new] @ weights.T + bias).argmax(1) == labels[new]).mean()
    assert after > before + 0.2


def test_a_fit_that_ends_before_its_minimum_says_so(monkeypatch, caplog):
    fit_head(*galaxies([40, 25, 8]), prototypes(), OFFSETS)
    assert not caplog.records
    monkeypatch.setattr("galaxalign.align.fitting.LARGEST_ITERATIONS", 1)
    fit_head(*galaxies([40, 25, 8]), prototypes(), OFFSETS)
    assert "fit to 73 galaxies ended before its minimum" in caplog.text


def test_offsets_are_what_the_bias_begins_at_and_is_drawn_to():
    vectors, labels = galaxies([40, 25, 8])
    at_zero = fit_head(vectors, labels, prototypes(), np.zeros(CLASSES))
    far = 50.0
    weights, bias = fit_head(vectors, labels, prototypes(), np.full(CLASSES, far))
    # The same offset of every class changes no probability.
    assert np.allclose(bias - far, at_zero[1], atol=1e-6)
    assert np.allclose(weights, at_zero[0], atol=1e-6)
    shifted = fit_head(vectors, labels, prototypes(), OFFSETS)[1]
    assert np.abs(shifted - at_zero[1]).max() > 1e-3
