"""The workflow on a few hundred real galaxies of Galaxy Zoo 2, labelled by their votes."""

import json

import pandas as pd

from galaxalign.settings import merge
from tests.workflow.conftest import SMALL, snakemake, write_overlay


def test_galaxy_zoo_2_from_votes_to_figures(workflow, real_data):
    folder = workflow("gz2")
    catalogue = pd.read_csv(real_data / "gz2/catalog.csv", dtype=str).iloc[:400]
    catalogue.to_csv(folder / "some.csv", index=False)
    overlay = {
        "datasets": {"gz2": {"source": {"catalogue": {"path": "some.csv", "root": str(real_data / "gz2")}}}},
        "active": {"runs": ["galaxalign"]},
        "recipe": {"epoch_size": 320, "stages": {"shared": {"epochs": 3}}},
        "runs": {"living": {"epoch_size": 128, "stages": {"shared": {"epochs": 2}, "symbol": {"epochs": 1}}}},
    }
    write_overlay(folder / "small.yaml", merge(SMALL, overlay))
    done = snakemake(folder, "--configfile", "config/gz2.yaml", "small.yaml")
    assert done.returncode == 0, done.stdout[-6000:]
    manifest = pd.read_parquet(folder / "results/gz2/manifest.parquet")
    labelled = manifest["label"].notna()
    assert manifest["label"].nunique() == 8
    assert 200 < labelled.sum() < 400
    # Votes teach whether or not they make a class.
    assert (manifest["split"] != "").equals(manifest["flag"] == "")
    metrics = json.loads((folder / "results/gz2/galaxalign/metrics.json").read_text())
    assert metrics["classification"]["fused"]["accuracy"]["value"] > 1 / 8
    assert (folder / "results/figures/gz2/retrieval.png").is_file()
