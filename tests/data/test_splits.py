"""Sky groups and splits against positions and counts checked by hand."""

import time
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from hypothesis import given as given_that
from hypothesis import settings
from hypothesis import strategies as st

from galaxalign.data import splits
from galaxalign.data.splits import (
    SPLITS,
    join_groups,
    named_groups,
    neighbours,
    sdss_fields,
    sky_groups,
    split_galaxies,
)
from galaxalign.errors import GalaxAlignError

FRACTIONS = {"train": 0.6, "validation": 0.15, "test": 0.25}


def split(labels, groups, given=None, fractions=FRACTIONS, seed=0):
    labels, groups = np.asarray(labels), np.asarray(groups)
    classes = [f"class {index}" for index in range(labels.max() + 1)]
    return split_galaxies(labels, groups, given or [""] * len(labels), classes=classes, fractions=fractions, seed=seed)


def test_friends_of_friends():
    # A chain of three, 40 arcsec apart: its ends are 80 apart but in one group. One far away, one without position.
    ra = np.array([10.0, 200.0, 10.0, 10.0, np.nan])
    dec = np.array([0.0, 0.0, 40 / 3600, 80 / 3600, 0.0])
    assert sky_groups(ra, dec, 60).tolist() == [0, 1, 0, 0, 2]
    assert sky_groups(ra, dec, 39).tolist() == [0, 1, 2, 3, 4]
    # Two that have none are no neighbours.
    assert sky_groups(np.full(2, np.nan), np.full(2, np.nan), 60).tolist() == [0, 1]


def test_groups_cross_ra_0_and_the_pole():
    # 36 arcsec across RA 0; and 0.01 degrees from the pole on opposite sides, 72 arcsec apart.
    ra = np.array([359.995, 0.005, 0.0, 180.0])
    dec = np.array([0.0, 0.0, 89.99, 89.99])
    assert sky_groups(ra, dec, 36.1).tolist() == [0, 0, 1, 2]
    assert sky_groups(ra, dec, 72.1).tolist() == [0, 0, 1, 1]


def pairs_of(ra, dec, radius):
    return np.concatenate([np.stack(pairs, axis=1) for pairs in neighbours(ra, dec, radius)])


def test_pairs_of_a_crowded_field_come_a_part_at_a_time(monkeypatch):
    generator = np.random.default_rng(0)
    ra, dec = 150 + generator.uniform(0, 0.3, 900), 2 + generator.uniform(0, 0.3, 900)
    whole, groups = pairs_of(ra, dec, 40), sky_groups(ra, dec, 40)
    monkeypatch.setattr(splits, "PAIRS", 500)
    assert max(len(first) for first, _ in neighbours(ra, dec, 40)) <= 600
    assert sorted(map(tuple, pairs_of(ra, dec, 40))) == sorted(map(tuple, whole))
    assert sky_groups(ra, dec, 40).tolist() == groups.tolist()
    assert 10 < groups.max() < 800
    gaps = np.hypot((ra[:, None] - ra) * np.cos(np.radians(2.15)), dec[:, None] - dec) * 3600
    assert len(whole) == pytest.approx((np.triu(gaps, 1) > 0).sum() - (np.triu(gaps, 1) > 40).sum(), abs=2)


def test_galaxy10_pairs(real_data):
    table = pd.read_csv(real_data / "catalogues/Galaxy10_DECaLS_coord.csv")
    ra, dec = table["RA"].to_numpy(), table["DEC"].to_numpy()
    start = time.perf_counter()
    assert len(pairs_of(ra, dec, 1)) == 59
    assert len(pairs_of(ra, dec, 60)) == 220
    groups = sky_groups(ra, dec, 60)
    labels = np.random.default_rng(0).integers(0, 10, len(ra))
    found = split(labels, groups)
    assert time.perf_counter() - start < 10
    first, second = pairs_of(ra, dec, 60).T
    assert (found[first] == found[second]).all()
    for name in SPLITS:
        shares = np.bincount(labels[found == name], minlength=10) / np.bincount(labels)
        assert np.abs(shares - FRACTIONS[name]).max() < 0.01


def test_sdss_objid_bits():
    number = (1 << 59) | (40 << 48) | (745 << 32) | (3 << 29) | (524 << 16) | 602
    assert number == 587722952767439450
    same = number + 17
    other_field = number + (1 << 16)
    other_camcol = number + (1 << 29)
    first_field_bit = number | (1 << 28)
    ids = [str(value) for value in (number, same, other_field, other_camcol, first_field_bit)]
    assert sdss_fields(ids).tolist() == [0, 0, 1, 2, 0]


@pytest.mark.parametrize(
    "name", ["galaxy_1", "5.87E+17", "-1", str(2**63), "", "9" * 19, "9" * 30, "17", "39627788403084375"]
)
def test_ids_that_are_no_objid(name):
    assert sdss_fields(["587722952767439450", name, "587722952767439451"]).tolist() == [0, -1, 0]


