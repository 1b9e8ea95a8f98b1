"""Sweeps of the configuration: the runs that they make, and what is wrong with them."""

import pytest

from galaxalign.checking import check
from galaxalign.errors import GalaxAlignError
from galaxalign.settings import recipe_settings, swept_runs, unlabelled_runs
from tests.conftest import SCHEMA

SWEEP = {
    "runs": ["image_only", "galaxalign"],
    "over": "image_only",
    "labels_per_class": [10, "all"],
    "seeds": [0, 1],
    "changes": {"epoch_size": 640},
}


def test_a_sweep_makes_a_run_for_every_member_and_leaves_active_runs(config):
    config["sweeps"] = [SWEEP]
    checked = check(config, SCHEMA)
    assert checked["active"] == config["active"]
    assert set(checked["runs"]) - set(config["runs"]) == {member["name"] for member in swept_runs(config)}
    assert len(swept_runs(config)) == 8
    recipe = recipe_settings(checked, "galaxalign-10-1")
    own = {"labels_per_class": 10, "seed": 1, "epoch_size": 640}
    assert recipe == recipe_settings(config, "galaxalign") | own
    assert [run["name"] for run in unlabelled_runs(checked)] == ["frozen"]
    assert check(checked, SCHEMA) == checked


def test_members_start_from_the_run_without_labels_of_their_own_seed_where_it_is_swept(config):
    config["runs"] |= {"galaxalign": {"start": "living"}}
    unlabelled = SWEEP | {"runs": ["living"], "over": "none", "labels_per_class": [0], "changes": {}, "seeds": [1]}
    config["sweeps"] = [SWEEP, unlabelled]
    config["active"]["runs"] = ["frozen", "living-0-1"]
    config["figures"]["run"] = "living-0-1"
    checked = check(config, SCHEMA)
    starts = {seed: recipe_settings(checked, f"galaxalign-10-{seed}")["start"] for seed in (0, 1)}
    assert starts == {0: "living", 1: "living-0-1"}
    assert recipe_settings(checked, "image_only-10-1")["start"] == "none"
    # Not where the run that it starts from has labels, nor a run from itself.
    begun = {"labels_per_class": 10, "living": {"share": 1.0}, "epoch_size": 64}
    config["runs"] |= {"begun": begun, "later": {"start": "begun"}}
    config["sweeps"] += [
        unlabelled | {"runs": ["begun"]},
        SWEEP | {"runs": ["later"], "over": "none", "labels_per_class": ["all"]},
        unlabelled | {"changes": {"start": "living", "epoch_size": 64}, "seeds": [2]},
    ]
    again = check(config, SCHEMA)
    assert recipe_settings(again, "later-all-1")["start"] == "begun"
    assert recipe_settings(again, "living-0-2")["start"] == "living"
    # An active run that is a member is in the comparison once.
    assert [run["name"] for run in unlabelled_runs(checked)] == ["frozen"]
    assert check(checked, SCHEMA) == checked


@pytest.mark.parametrize(
    ("sweeps", "words"),
    [
        ([SWEEP | {"runs": ["galaxaling"]}], "'sweeps.0.runs' names 'galaxaling': did you mean 'galaxalign'?"),
        ([SWEEP | {"over": "frozen"}], "'sweeps.0.over' is 'frozen', no run of this sweep"),
        ([SWEEP, SWEEP | {"changes": {}}], "'sweeps.1' makes a run 'image_only-10-0' that differs from another"),
        ([SWEEP | {"changes": {"epoch_siz": 640}}], "unknown key 'runs.image_only-10-0.epoch_siz'"),
        ([SWEEP | {"seed": [0]}], "unknown key 'sweeps.0.seed'"),
        (
            [SWEEP | {"changes": {"seed": 7}}],
            "'sweeps.0.changes.seed' is what the sweep itself goes through: say it in",
        ),
    ],
)
def test_a_wrong_sweep_is_named_in_one_sentence(config, sweeps, words):
    config["sweeps"] = sweeps
    with pytest.raises(GalaxAlignError) as error:
        check(config, SCHEMA)
    assert words in str(error.value)
