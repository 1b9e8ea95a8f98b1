"""Every answer has a symbol, and what a symbol leaves free stays inside its class."""

import itertools
from dataclasses import fields

import numpy as np
import pytest

from galaxalign.symbols.geometry import Geometry, knots
from galaxalign.symbols.library import SYMBOLS

# The answers of Galaxy Zoo 2 (Willett et al. 2013, table 2) that name something seen.
ANSWERS = {
    "smooth_or_features": "smooth features_or_disk star_or_artifact",
    "edgeon": "yes",
    "bar": "bar no_bar",
    "spiral": "spiral no_spiral",
    "bulge_prominence": "no_bulge just_noticeable obvious dominant",
    "odd": "yes",
    "rounded": "completely_round in_between cigar_shaped",
    "odd_feature": "ring lens_or_arc disturbed irregular other merger dust_lane",
    "bulge_shape": "rounded boxy no_bulge",
    "arms_winding": "tight medium loose",
    "arms_number": "1 2 3 4 more_than_4 cant_tell",
    "galaxy_zoo_1": "clockwise_spiral anticlockwise_spiral",
}


def test_every_answer_has_a_symbol():
    wanted = {f"{question}/{answer}" for question, answers in ANSWERS.items() for answer in answers.split()}
    assert {symbol.answer for symbol in SYMBOLS.values()} == wanted
    assert all(name == symbol.name for name, symbol in SYMBOLS.items())


@pytest.mark.parametrize("name", SYMBOLS)
def test_free_parameters_exist_and_variants_keep_to_their_ranges(name):
    symbol, generator = SYMBOLS[name], np.random.default_rng(0)
    assert set(symbol.free) <= {field.name for field in fields(Geometry)}
    for _ in range(50):
        shape = symbol.vary(generator)
        for field in fields(Geometry):
            value = getattr(shape, field.name)
            if field.name in symbol.free:
                low, high = symbol.free[field.name]
                assert low <= value <= high
            elif field.name != "hand":
                assert value == getattr(symbol.geometry, field.name)


@pytest.mark.parametrize(
    ("parameter", "names"),
    [
        ("axis_ratio", ["smooth_cigar", "smooth_in_between", "smooth_round"]),
        ("pitch", ["spiral_tight", "spiral_medium", "spiral_loose"]),
        ("bulge", ["bulge_none", "bulge_noticeable", "bulge_obvious", "bulge_dominant"]),
        ("arms", ["arms_1", "arms_2", "arms_3", "arms_4", "arms_many"]),
    ],
)
def test_classes_that_differ_by_one_parameter_do_not_overlap(parameter, names):
    def reach(name):
        value = getattr(SYMBOLS[name].geometry, parameter)
        return SYMBOLS[name].free.get(parameter, (value, value))

    for lower, upper in itertools.pairwise(names):
        assert reach(lower)[1] < reach(upper)[0]


def test_only_handed_symbols_keep_their_hand():
    generator = np.random.default_rng(0)
    hands = {
        name: {symbol.vary(generator).hand for _ in range(50)}
        for name, symbol in SYMBOLS.items()
        if symbol.geometry.arms or symbol.geometry.tails
    }
    assert hands.pop("spiral_clockwise") == {1}
    assert hands.pop("spiral_anticlockwise") == {-1}
    assert all(both == {-1, 1} for both in hands.values())


def test_clumps_lie_inside_the_body_and_follow_the_arrangement():
    one = knots(Geometry(clumps=9, arrangement=1))
    assert one.shape == (9, 3)
    assert (np.hypot(one[:, 0], one[:, 1]) < 1).all()
    np.testing.assert_array_equal(one, knots(Geometry(clumps=9, arrangement=1)))
    assert not np.allclose(one, knots(Geometry(clumps=9, arrangement=2)))
