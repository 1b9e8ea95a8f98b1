"""The configuration: what it must say, and what is wrong with it, in a sentence."""

import copy
import shutil
from functools import reduce

import pytest
import yaml

from galaxalign.checking import check, check_judged, is_model_of_run
from galaxalign.errors import GalaxAlignError
from galaxalign.settings import (
    dataset_settings,
    expand,
    first_stage,
    merge,
    read_config,
    recipe_settings,
    sees_labels,
    unlabelled_runs,
)
from tests.conftest import ROOT, SCHEMA

OVERLAYS = sorted(path.name for path in (ROOT / "config").glob("*.yaml") if path.name != "config.yaml")


def change(config, path, value):
    changed = copy.deepcopy(config)
    *parents, last = path.split("/")
    place = changed
    for name in parents:
        place = place[name]
    place[last] = value
    return changed


def test_default_configuration_is_complete(config):
    assert check(config, SCHEMA) == config


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_overlays_fit_the_schema_and_ask_for_files_that_are_not_there(config, overlay, monkeypatch, tmp_path):
    monkeypatch.setenv("GALAXALIGN_REAL_DATA", str(tmp_path))
    # Votes are learned on a survey that has them.
    over = ["gz2.yaml", overlay] if overlay == "votes_and_matching.yaml" else [overlay]
    merged = reduce(merge, [yaml.safe_load((ROOT / "config" / name).read_text()) for name in over], config)
    kinds = {kind for entry in merged["datasets"].values() for kind in entry["source"]}
    if kinds & {"catalogue", "galaxymnist", "tiles", "legacy_survey"}:
        with pytest.raises(GalaxAlignError, match="there is no such file; correct the path"):
            check(merged, SCHEMA)
    else:
        checked = check(merged, SCHEMA)
        assert set(checked["active"]["datasets"]) <= set(checked["datasets"])


def test_galaxies_that_nobody_named_are_asked_for(config, monkeypatch):
    monkeypatch.delenv("GALAXALIGN_REAL_DATA", raising=False)
    overlay = yaml.safe_load((ROOT / "config/gz2.yaml").read_text())
    with pytest.raises(GalaxAlignError, match=r"'\$GALAXALIGN_REAL_DATA/.*' names an environment variable that is not"):
        check(merge(config, overlay), SCHEMA)


TILES = {
    "path": "a",
    "columns": {"id": "i", "ra": "r", "dec": "d"},
    "labels": "none",
    "tiles": "*.fits",
    "field": {"arcsec": 60},
}