def test_classes_are_shared_out_by_the_fractions():
    labels = np.repeat([0, 1], [100, 20])
    splits = split(labels, np.arange(120))
    for label, size in ((0, 100), (1, 20)):
        for name in SPLITS:
            assert (splits[labels == label] == name).sum() == size * FRACTIONS[name]


def test_no_group_is_in_two_splits():
    generator = np.random.default_rng(1)
    groups, labels = generator.integers(0, 120, 600), generator.integers(-1, 4, 600)
    splits = split(labels, groups)
    assert set(splits[labels < 0]) == {""}
    for group in range(120):
        assert len(set(splits[(groups == group) & (labels >= 0)])) <= 1
    for name in SPLITS:
        assert abs((splits == name).sum() / (labels >= 0).sum() - FRACTIONS[name]) < 0.02


def test_the_seed_decides():
    labels, groups = np.zeros(50, int), np.arange(50)
    assert (split(labels, groups) == split(labels, groups)).all()
    assert (split(labels, groups) != split(labels, groups, seed=1)).any()


def test_a_published_split_is_honoured():
    labels = np.tile([0, 1], 50)
    given = [""] * 80 + ["test"] * 20
    splits = split(labels, np.arange(100), given)
    assert (splits[80:] == "test").all()
    # The rest in proportion: 0.6 to 0.15.
    assert (splits[:80] == "train").sum() == 64
    assert (splits[:80] == "validation").sum() == 16


def test_a_group_follows_its_published_member():
    splits = split(np.zeros(12, int), np.array([0, 0, *range(1, 11)]), ["test", *[""] * 11])
    assert splits[1] == "test"


def test_a_rare_class_is_in_every_split():
    # Three galaxies of class 1, one of them in a group with many of class 0.
    labels = np.array([0] * 60 + [1, 1, 1])
    groups = np.array([*[0] * 10, *range(1, 51), 0, 51, 52])
    splits = split(labels, groups)
    assert sorted(splits[labels == 1]) == ["test", "train", "validation"]


@pytest.mark.parametrize(
    ("labels", "groups", "words"),
    [
        ([0, 0, 0, 1, 1], range(5), "class 'class 1' has 2 galaxies in 2 groups"),
        ([0, 0, 0, 1, 1, 1], [0, 1, 2, 3, 3, 3], "class 'class 1' has 3 galaxies in 1 group, "),
        ([0, 0, 0, 2, 2, 2], range(6), "class 'class 1' has no galaxy that can be used"),
        ([0, 0, 0, 3, 3, 3], range(6), "class 'class 1', 'class 2' has no galaxy that can be used"),
    ],
)
def test_a_class_with_too_few_galaxies(labels, groups, words):
    with pytest.raises(GalaxAlignError, match=words):
        split(labels, list(groups))


def test_fractions_that_do_not_add_up():
    with pytest.raises(GalaxAlignError, match=r"add up to 0\.9"):
        split([0] * 9, range(9), fractions={"train": 0.5, "validation": 0.2, "test": 0.2})


def test_a_fraction_of_0_leaves_a_split_out():
    splits = split([0, 0], [0, 1], fractions={"train": 0.5, "validation": 0.5, "test": 0})
    assert sorted(splits) == ["train", "validation"]


def test_galaxies_of_one_name_are_a_group_and_those_without_are_alone():
    assert named_groups(["b", "", "a", "b", "", "a"]).tolist() == [0, 1, 2, 0, 3, 2]


def test_joined_groups_share_a_member_in_any_grouping():
    first, second = np.array([0, 0, 1, 2, 3]), np.array([0, 1, 1, 2, 3])
    assert join_groups(first, second).tolist() == [0, 0, 0, 1, 2]
    assert join_groups(first).tolist() == first.tolist()


def test_published_splits_are_kept_and_leave_no_validation_empty():
    # Published in train and test: validation is taken from train.
    labels, given = np.tile([0, 1], 50), ["train"] * 75 + ["test"] * 25
    splits = split(labels, np.arange(100), given)
    assert (splits[75:] == "test").all()
    assert set(splits[:75]) == {"train", "validation"}
    # In proportion, 0.15 to 0.6, and rounded for each of the two classes.
    assert (splits[:75] == "validation").sum() in (15, 16)
    # Published in all three: every galaxy stays, and one that is given none is trained on.
    given = ["train"] * 60 + ["validation"] * 19 + ["test"] * 20 + [""]
    splits = split(labels, np.arange(100), given)
    assert splits[:99].tolist() == given[:99]
    assert splits[99] == "train"


