"""Votes by hand: people asked along the tree, fractions that add up, thresholds, and the order of classes."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from galaxalign.data.vote_columns import TOTAL, needed_columns, vote_columns
from galaxalign.data.votes import labels_from_votes, people_asked, total_votes, vote_table, votes_of
from galaxalign.errors import GalaxAlignError
from galaxalign.symbols.sheet import ClassSheet, GalaxyClass, VoteStep, read_sheet, read_tree
from tests.conftest import ROOT

TREE = read_tree(ROOT / "config/morphology/trees/gz2.yaml")
DECALS = read_sheet(ROOT / "config/morphology/gz_decals.yaml")
GZ1 = read_sheet(ROOT / "config/morphology/gz1.yaml")

NAMES = {
    "smooth_or_features/smooth": "t01_smooth_or_features_a01_smooth",
    "smooth_or_features/features_or_disk": "t01_smooth_or_features_a02_features_or_disk",
    "smooth_or_features/star_or_artifact": "t01_smooth_or_features_a03_star_or_artifact",
    "edgeon/no": "t02_edgeon_a05_no",
    "spiral/spiral": "t04_spiral_a08_spiral",
    "odd/yes": "t06_odd_a14_yes",
    "odd_feature/merger": "t08_odd_feature_a24_merger",
    "rounded/completely_round": "t07_rounded_a16_completely_round",
}


def votes(**rows):
    """Galaxies by vote fractions, debiased equal to weighted; what is not said is 0."""
    frame = {}
    for answer, column in NAMES.items():
        values = [row.get(answer, 0.0) for row in rows.values()]
        frame[f"{column}_weighted_fraction"] = frame[f"{column}_debiased"] = values
    return pd.DataFrame(frame)


def galaxy_class(label, **steps):
    return GalaxyClass(
        label=label,
        name=label,
        symbols=("smooth_round",),
        texts=(label,),
        votes=tuple(VoteStep(answer.replace("__", "/"), share) for answer, share in steps.items()),
    )


SHEET = ClassSheet(
    name="three",
    source="a test",
    classes=(
        galaxy_class("merger", odd__yes=0.5, odd_feature__merger=0.5),
        galaxy_class("spiral", smooth_or_features__features_or_disk=0.5, edgeon__no=0.5, spiral__spiral=0.6),
        galaxy_class("round", smooth_or_features__smooth=0.6, rounded__completely_round=0.5),
    ),
    unclassified=(),
    asked=10,
    tree=TREE,
)


def test_column_names():
    found = vote_columns(
        [
            "objid",
            "t08_odd_feature_a38_dust_lane_debiased",
            "t08_odd_feature_a38_dust_lane_weighted_fraction",
            "t01_smooth_or_features_a01_smooth_fraction",
        ],
        "debiased",
    )
    assert found == {"odd_feature/dust_lane": "t08_odd_feature_a38_dust_lane_debiased"}


def test_people_asked_along_the_tree():
    table = votes(
        one={
            "smooth_or_features/features_or_disk": 0.8,
            "smooth_or_features/star_or_artifact": 0.1,
            "edgeon/no": 0.5,
            "spiral/spiral": 0.25,
            "odd/yes": 0.2,
        }
    )
    total = np.array([40.0])
    questions = [question.name for question in TREE.questions if question.name != "bulge_shape"]
    asked = {question: people_asked(table, question, total, TREE)[0] for question in questions}
    assert asked == pytest.approx(
        {
            "smooth_or_features": 40,
            "edgeon": 32,
            "bar": 16,
            "spiral": 16,
            "bulge_prominence": 16,
            "odd": 36,
            "rounded": 0,
            "odd_feature": 7.2,
            "arms_winding": 4,
            "arms_number": 4,
        }
    )


def test_every_step_must_hold():
    spiral = {"smooth_or_features/features_or_disk": 0.7, "edgeon/no": 0.9, "spiral/spiral": 0.6}
    table = votes(
        spiral=spiral,
        few_arms=spiral | {"spiral/spiral": 0.59},
        few_disk=spiral | {"smooth_or_features/features_or_disk": 0.49},
        merging_spiral=spiral | {"odd/yes": 0.5, "odd_feature/merger": 0.5},
        round={"smooth_or_features/smooth": 0.8, "rounded/completely_round": 0.5},
        unknown=spiral | {"spiral/spiral": np.nan},
    )
    labels, rivals = labels_from_votes(table, np.full(6, 100.0), SHEET, "debiased")
    assert labels.tolist() == ["spiral", None, None, "merger", "round", None]
    # The rules of two classes hold for the merging spiral.
    assert rivals.tolist() == ["", "", "", "spiral", "", ""]


def test_enough_people_must_have_been_asked():
    # Asked about arms: total x 0.5 x 0.5.
    table = votes(
        **{str(n): {"smooth_or_features/features_or_disk": 0.5, "edgeon/no": 0.5, "spiral/spiral": 1} for n in "ab"}
    )
    assert labels_from_votes(table, np.array([39.0, 40.0]), SHEET, "debiased")[0].tolist() == [None, "spiral"]


@pytest.mark.parametrize(
    ("classes", "kind", "words"),
    [
        ((galaxy_class("x", spiral__sprial=0.5),), "debiased", "no column of debiased votes for 'spiral/sprial'"),
        ((galaxy_class("x", spiral__spiral=0.5),), "fraction", "no columns of fraction votes"),
        ((galaxy_class("x"),), "debiased", "class 'x' of class sheet three has no `votes`"),
    ],
)
def test_wrong_rules_are_named(classes, kind, words):
    sheet = replace(SHEET, classes=classes)
    with pytest.raises(GalaxAlignError, match=words):
        labels_from_votes(votes(a={}), np.array([40.0]), sheet, kind)


def test_a_sheet_without_a_tree_makes_no_labels():
    with pytest.raises(GalaxAlignError, match="class sheet three has no `tree`"):
        labels_from_votes(votes(a={}), np.array([40.0]), replace(SHEET, tree=None), "debiased")


def test_fractions_add_up_to_one_and_what_nobody_was_asked_is_unknown():
    table = votes(
        one={"smooth_or_features/smooth": 0.3, "smooth_or_features/features_or_disk": 0.9},
        none={},
        unknown={"smooth_or_features/smooth": np.nan},
    )
    found = votes_of(vote_table(table, np.array([40.0, 40.0, 40.0]), TREE, "debiased"))
    assert found.answers == TREE.names
    assert found.questions == tuple(question.name for question in TREE.questions)
    assert found.fractions[0, :3] == pytest.approx([0.25, 0.75, 0.0])
    assert np.isnan(found.fractions[1:, :3]).all()
    # The catalogue lacks `edgeon/yes`, and with it the question of the bulge's shape.
    assert np.isnan(found.fractions[:, 3:5]).all()
    assert np.isnan(found.asked[:, found.questions.index("bulge_shape")]).all()
    assert found.asked[0, :2] == pytest.approx([40.0, 36.0])
    assert found.known.tolist() == [True, False, False]


def test_no_votes_in_a_table_without_them():
    assert votes_of(pd.DataFrame({"id": ["a"], "label": ["round"]})) is None


@pytest.mark.parametrize("kind", ["debiased", "weighted_fraction"])
def test_votes_of_real_galaxies(real_data, kind):
    catalogue = pd.read_csv(real_data / "gz2/catalog.csv")
    total = catalogue["total_classifications"].to_numpy(np.float64)
    found = votes_of(vote_table(catalogue, total, TREE, kind))
    assert found.fractions.shape == (760, 37)
    assert found.asked.shape == (760, 11)
    assert found.known.all()
    for index, question in enumerate(TREE.questions):
        own = found.fractions[:, TREE.question_of == index]
        known = np.isfinite(own).all(axis=1)
        assert (known | np.isnan(own).all(axis=1)).all()
        np.testing.assert_allclose(own[known].sum(axis=1), 1, atol=1e-5)
        # Unknown are questions that nobody, or less than one of the weighted people, came to, with one exception.
        assert (found.asked[~known, index] < 1.1).sum() >= (~known).sum() - 1
        if question.leads:
            before = found.questions.index(question.leads[0].partition("/")[0])
            assert (found.asked[:, index] <= found.asked[:, before] + 1e-4).all()
    assert (found.asked[:, 0] == total.astype(np.float32)).all()


def test_column_names_of_galaxy_zoo_1():
    names = ["OBJID", "NVOTE", "P_EL", "P_CW", "P_ACW", "P_EDGE", "P_DK", "P_MG", "P_CS", "P_EL_DEBIASED", "UNCERTAIN"]
    found = vote_columns(names, "fraction")
    assert sorted(found) == sorted(GZ1.tree.names)
    assert found["galaxy/anticlockwise"] == "P_ACW"
    assert vote_columns([name.lower() for name in names], "fraction")["galaxy/merger"] == "p_mg"
    assert needed_columns(names, "fraction", GZ1.tree) == names[2:8]


def test_labels_of_galaxy_zoo_1():
    rows = {"P_EL": [0.9, 0.1, 0.5, 0.5, 0.85], "P_CW": [0, 0.8, 0.2, 0, 0], "P_ACW": [0, 0.1, 0.1, 0, 0]}
    rows |= {"P_EDGE": [0.0, 0, 0.2, 0, 0.05], "P_DK": [0.1, 0, 0, 0.1, 0.1], "P_MG": [0.0, 0, 0, 0.4, 0]}
    votes = pd.DataFrame(rows)
    total = np.array([30.0, 30, 30, 30, 9])
    labels, rivals = labels_from_votes(votes, total, GZ1, "fraction")
    assert labels.tolist() == ["elliptical", "clockwise spiral", None, "merger", None]
    assert (rivals == "").all()
    found = votes_of(vote_table(votes, total, GZ1.tree, "fraction"))
    assert found.answers == GZ1.tree.names
    np.testing.assert_allclose(found.fractions.sum(axis=1), 1, rtol=1e-6)


def decals(suffix="", **rows):
    """Galaxies of the tables of Galaxy Zoo DECaLS by fractions, and by the people asked."""
    names = {"smooth-or-featured": "smooth featured-or-disk artifact", "disk-edge-on": "yes no"}
    names |= {"has-spiral-arms": "yes no", "bar": "strong weak no", "bulge-size": "dominant large moderate small none"}
    names |= {"how-rounded": "round in-between cigar-shaped", "edge-on-bulge": "boxy none rounded"}
    names |= {"spiral-winding": "tight medium loose", "spiral-arm-count": "1 2 3 4 more-than-4 cant-tell"}
    names |= {"merging": "none minor-disturbance major-disturbance merger"}
    frame = {}
    for question, answers in names.items():
        frame[f"{question}{suffix}_total-votes"] = [row.get(f"{question}/asked", 0.0) for row in rows.values()]
        for answer in answers.split():
            values = [row.get(f"{question}/{answer}", 0.0) for row in rows.values()]
            frame[f"{question}{suffix}_{answer}"] = [40 * value for value in values]
            frame[f"{question}{suffix}_{answer}_fraction"] = frame[f"{question}{suffix}_{answer}_debiased"] = values
    return pd.DataFrame(frame)


SPIRAL = {"smooth-or-featured/featured-or-disk": 0.9, "smooth-or-featured/asked": 40, "disk-edge-on/no": 0.9}
SPIRAL |= {"disk-edge-on/asked": 36, "has-spiral-arms/yes": 0.9, "has-spiral-arms/asked": 32, "bar/no": 0.8}
SPIRAL |= {"bar/asked": 32, "spiral-winding/tight": 0.7, "spiral-winding/asked": 29, "merging/asked": 39}
ROUND = {"smooth-or-featured/smooth": 0.8, "smooth-or-featured/asked": 40}
ROUND |= {"how-rounded/round": 0.9, "how-rounded/asked": 32}


@pytest.mark.parametrize("suffix", ["", "-dr5", "-dr8"])
@pytest.mark.parametrize("kind", ["fraction", "debiased"])
def test_labels_of_galaxy_zoo_decals(suffix, kind):
    votes = decals(
        suffix,
        spiral=SPIRAL,
        round=ROUND,
        merging_spiral=SPIRAL | {"merging/merger": 0.6},
        too_few_asked=SPIRAL | {"spiral-winding/asked": 9},
        plain=SPIRAL | {"bar/no": 0.4},
        disturbed=ROUND | {"merging/major-disturbance": 0.5, "merging/asked": 40},
    )
    assert sorted(vote_columns(list(votes.columns), kind)) == sorted(DECALS.tree.names)
    total = total_votes(votes, DECALS.tree)
    assert total.tolist() == [40.0] * 6
    labels, rivals = labels_from_votes(votes, total, DECALS, kind)
    spiral, smooth = "Unbarred Tight Spiral Galaxies", "Round Smooth Galaxies"
    assert labels.tolist() == [spiral, smooth, "Merging Galaxies", None, None, "Disturbed Galaxies"]
    assert rivals.tolist() == ["", "", spiral, "", "", smooth]
    assert people_asked(votes, "spiral_winding", total, DECALS.tree).tolist() == [29, 0, 29, 9, 29, 0]
    assert vote_columns(list(votes.columns), TOTAL)["how_rounded"] == f"how-rounded{suffix}_total-votes"


def test_predicted_fractions_of_galaxy_zoo_desi_need_one_number_of_people():
    votes = decals(spiral=SPIRAL, round=ROUND).filter(like="_fraction")
    assert total_votes(votes, DECALS.tree) is None
    total = np.full(2, 100.0)
    labels, _ = labels_from_votes(votes, total, DECALS, "fraction")
    assert labels.tolist() == ["Unbarred Tight Spiral Galaxies", "Round Smooth Galaxies"]
    asked = people_asked(votes, "spiral_winding", total, DECALS.tree)
    assert asked == pytest.approx([100 * 0.9 * 0.9 * 0.9, 0])


def test_votes_of_two_campaigns_in_one_table():
    votes = pd.concat([decals("-dr5", a=SPIRAL), decals("-dr8", a=SPIRAL)], axis=1)
    with pytest.raises(GalaxAlignError, match="smooth-or-featured-dr8_smooth_fraction' are both fraction votes"):
        vote_columns(list(votes.columns), "fraction")


def test_thresholds_do_not_depend_on_the_precision_of_a_table():
    """7 of 10 is 0.7 in single precision too, and a third of 30 people is 10."""
    sheet = replace(SHEET, asked=10, classes=(galaxy_class("merger", odd__yes=0.333, odd_feature__merger=0.7),))
    table = votes(a={"odd/yes": 0.333, "odd_feature/merger": 0.7}, b={"odd/yes": 0.333, "odd_feature/merger": 0.69})
    for kind in (np.float64, np.float32):
        single = table.astype(kind).astype(np.float64)
        labels, _ = labels_from_votes(single, np.array([30.0, 30.0]), sheet, "debiased")
        assert labels.tolist() == ["merger", None]


def test_votes_that_are_not_there_are_told(caplog):
    table = votes(a={"smooth_or_features/smooth": 1.0})
    with pytest.raises(GalaxAlignError, match="the catalogue has no columns of fraction votes such as"):
        vote_table(table, np.array([30.0]), TREE, "fraction")
    assert votes_of(vote_table(table, np.array([30.0]), TREE, "debiased")).known.all()
    assert "the catalogue has no debiased votes for every answer to ['edgeon'" in caplog.text
    caplog.clear()
    part = table.drop(columns="t01_smooth_or_features_a03_star_or_artifact_debiased")
    found = votes_of(vote_table(part, np.array([30.0]), TREE, "debiased"))
    assert not found.known.any()
    assert "nor of anything else" in caplog.text
