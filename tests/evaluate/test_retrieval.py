"""Similarity search against examples worked out by hand."""

import math

import numpy as np
import pytest

from galaxalign.evaluate.retrieval import (
    average_precision,
    macro_mean,
    nearest,
    precision,
    retrieve_by_galaxy,
    retrieve_by_prompt,
)
from tests.synthetic_results import unit

HOW = {"top_k": [1, 3], "resamples": 200, "seed": 0}


def circle(degrees):
    """Unit vectors at angles on a circle, so that the order of neighbours is read off."""
    angles = np.radians(np.asarray(degrees, dtype=float))
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_nearest_orders_by_similarity_and_leaves_the_query_out():
    gallery = circle([0, 10, 25, 90])
    rows, similarities = nearest(gallery[:2], gallery, 2, own=np.array([0, 1]))
    assert rows.tolist() == [[1, 2], [0, 2]]
    assert similarities[0, 0] == pytest.approx(math.cos(math.radians(10)))
    rows, _ = nearest(gallery[:1], gallery, 9, own=None)
    assert rows.tolist() == [[0, 1, 2, 3]]


def test_nearest_does_not_depend_on_blocks(monkeypatch):
    vectors = unit(np.random.default_rng(0).normal(size=(50, 6)))
    whole = nearest(vectors, vectors, 7, own=np.arange(50))
    monkeypatch.setattr("galaxalign.evaluate.retrieval.BLOCK", 8)
    for expected, found in zip(whole, nearest(vectors, vectors, 7, own=np.arange(50)), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_precision_and_average_precision_by_hand():
    hits = np.array([True, False, True, True, False])
    assert precision(hits, 1) == 1
    assert precision(hits, 5) == pytest.approx(3 / 5)
    # P@1 = 1, P@3 = 2/3, P@4 = 3/4, of at most min(5, R).
    assert average_precision(hits, np.array(3), 5) == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)
    assert average_precision(hits, np.array(9), 5) == pytest.approx((1 + 2 / 3 + 3 / 4) / 5)
    assert average_precision(hits, np.array(9), 2) == pytest.approx(1 / 2)


def test_ranks_that_the_gallery_cannot_fill_are_wrong_for_precision():
    hits = np.array([True, True])
    assert precision(hits, 5) == pytest.approx(2 / 5)
    assert average_precision(hits, np.array(2), 5) == 1


def test_macro_mean_weighs_classes_alike():
    assert macro_mean(np.array([1.0, 1.0, 1.0, 0.0]), np.array([0, 0, 0, 1])) == pytest.approx(0.5)


def test_retrieval_by_galaxy_by_hand():
    # On the circle 0 and 4 are of class 0, 7 of class 1 alone (nothing to find), 60, 70 and 81 of class 2.
    label = np.array([0, 0, 1, 2, 2, 2])
    found = retrieve_by_galaxy(circle([0, 4, 7, 60, 70, 81]), label, **HOW)
    # P@1: galaxy 0 finds 4 (right), 4 finds 7 (wrong); all of class 2 find their own. Class 1 does not ask.
    assert found["P@1"].value == pytest.approx((1 / 2 + 1) / 2)
    # AP@3, R = 1 and 2: galaxy 0 has 1, 4 finds 0 at rank 2 (1/2), class 2 has the other two first.
    assert found["mAP@3"].value == pytest.approx((3 / 4 + 1) / 2)
    assert found["P@1"].n == 5
    assert found["P@1"].low <= found["P@1"].value <= found["P@1"].high


@pytest.mark.parametrize("each", [6, 20])
def test_intervals_hold_what_other_galaxies_would_have_shown(each):
    generator = np.random.default_rng(0)
    directions, label = unit(generator.normal(size=(6, 8))), np.repeat(np.arange(6), each)
    found = [
        retrieve_by_galaxy(unit(directions[label] + generator.normal(0, 0.3, (len(label), 8))), label, **HOW)
        for _ in range(60)
    ]
    for name in ("P@3", "mAP@3"):
        expected = np.mean([one[name].value for one in found])
        assert np.mean([one[name].low <= expected <= one[name].high for one in found]) >= 0.85
        spread = np.std([one[name].value for one in found])
        assert np.mean([one[name].high - one[name].low for one in found]) == pytest.approx(4 * spread, rel=0.35)


def test_classes_of_two_are_searched_though_most_resamples_lack_one_of_them():
    found = retrieve_by_galaxy(circle([0, 4]), np.array([0, 0]), **HOW)
    assert (found["P@1"].low, found["P@1"].value, found["P@1"].high) == (1, 1, 1)


def test_retrieval_by_prompt_by_hand():
    # Class 0 has two symbols, at 0 (finds 1, 12, 29 degrees) and 30 degrees (29, 12, 1); class 1 one, at 90.
    label = np.array([0, 1, 0, 1])
    found = retrieve_by_prompt(circle([0, 30, 90]), np.array([0, 0, 1]), circle([1, 12, 29, 80]), label, **HOW)
    # Rank by rank: right wrong right, right wrong right, right right wrong... of class 1: 80, 29, 12.
    first = (1 + 2 / 3) / 2
    assert found["mAP@3"].value == pytest.approx((first + (1 + 2 / 3) / 2) / 2)
    assert found["P@1"].value == 1
    assert found["P@3"].value == pytest.approx(2 / 3)
    assert found["P@1"].n == 4


def test_the_gallery_bootstrap_agrees_with_galleries_made_by_hand():
    generator = np.random.default_rng(0)
    label = np.arange(40) % 2
    gallery, prompts = unit(generator.normal(size=(40, 5))), unit(generator.normal(size=(2, 5)))
    how = {"top_k": [10], "resamples": 400, "seed": 0}
    found = retrieve_by_prompt(prompts, np.arange(2), gallery, label, **how)["mAP@10"]
    values = []
    for _ in range(400):
        rows = np.concatenate([generator.choice(np.flatnonzero(label == index), 20) for index in (0, 1)])
        again = retrieve_by_prompt(prompts, np.arange(2), gallery[rows], label[rows], **how | {"resamples": 1})
        values.append(again["mAP@10"].value)
    low, high = np.percentile(values, [2.5, 97.5])
    assert found.low == pytest.approx(low, abs=0.05)
    assert found.high == pytest.approx(high, abs=0.05)


def test_perfect_and_chance():
    generator = np.random.default_rng(0)
    label = np.arange(400) % 4
    perfect = retrieve_by_galaxy(np.eye(4, dtype=np.float32)[label], label, **HOW)
    assert (perfect["P@1"].value, perfect["mAP@3"].low, perfect["mAP@3"].high) == (1, 1, 1)
    chance = retrieve_by_galaxy(unit(generator.normal(size=(400, 16))), label, **HOW)
    assert chance["P@3"].low < 0.25 < chance["P@3"].high


def test_a_class_without_judged_galaxies_does_not_ask():
    found = retrieve_by_prompt(circle([0, 90]), np.arange(2), circle([1, 2]), np.array([0, 0]), **HOW)
    assert found["P@1"].value == 1
    assert retrieve_by_galaxy(circle([0, 90]), np.array([0, 1]), **HOW) == {}