WRONG_WAY = {"times": 2, "smallest": 300, "largest": 20}
UNTRAINED = {"shared": {"epochs": 0}, "symbol": {"epochs": 0}}
TEXTLESS = {"weights": {"image_text": 0, "symbol_text": 0, "image_symbol": 1.0}}


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("datasets/figures", {"morphology": "galaxy10", "source": {}}, "no name that results/ uses itself"),
        ("runs/raw", {}, "no name that a data set's folder uses itself"),
        ("recipe/epocs", 3, "unknown key 'recipe.epocs'"),
        (
            "runs/galaxalign",
            {"stages": {"shared": {"epocs": 3}}},
            "'runs.galaxalign.stages.shared.epocs': did you mean",
        ),
        ("recipe/optimizer/weight_decay", "1e-5", "with a decimal point and a sign: 1.0e-5, 1.0e+3"),
        (
            "recipe/optimizer/weight_decay",
            "1.0e3",
            "of type number; write 1000 in a configuration file, without quotes",
        ),
        ("recipe/epoch_size", "1.0e2", "names; write 100 in a configuration file, without quotes"),
        ("recipe/epoch_size", 100.0, "config/README.md names; write 100"),
        ("recipe/position_angles", 4.0, "'recipe.position_angles' is 4.0: it must be of type integer; write 4 ("),
        ("recipe/stages/shared/epochs", 2.0, "must be of type integer; write 2"),
        ("recipe/stages/symbol/symbol_views", 65, "65 is greater than the maximum of 64 (views of each symbol a step)"),
        ("recipe/seed", 1.0, "must be of type integer; write 1"),
        ("similar/nearest", 5.5, "must be of type integer (galaxies found"),
        ("data/fits/image", 1.0, "must be of type string or integer; write 1"),
        ("data/fits/band_axis", 3.0, "must be of type string or integer; write 3"),
        ("recipe/fusion", 2, "'recipe.fusion' is 2"),
        ("recipe/targets", "clas", "must be one of class, identity"),
        ("recipe/batch_size", True, "'recipe.batch_size' is True"),
        ("datasets/simulated/data", {"siz": 64}, "did you mean 'size'?"),
        ("datasets/simulated/morphology", "galaxy11", "did you mean 'galaxy10'?"),
        ("active/datasets", ["simulatd"], "'active.datasets' is 'simulatd': did you mean 'simulated'?"),
        ("active/runs", ["galaxaling"], "did you mean 'galaxalign'?"),
        ("similar/symbols", ["mergr"], "'similar.symbols' is 'mergr': did you mean 'merger'?"),
        (
            "runs/bad",
            {"start": "galaxalign", "labels_per_class": 10},
            "starts from 'galaxalign', which is trained with",
        ),
        (
            "runs/bad",
            {"backbone": {"name": "lite0-minilmm"}},
            "'runs.bad.backbone.name' is 'lite0-minilmm': did you mean",
        ),
        ("runs/bad", {"backbone": {"name": "ViT-B-33"}}, "did you mean 'ViT-B-32'?"),
        (
            "data/split/fractions",
            {"train": 0.9, "validation": 0.1, "test": 0.25},
            "'datasets.simulated.data.split.fractions' add up to 1.25, not 1",
        ),
        ("runs", {1: {}}, "'runs' has the key 1, which is no text: quote it"),
        ("recipe/fusion", float("nan"), "'recipe.fusion' is nan: give a number"),
        ("figures/run", "other", "'figures.run' is 'other'"),
        ("predictions/model", "results/simulated/galaxaling/model.pt", "'predictions.model' is"),
        ("similar/model", "model.pt", "no data set and run that make it"),
        ("recipe/backbone/pretrained", "weights/none.pt", "there is no such file"),
        ("runs/bad", {"targets": "votes"}, "'runs.bad.classifier' is head: one that no stage trains is fitted"),
        ("runs/bad", {"targets": "votes"}, "votes teach answers, not classes: choose fused"),
        (
            "runs/bad",
            {"classifier": "fused", "stages": {"shared": {"weights": {"symbol_text": 0.0}}, "symbol": {"epochs": 0}}},
            "is fused, but no stage trains it: give one of stages.*.weights.symbol_text|image_symbol a value above 0",
        ),
        (
            "runs/bad",
            {"classifier": "text", "stages": UNTRAINED},
            "nothing is trained, and the towers of lite0-minilm share no space before",
        ),
        (
            "runs/bad",
            {"classifier": "head", "stages": UNTRAINED},
            "nothing is trained, and the towers of lite0-minilm share no space before",
        ),
        ("runs/bad", {"accumulate": 2, "norm_layers": "trained"}, "trained by the statistics of whole batches"),
        ("runs/bad", {"classifier": "probe", "patience": 2}, "'runs.bad.patience' is 2, but a probe judges nothing"),
        (
            "runs/bad",
            {"norm_layers": "trained"},
            "'runs.bad.norm_layers' are trained, but galaxies and symbols of other sizes pass",
        ),
        ("runs/bad", {"classifier": "probe", "interpolate": [0.5, 1.0]}, "'runs.bad.interpolate' is [0.5, 1.0], but a"),
        (
            "runs/bad",
            {"classifier": "head", "stages": {"shared": {"weights": {"classifier": 1.0}}}},
            "'runs.bad.classifier' is head, which stage shared trains and stage symbol leaves behind",
        ),
        (
            "runs/bad",
            {"start": "image_only", "classifier": "fused", "stages": UNTRAINED},
            "'runs.bad.classifier' is fused, but nothing is trained, and the towers of lite0-minilm share no space",
        ),
        ("runs/bad", {"accumulate": 65}, "'runs.bad.accumulate' is 65, more parts than a batch has galaxies (64)"),
        ("predictions/model", "elsewhere/simulated/galaxalign/model.pt", "'predictions.model' is"),
        ("runs/bad", {"stages": {"shared": TEXTLESS, "symbol": TEXTLESS}}, "fitted from the fused prototypes"),
        ("runs/bad", {"stages": {"shared": {"weights": {"image_text": 0, "symbol_text": 0}}}}, "are all 0"),
        ("datasets/simulated/source", {"catalog": {}}, "unknown key 'datasets.simulated.source.catalog'"),
        ("datasets/simulated/source", {}, "exactly one key"),
        (
            "datasets/simulated/source",
            {"tiles": TILES | {"columns": {"id": "i", "ra": "r"}}},
            "missing key 'datasets.simulated.source.tiles.columns.dec': add it, config/README.md shows how",
        ),
        ("datasets/simulated/source", {"tiles": TILES | {"field": {"times": 2}}}, "missing key"),
        ("datasets/simulated/source", {"tiles": TILES | {"field": {"times": 2}}}, "tiles.field.smallest'"),
        (
            "datasets/simulated/source",
            {"tiles": TILES | {"path": "Makefile", "columns": TILES["columns"] | {"size": "s"}, "field": WRONG_WAY}},
            "tiles.field.smallest' is above datasets.simulated.source.tiles.field.largest: exchange them",
        ),
        (
            "datasets/simulated/source",
            {"tiles": TILES | {"path": "my{x}.csv"}},
            "'datasets.simulated.source.tiles.path' is 'my{x}.csv': braces stand for other words in a workflow",
        ),
        ("datasets/simulated/source", {"tiles": TILES | {"field": {}}}, "tiles.field' must have a key (side of"),
        ("datasets/simulated/source", {"tiles": TILES | {"field": 60}}, "field' is 60: it must be of type map"),
    ],
)
def test_a_wrong_setting_is_named_in_one_sentence(config, path, value, words):
    with pytest.raises(GalaxAlignError, match=r"\w") as error:
        check(change(config, path, value), SCHEMA)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_head_that_is_only_fitted_sees_labels(config):
    headed = change(config, "runs/headed", {"start": "living", "classifier": "head", "stages": UNTRAINED})
    check(headed, SCHEMA)
    assert sees_labels(headed, "headed")
    few = {"start": "headed", "labels_per_class": 10, "stages": {"shared": {"weights": {"classifier": 1.0}}}}
    few["stages"]["symbol"] = {"epochs": 0}
    with pytest.raises(GalaxAlignError, match="starts from 'headed', which is trained with labels"):
        check(change(headed, "runs/few", few), SCHEMA)


