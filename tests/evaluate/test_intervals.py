"""Intervals that hold what they promise."""

import math
import time

import numpy as np
import pytest
from scipy.stats import binom

from galaxalign.evaluate.intervals import bootstrap, wilson
from galaxalign.evaluate.metrics import confusion, macro_f1


def test_wilson_by_hand():
    # Newcombe (1998, Statistics in Medicine 17, 857), table I: 81 of 263 and 0 of 20.
    estimate = wilson(81, 263)
    assert (round(estimate.low, 4), round(estimate.high, 4)) == (0.2553, 0.3662)
    estimate = wilson(0, 20)
    assert (round(estimate.low, 4), round(estimate.high, 4)) == (0.0, 0.1611)


def test_wilson_is_symmetric_and_stays_in_bounds():
    for successes in range(11):
        one, other = wilson(successes, 10), wilson(10 - successes, 10)
        assert one.low == pytest.approx(1 - other.high)
        assert 0 <= one.low <= one.value <= one.high <= 1


def test_wilson_covers_a_binomial():
    share, n = 0.8, 60
    covered = sum(binom.pmf(k, n, share) for k in range(n + 1) if wilson(k, n).low <= share <= wilson(k, n).high)
    assert 0.93 < covered < 0.97


def test_nothing_to_judge_is_null():
    assert wilson(0, 0).to_dict() == {"value": None, "low": None, "high": None, "n": 0}
    assert math.isnan(wilson(0, 0).value)


def test_bootstrap_of_a_share_covers_a_binomial():
    generator = np.random.default_rng(0)
    labels = np.zeros(100, dtype=np.int64)
    covered = 0
    for trial in range(200):
        right = (generator.random(100) < 0.7).astype(float)
        low, high = bootstrap(
            lambda rows, right=right: right[rows].mean(1, keepdims=True), labels, resamples=300, seed=trial
        )
        covered += bool(low[0] <= 0.7 <= high[0])
    assert 0.89 <= covered / 200 <= 0.99


def test_bootstrap_keeps_the_number_of_each_class_and_repeats_with_its_seed():
    labels = np.array([0] * 7 + [1] * 2)
    seen = []

    def count(rows):
        seen.append(labels[rows])
        return rows.mean(1, keepdims=True)

    first = bootstrap(count, labels, resamples=50, seed=3)
    assert all((drawn == 0).sum(1).tolist() == [7] * len(drawn) for drawn in seen)
    assert sum(map(len, seen)) == 50
    np.testing.assert_array_equal(first, bootstrap(count, labels, resamples=50, seed=3))
    assert not np.array_equal(first, bootstrap(count, labels, resamples=50, seed=4))


def test_blocks_of_resamples_change_nothing_but_the_memory(monkeypatch):
    labels = np.arange(30) % 3
    values = np.random.default_rng(0).random(30)

    def mean(rows):
        assert rows.size <= 100
        return values[rows].mean(1, keepdims=True)

    monkeypatch.setattr("galaxalign.evaluate.intervals.BLOCK", 100)
    low, high = bootstrap(mean, labels, resamples=200, seed=0)
    assert low[0] < values.mean() < high[0]


def test_a_thousand_resamples_of_a_thousand_galaxies_take_well_under_a_second():
    truth, predicted = np.random.default_rng(0).integers(10, size=(2, 1000))
    start = time.process_time()
    bootstrap(
        lambda rows: macro_f1(confusion(truth[rows], predicted[rows], 10))[:, None],
        truth,
        resamples=1000,
        seed=0,
    )
    assert time.process_time() - start < 1.0