def test_what_is_published_to_be_trained_on_is_never_judged():
    # No validation is published, so some of train is lent; but never to test, whatever test lacks.
    labels, given = np.tile([0, 1], 50), ["train"] * 50 + [""] * 50
    splits = split(labels, np.arange(100), given)
    assert set(splits[:50]) == {"train", "validation"}
    assert set(splits[50:]) == set(SPLITS)
    # One that shares its group with a test galaxy is left out.
    given = ["train", "test", *["train"] * 30, *["test"] * 10]
    assert split(np.zeros(42, int), np.array([0, 0, *range(1, 41)]), given)[:2].tolist() == ["", "test"]
    # A class that the published test lacks.
    labels = np.array([0] * 30 + [1] * 10 + [0] * 10)
    with pytest.raises(
        GalaxAlignError, match="'class 1' has no galaxy to test with: the split that the catalogue gives"
    ):
        split(labels, np.arange(50), ["train"] * 40 + ["test"] * 10)


@pytest.mark.parametrize("given", ["test", "validation"])
def test_a_published_split_of_one_part(given):
    words = (
        r"'class 0' has no galaxy for train: the split that the catalogue gives \(columns.split\) gives all its 9 gal"
    )
    with pytest.raises(GalaxAlignError, match=words):
        split(np.zeros(9, int), np.arange(9), [given] * 9)


def test_many_galaxies_at_one_position_are_no_many_pairs():
    ra = np.concatenate([np.zeros(20000), [0.001, 5.0]])
    tracemalloc.start()
    groups = sky_groups(ra, np.zeros(20002), 60)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert groups.tolist() == [0] * 20001 + [1]
    assert peak < 2**26


def test_what_a_published_split_would_leak_is_left_out():
    # Galaxy 0 is trained on, 1 and 2 of its group tuned on and tested; 3 is alone.
    given = ["train", "validation", "test", "train", *(["train", "validation", "test"] * 4)]
    groups = np.array([0, 0, 0, 1, *range(2, 14)])
    splits = split(np.zeros(16, int), groups, given)
    assert splits[:4].tolist() == ["", "", "test", "train"]
    assert splits[4:].tolist() == given[4:]


@settings(max_examples=200, deadline=None)
@given_that(st.integers(0, 2**32 - 1), st.integers(30, 200), st.floats(0.01, 200), st.booleans(), st.booleans())
def test_no_pair_stands_across_splits(seed, number, radius, published, rare):
    generator = np.random.default_rng(seed)
    # A crowded field at any place of the sky, poles and RA 0 included.
    middle = generator.uniform(0, 360), generator.uniform(-90, 90)
    ra = (middle[0] + generator.normal(0, 0.1, number)) % 360
    dec = np.clip(middle[1] + generator.normal(0, 0.1, number), -90, 90)
    groups = sky_groups(ra, dec, radius)
    labels = generator.integers(-1, 1, number) if rare else generator.integers(-1, 3, number)
    given = list(generator.choice(["", "train", "validation", "test"], number)) if published else [""] * number
    try:
        splits = split(labels, groups, given)
    except GalaxAlignError as error:
        assert any(
            words in str(error)
            for words in ("too few to be in", "to test with", "gives all its", "no galaxy that can be used")
        )
        return
    assert ((splits == "") | (labels >= 0)).all()
    alpha, delta = np.radians(ra), np.radians(dec)
    half = np.sin((delta[:, None] - delta) / 2) ** 2
    half += np.cos(delta[:, None]) * np.cos(delta) * np.sin((alpha[:, None] - alpha) / 2) ** 2
    near = np.degrees(2 * np.arcsin(np.sqrt(np.minimum(half, 1)))) * 3600 < radius * 0.999
    both = (splits[:, None] != "") & (splits != "")
    assert (splits[:, None] == splits)[near & both].all()
    for own, kept in zip(given, splits, strict=True):
        assert kept in ("", own) or not own or (own, kept) == ("train", "validation")
        assert kept != "validation" or own != "train" or "validation" not in given
    assert {str(kept) for kept in splits[labels >= 0]} >= set(SPLITS)


def test_singles_are_dealt_as_one_by_one():
    """The dealing of a class's single galaxies against the plain rule: who is furthest behind gets the next."""
    generator = np.random.default_rng(3)
    groups = np.concatenate([np.repeat(np.arange(20), 3), np.arange(20, 220)])
    labels = generator.integers(0, 4, len(groups))
    splits = split(labels, groups, seed=5)
    counts = np.zeros((220, 4), int)
    np.add.at(counts, (groups, labels), 1)
    order = np.random.default_rng(5).permutation(np.arange(220))
    share = np.array([FRACTIONS[name] for name in SPLITS])
    target, have = share[:, None] * counts.sum(axis=0), np.zeros((3, 4))
    expected = {}
    for group in sorted(order.tolist(), key=lambda group: -counts[group].sum()):
        behind = [(target[s] - have[s]) / target[s] @ counts[group] for s in range(3)]
        expected[group] = SPLITS[int(np.argmax(behind))]
        have[np.argmax(behind)] += counts[group]
    assert splits.tolist() == [expected[group] for group in groups.tolist()]