def test_a_missing_section_is_named(config):
    del config["evaluate"]
    with pytest.raises(GalaxAlignError, match="missing key 'evaluate'"):
        check(config, SCHEMA)


def test_a_run_names_only_what_it_changes(config):
    recipe = recipe_settings(config, "image_only")
    assert recipe["stages"]["shared"]["weights"]["classifier"] == 1.0
    assert recipe["stages"]["shared"]["lock"] == config["recipe"]["stages"]["shared"]["lock"]
    assert dataset_settings(config, "simulated")["data"] == config["data"]


def test_a_key_that_stands_twice_is_refused(tmp_path):
    overlay = tmp_path / "own.yaml"
    overlay.write_text("runs:\n  galaxalign: {start: living}\nrecipe: {fusion: 0.4}\nruns:\n  slow: {batch_size: 16}\n")
    with pytest.raises(GalaxAlignError, match=r"own.yaml cannot be read .*'runs' stands twice.* line 4"):
        read_config([overlay])
    overlay.write_text("sweeps:\n  - &few {seeds: [0]}\n  - {<<: *few, seeds: [1]}\n")
    assert read_config([overlay])["sweeps"][1] == {"seeds": [1]}
    overlay.write_text("? [a, b]\n: 6\n")
    with pytest.raises(GalaxAlignError, match=r"own.yaml cannot be read .* unhashable key"):
        read_config([overlay])


