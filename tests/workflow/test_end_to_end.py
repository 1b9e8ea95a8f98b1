"""From FITS to figures, twice; edits, a broken image, use of the model."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits

from galaxalign.products import report_of
from galaxalign.settings import merge
from tests.workflow.conftest import SMALL, snakemake, write_overlay

DATASETS = {
    "simulated": {"source": {"simulated": {"galaxies": 80, "pixels": 64}}},
    "simulated_field": {"source": {"simulated": {"galaxies": 12, "pixels": 64}}},
}
FIGURES = [
    *("labels", "galaxies", "rejects", "leaks", "living_symbols", "learning_curves"),
    *("confusion", "comparison", "embedding_map", "retrieval"),
]


@pytest.fixture(scope="module")
def made(workflow) -> Path:
    """The whole job on a small simulated survey."""
    folder = workflow("made")
    write_overlay(folder / "small.yaml", merge(SMALL, {"datasets": DATASETS}))
    done = snakemake(folder, "--configfile", "small.yaml")
    assert done.returncode == 0, done.stdout[-6000:]
    return folder


def rules_to_run(folder: Path, *overlays: str) -> set[str]:
    """The rules that a dry-run would run."""
    done = snakemake(folder, "-n", "--configfile", "small.yaml", *overlays)
    assert done.returncode == 0, done.stdout[-3000:]
    return set(re.findall(r"^(?:local)?(?:rule|checkpoint) (\w+):", done.stdout, re.MULTILINE))


def test_every_product_is_made(made):
    results = made / "results"
    for name in FIGURES:
        for kind in ("png", "pdf"):
            assert (results / f"figures/simulated/{name}.{kind}").stat().st_size > 5000
    assert (results / "figures/symbols.pdf").is_file()
    for run in ("frozen", "image_only", "galaxalign"):
        metrics = json.loads((results / f"simulated/{run}/metrics.json").read_text())
        own = metrics["classification"][metrics["classifier"]]
        assert 0 <= own["accuracy"]["low"] <= own["accuracy"]["value"] <= own["accuracy"]["high"] <= 1
        assert np.sum(own["confusion"]) == own["accuracy"]["n"] == sum(metrics["counts"]["test"].values())
    assert {"text", "symbol", "fused", "head", "probe"} == set(metrics["classification"])
    assert {"galaxy", "symbol", "text"} == set(metrics["retrieval"])


def test_no_sky_group_stands_in_two_splits(made):
    manifest = pd.read_parquet(made / "results/simulated/manifest.parquet")
    assert manifest["id"].is_unique
    assert (manifest.groupby("group")["split"].nunique() == 1).all()
    assert manifest["group"].nunique() < len(manifest), "the survey has close pairs"
    assert set(manifest["split"]) == {"train", "validation", "test"}


def test_a_second_run_does_nothing_and_says_so(made):
    done = snakemake(made, "--configfile", "small.yaml")
    assert done.returncode == 0
    assert "Nothing to be done" in done.stdout
    told = report_of(made / "results")
    for words in ("galaxalign/model.pt", "figures/simulated", "tables/summary.tsv", "image_only"):
        assert words in told


def test_an_edit_of_a_caption_or_a_figure_redraws_that_figure_alone(made):
    caption = made / "workflow/report/confusion.rst"
    before = caption.read_text()
    caption.write_text(before + "\nRows add up to one.\n")
    assert rules_to_run(made) == {"figure_confusion", "all"}
    caption.write_text(before)


def test_an_edit_of_style_redraws_figures_and_nothing_else(made):
    style = made / "galaxalign/figures/style.py"
    before = style.read_text()
    style.write_text(before + "\nEXTRA = 1\n")
    rules = rules_to_run(made)
    style.write_text(before)
    assert "figure_comparison" in rules
    assert {rule for rule in rules if not rule.startswith("figure")} == {"all"}


def test_an_edit_of_the_library_runs_again_what_it_made(made):
    losses = made / "galaxalign/align/losses.py"
    before = losses.read_text()
    losses.write_text(before + "\nEXTRA = 1\n")
    rules = rules_to_run(made)
    losses.write_text(before)
    assert {"align_shared", "align_symbol", "embeddings", "metrics", "figure_confusion"} <= rules
    assert not rules & {"simulated_survey", "manifest", "images", "symbols"}


def test_towers_built_again_train_nothing_again(made):
    facts = sorted((made / "results/towers").glob("*.json"))
    assert len(facts) == 2, "one with texts, one without"
    for path in facts:
        path.touch()
    assert rules_to_run(made) == set()
    for path in facts:
        path.unlink()
    assert rules_to_run(made) <= {"towers"}


def test_a_change_of_stage_two_leaves_stage_one(made):
    write_overlay(made / "longer.yaml", {"runs": {"galaxalign": {"stages": {"symbol": {"epochs": 2}}}}})
    rules = rules_to_run(made, "longer.yaml")
    assert "align_symbol" in rules
    assert "align_shared" not in rules


def test_predictions_for_an_unlabelled_field(made):
    done = snakemake(made, "predictions", "--configfile", "small.yaml")
    assert done.returncode == 0, done.stdout[-3000:]
    table = pd.read_parquet(made / "results/predictions/simulated_field/predictions.parquet")
    csv = pd.read_csv(made / "results/predictions/simulated_field/predictions.csv", dtype={"id": str})
    assert len(table) == len(csv) == 12
    assert table["id"].tolist() == csv["id"].tolist()
    assert np.allclose(table.filter(like="probability_").sum(axis=1), 1)
    assert table[["ra", "dec"]].notna().all(axis=None)
    assert np.allclose(csv[["ra", "dec"]], table[["ra", "dec"]], rtol=0, atol=1e-7), "positions to a milliarcsecond"
    assert table["predicted"].notna().all()


def test_a_survey_without_labels_gets_a_model_of_its_own(made):
    columns = {"id": "id", "file": "file", "ra": "ra", "dec": "dec"}
    raw = "results/simulated/raw"
    source = {"path": f"{raw}/catalog.csv", "root": raw, "columns": columns, "labels": "none"}
    model = "results/blank/living/model.pt"
    short = {"epoch_size": 32, "stages": {"shared": {"epochs": 1}}}
    overlay = {
        "active": {"datasets": ["blank"], "runs": ["living"]},
        "figures": {"run": "living"},
        "datasets": {"blank": {"morphology": "galaxy10", "source": {"catalogue": source}}},
        "runs": {"living": short},
        "predictions": {"model": model, "datasets": ["blank"]},
        "similar": {"model": model, "dataset": "blank"},
    }
    write_overlay(made / "blank.yaml", overlay)
    everything = rules_to_run(made, "blank.yaml")
    assert {"look", "align_symbol", "figure_living_symbols", "figure_learning_curves"} <= everything
    assert not everything & {"metrics", "tables", "figure_confusion", "figure_labels"}
    write_overlay(made / "judged.yaml", {"active": {"runs": ["living", "frozen"]}})
    refused = snakemake(made, "-n", "--configfile", "small.yaml", "blank.yaml", "judged.yaml")
    assert refused.returncode
    assert "'runs.frozen' learns from labels, which the active data set 'blank' (labels: none)" in refused.stdout
    done = snakemake(made, "predictions", "--configfile", "small.yaml", "blank.yaml")
    assert done.returncode == 0, done.stdout[-3000:]
    assert json.loads((made / "results/blank/look.json").read_text())["pictures"] == 80
    table = pd.read_parquet(made / "results/predictions/blank/predictions.parquet")
    assert len(table) == 80
    assert table["predicted"].notna().all()


def test_similar_galaxies_as_table_and_picture(made):
    ids = pd.read_parquet(made / "results/simulated/manifest.parquet")["id"]
    write_overlay(made / "queries.yaml", {"similar": {"galaxies": [str(ids[0])], "nearest": 4}})
    done = snakemake(made, "similar", "--configfile", "small.yaml", "queries.yaml")
    assert done.returncode == 0, done.stdout[-3000:]
    table = pd.read_csv(made / "results/similar/simulated/similar.tsv", sep="\t")
    assert set(table["kind"]) == {"galaxy", "symbol", "text"}
    assert (table.groupby(["kind", "query"])["rank"].max() == 4).all()
    assert (made / "results/similar/simulated/similar.png").stat().st_size > 5000


def test_report_holds_every_figure(made):
    done = snakemake(made, "--configfile", "small.yaml", "--report", "report.html")
    assert done.returncode == 0, done.stdout[-3000:]
    page = (made / "report.html").read_text()
    for name in FIGURES:
        assert f"{name}.png" in page


def break_images(folder: Path) -> list[str]:
    """Damage three FITS in three ways; their names."""
    whole = sorted(folder.glob("*.fits"))
    whole[0].write_bytes(whole[0].read_bytes()[:3000])
    for path, part in ((whole[1], np.s_[:]), (whole[2], np.s_[:, :40])):
        with fits.open(path, mode="update") as file:
            file[0].data[part] = np.nan
    return [path.stem for path in whole[:3]]


def test_broken_images_are_flagged_and_too_many_fail_by_name(made):
    """The same FITS as a user's own folder, three of them damaged."""
    raw = made / "results/simulated/raw"
    own = made / "own"
    (own / "images").mkdir(parents=True)
    for path in (raw / "images").glob("*.fits"):
        (own / "images" / path.name).write_bytes(path.read_bytes())
    (own / "catalog.csv").write_bytes((raw / "catalog.csv").read_bytes())
    broken = break_images(own / "images")
    source = {
        "catalogue": {
            "path": "own/catalog.csv",
            "root": "own",
            "columns": {"id": "id", "file": "file", "label": "label", "ra": "ra", "dec": "dec"},
            "labels": "column",
        }
    }
    dataset = {"own": {"morphology": "galaxy10", "source": source}}
    settings = merge(SMALL, {"datasets": dataset, "active": {"datasets": ["own"]}})
    write_overlay(made / "own.yaml", settings)
    target = "results/own/images.h5"
    done = snakemake(made, target, "results/figures/own/rejects.png", "--configfile", "own.yaml")
    assert done.returncode == 0, done.stdout[-3000:]
    rejects = pd.read_csv(made / "results/own/rejects.tsv", sep="\t")
    assert rejects["id"].tolist() == broken
    assert rejects["flag"].tolist() == ["truncated", "blank", "edge"]
    assert (made / "results/figures/own/rejects.png").stat().st_size > 5000

    write_overlay(made / "strict.yaml", {"data": {"max_rejected": 0.01}})
    done = snakemake(made, target, "--configfile", "own.yaml", "strict.yaml")
    assert done.returncode != 0
    said = [line for line in done.stdout.splitlines() if line.startswith("error: ")]
    assert len(said) == 1
    assert "3 of 80 galaxies were rejected" in said[0]
    assert "Traceback" not in done.stdout
    assert (made / "results/simulated/galaxalign/model.pt").is_file(), "what is finished stays"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"recipe": {"epocs": 3}}, "unknown key 'recipe.epocs'"),
        ({"recipe": {"fusion": 2}}, "'recipe.fusion' is 2"),
        ({"active": {"datasets": ["simulatd"]}}, "did you mean 'simulated'?"),
    ],
)
def test_a_typo_is_refused_in_a_sentence_before_any_work(made, settings, words):
    write_overlay(made / "wrong.yaml", settings)
    done = snakemake(made, "--configfile", "wrong.yaml")
    assert done.returncode != 0
    assert words in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize(
    ("backbone", "words"),
    [
        ({"name": "ViT-B-32", "pretrained": "laion2b"}, "no such tag of ViT-B-32; did you mean 'laion2b_e16'?"),
        ({"name": "timm/convnext_nanoo", "pretrained": "none"}, "did you mean 'timm/convnext_nano'?"),
    ],
)
def test_towers_that_cannot_be_built_end_the_work_before_a_picture_is_read(workflow, backbone, words):
    folder = workflow("towers")
    write_overlay(folder / "small.yaml", merge(SMALL, {"recipe": {"backbone": backbone}}))
    done = snakemake(folder, "--configfile", "small.yaml")
    assert done.returncode != 0
    assert words in done.stdout
    assert "Traceback" not in done.stdout
    assert not (folder / "results/simulated/images.h5").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("label", "lable"), "did you mean 'lable'?"),
        (("Merging Galaxies", "Merging Galxies"), "did you mean 'Merging Galaxies'?"),
    ],
)
def test_a_wrong_catalogue_is_named_before_an_image_is_read(made, change, words, tmp_path):
    raw = made / "results/simulated/raw"
    text = (raw / "catalog.csv").read_text().replace(*change, 1)
    (tmp_path / "catalog.csv").write_text(text)
    source = {
        "catalogue": {
            "path": str(tmp_path / "catalog.csv"),
            "root": str(raw),
            "columns": {"id": "id", "file": "file", "label": "label", "ra": "ra", "dec": "dec"},
            "labels": "column",
        }
    }
    dataset = {"wrong": {"morphology": "galaxy10", "source": source}}
    write_overlay(tmp_path / "wrong.yaml", merge(SMALL, {"datasets": dataset, "active": {"datasets": ["wrong"]}}))
    done = snakemake(made, "results/wrong/manifest.parquet", "--configfile", str(tmp_path / "wrong.yaml"))
    assert done.returncode != 0
    assert words in done.stdout
    assert "Traceback" not in done.stdout