def test_environment_variables_are_replaced_or_asked_for(monkeypatch):
    monkeypatch.setenv("SKY", "/sky")
    assert expand({"path": ["$SKY/a.csv"], "n": 3}) == {"path": ["/sky/a.csv"], "n": 3}
    monkeypatch.setenv("HOME", "/home/me")
    assert expand("~/galaxies/a.csv") == "/home/me/galaxies/a.csv"
    with pytest.raises(GalaxAlignError, match=r"path: '\$NO_SUCH_SKY/a' names an environment variable"):
        expand({"path": "$NO_SUCH_SKY/a"})


def test_a_dollar_in_a_query_is_a_dollar(config, monkeypatch):
    monkeypatch.setenv("SKY", "/sky")
    config["similar"] |= {"galaxies": ["$SKY"], "texts": ["a $5 galaxy"]}
    asked = check(config, SCHEMA)["similar"]
    assert (asked["galaxies"], asked["texts"]) == (["$SKY"], ["a $5 galaxy"])


@pytest.mark.parametrize(
    ("sheet", "words"), [("galaxy10", "its class sheet has no `tree`"), ("gz2", "its source has no `votes`")]
)
def test_votes_are_there_for_those_that_learn_from_them(config, sheet, words):
    config["runs"]["galaxalign"] = {"targets": "votes", "classifier": "fused"}
    config["datasets"]["simulated"]["morphology"] = sheet
    with pytest.raises(GalaxAlignError, match=f"'runs.galaxalign.targets' is votes, but .*'simulated' {words}"):
        check(config, SCHEMA)


@pytest.mark.parametrize("epochs", [0, 1])
def test_classes_are_told_by_symbols_only_where_every_answer_has_one(config, tmp_path, monkeypatch, epochs):
    shutil.copytree(ROOT / "config", tmp_path / "config")
    tree = tmp_path / "config/morphology/trees/gz2.yaml"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "votes.csv").write_text("id,file\n1,1.jpg\n")
    columns = {"id": "id", "file": "file", "total": 40}
    source = {"path": "votes.csv", "root": ".", "columns": columns, "labels": "votes", "votes": "debiased"}
    voted = {"morphology": "gz2", "source": {"catalogue": source}, "data": {"split": {"group_by": "none"}}}
    config["datasets"]["voted"] = voted
    stages = {"shared": {"epochs": epochs}, "symbol": {"epochs": epochs}}
    config["runs"]["mine"] = {"targets": "votes", "classifier": "symbol", "stages": stages}
    config["active"] = {"datasets": ["voted"], "runs": ["mine"]}
    config["figures"]["run"] = "mine"
    assert check(config, SCHEMA)["active"]["runs"] == ["mine"]
    tree.write_text(tree.read_text().replace("symbols: [smooth_cigar]", "symbols: []"))
    with pytest.raises(
        GalaxAlignError,
        match=r"'runs.mine.classifier' is symbol, but .*'voted' the class '.*' needs the answer 'rounded/cigar_shaped',"
        " which has no symbol: choose fused or text",
    ):
        check(config, SCHEMA)
    config["runs"]["mine"]["classifier"] = "fused"
    if epochs:
        assert check(config, SCHEMA)["active"]["runs"] == ["mine"]


@pytest.mark.parametrize("run", ["frozen", "galaxalign"])
def test_no_run_needs_labels_that_a_survey_does_not_have(config, tmp_path, run):
    (tmp_path / "catalog.csv").write_text("id,file\n1,1.jpg\n")
    source = {"path": str(tmp_path / "catalog.csv"), "root": str(tmp_path), "columns": {"id": "id", "file": "file"}}
    blank = {"morphology": "galaxy10", "source": {"catalogue": source | {"labels": "none"}}}
    config["datasets"]["blank"] = blank | {"data": {"split": {"group_by": "none"}}}
    config["active"] = {"datasets": ["blank"], "runs": ["living"]}
    config["figures"]["run"] = "living"
    check_judged(check(config, SCHEMA))
    config["active"]["runs"] = ["living", run]
    with pytest.raises(GalaxAlignError, match=f"'runs.{run}' learns from labels, .*'blank' .*labels_per_class: 0"):
        check_judged(check(config, SCHEMA))


def test_who_judges_has_galaxies_to_judge_by(config):
    check_judged(check(config, SCHEMA))
    for split, fractions, words in (
        ("test", {"train": 0.7, "validation": 0.3, "test": 0.0}, "'evaluate.split' is test, .*split.fractions.test"),
        ("test", {"train": 0.7, "validation": 0.0, "test": 0.3}, "'evaluate.probe' has several .*'runs.frozen'"),
    ):
        changed = copy.deepcopy(config)
        changed["evaluate"]["split"] = split
        changed["data"]["split"]["fractions"] = fractions
        with pytest.raises(GalaxAlignError, match=words):
            check_judged(check(changed, SCHEMA))
    changed["evaluate"]["probe"] = [0.1]
    check_judged(check(changed, SCHEMA))


def test_a_data_set_without_labels_needs_no_run_to_be_drawn(config):
    config["datasets"]["simulated"]["source"]["simulated"]["labelled"] = False
    config["active"]["runs"] = ["living"]
    check_judged(check(config, SCHEMA))
    config["active"]["runs"] = ["living", "galaxalign"]
    with pytest.raises(GalaxAlignError, match=r"'runs.galaxalign' learns from labels"):
        check_judged(check(config, SCHEMA))


def test_a_model_is_called_as_snakemake_calls_it(config):
    config["predictions"]["model"] = "./results//simulated/galaxalign/model.pt"
    assert check(config, SCHEMA)["predictions"]["model"] == "results/simulated/galaxalign/model.pt"
    names = {"datasets": config["datasets"], "runs": config["runs"]}
    assert is_model_of_run("results/simulated/galaxalign/model.pt", **names)
    for path in ("results/simulated/galaxalign/best.pt", "results/simulated/x/model.pt", "m/model.pt"):
        assert not is_model_of_run(path, **names)


def test_labels_that_a_start_saw_count(config):
    untrained = {"start": "galaxalign", "stages": UNTRAINED, "classifier": "fused"}
    config["runs"] |= {"copy": untrained, "rendered": untrained | {"start": "living"}}
    # A head is fitted to labels.
    config["runs"]["headed"] = {"start": "living", "stages": UNTRAINED, "classifier": "head"}
    config["active"]["runs"] = ["frozen", "galaxalign", "copy", "living", "rendered", "headed"]
    assert [run["name"] for run in unlabelled_runs(check(config, SCHEMA))] == ["frozen", "living", "rendered"]


@pytest.mark.parametrize(
    ("text", "words"),
    [("classes: [", "is not YAML"), ("", "class sheet"), ("name: mine\ntree: gzz\n", "class sheet")],
)
def test_the_class_sheet_of_a_data_set_in_use_is_read_before_anything_is_made(
    config, tmp_path, monkeypatch, text, words
):
    shutil.copytree(ROOT / "config", tmp_path / "config")
    (tmp_path / "config/morphology/galaxy10.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GalaxAlignError, match=words) as error:
        check(config, SCHEMA)
    assert "config/morphology/galaxy10.yaml" in str(error.value)


@pytest.mark.parametrize("later", [{"interpolate": [0.0, 0.5, 1.0]}, {"position_angles": 2}])
def test_what_follows_does_not_train_stage_1_again(config, later):
    recipe = recipe_settings(config, "galaxalign")
    assert first_stage(recipe | later) == first_stage(recipe)
    assert first_stage(recipe | {"batch_size": 3}) != first_stage(recipe)
