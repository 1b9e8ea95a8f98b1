"""Shards as jobs of the workflow: four of them, side by side, again after changes, and read as one store."""

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from galaxalign.data.store import Store, read_store
from galaxalign.settings import merge
from tests.data.synthetic_images import write_jpeg
from tests.workflow.conftest import SMALL, snakemake, write_overlay

STORE, FIGURES = "results/own/images.h5", ("results/figures/own/galaxies.png", "results/figures/own/rejects.png")


def write_catalogue(folder: Path, numbers: list[int]) -> None:
    for number in numbers:
        if not (folder / f"{number}.jpg").exists():
            write_jpeg(folder / f"{number}.jpg", seed=number)
    table = {"id": [f"G{number}" for number in numbers], "file": [f"{number}.jpg" for number in numbers]}
    pd.DataFrame(table | {"label": [number % 4 for number in numbers]}).to_csv(folder / "catalog.csv", index=False)


@pytest.fixture(scope="module")
def made(workflow) -> Path:
    """A store of 36 galaxies in shards of 10."""
    folder = workflow("shards")
    (folder / "own").mkdir()
    write_catalogue(folder / "own", list(range(36)))
    (folder / "own/25.jpg").write_bytes(b"<html>")
    columns = {"id": "id", "file": "file", "label": "label"}
    source = {"catalogue": {"path": "own/catalog.csv", "root": "own", "columns": columns, "labels": "column"}}
    own = {
        "datasets": {"own": {"morphology": "galaxymnist", "source": source}},
        "active": {"datasets": ["own"]},
        # The pictures are noise.
        "data": {"shard_size": 10, "split": {"group_by": "none"}, "quality": {"min_signal": 0}},
    }
    write_overlay(folder / "own.yaml", merge(SMALL, own))
    write_overlay(folder / "whole.yaml", {"data": {"shard_size": 100}})
    run(folder, STORE, *FIGURES)
    return folder


def run(folder: Path, *words: str, overlays: tuple[str, ...] = ()) -> dict[str, int]:
    """Run Snakemake; how many jobs of each rule there were."""
    done = snakemake(folder, *words, "--configfile", "own.yaml", *overlays)
    assert done.returncode == 0, done.stdout[-4000:]
    rules = re.findall(r"^(?:local)?(?:rule|checkpoint) (\w+):", done.stdout, re.MULTILINE)
    return {rule: rules.count(rule) for rule in rules}


def as_shown(store: Store) -> list[object]:
    """All that a store holds of its galaxies."""
    columns = (store.id, store.label, store.split, store.flag, store.reason, store.pictures(np.arange(len(store.id))))
    return [column.tolist() for column in columns]


def test_shards_are_one_store_whose_labels_change_without_them(made):
    sharded = as_shown(read_store(made / STORE))
    assert sorted(path.name for path in (made / "results/own/shards").iterdir()) == [f"0000{n}.h5" for n in range(4)]
    assert all((made / figure).stat().st_size > 5000 for figure in FIGURES)
    assert not run(made, STORE)

    # A longer catalogue: five images are read, the fourth shard is written.
    written = {path.name: path.stat().st_ino for path in (made / "results/own/shards").iterdir()}
    write_catalogue(made / "own", list(range(41)))
    jobs = run(made, STORE)
    assert (jobs["manifest"], jobs["shard"], jobs["images"]) == (1, 5, 1)
    longer = read_store(made / STORE)
    assert len(longer.id) == 41
    assert longer.pictures(np.arange(36)).tolist() == sharded[-1]
    log = (made / "results/logs/shard/own/00003.log").read_text()
    assert "6 pictures are there from before, 4 are to be made" in log
    for name in ("00000.h5", "00001.h5", "00002.h5"):
        assert (made / "results/own/shards" / name).stat().st_ino == written[name]

    # Another image under an old name, which is asked for as docs/data.md says.
    before = longer.pictures(np.arange(41))
    write_jpeg(made / "own/3.jpg", seed=99)
    run(made, STORE, "--forcerun", "shard")
    replaced = read_store(made / STORE).pictures(np.arange(41))
    assert [n for n in range(41) if (replaced[n] != before[n]).any()] == [3]
    write_jpeg(made / "own/3.jpg", seed=3)

    # Back, and in one file: no image is read, and nothing of the shards stays.
    write_catalogue(made / "own", list(range(36)))
    done = snakemake(made, STORE, "--configfile", "own.yaml", "whole.yaml")
    assert done.returncode == 0, done.stdout[-4000:]
    assert as_shown(read_store(made / STORE)) == sharded
    # The bad one, and the one that is as it was.
    assert "34 pictures are there from before, 2 are to be made" in (made / "results/logs/images/own.log").read_text()
    assert not (made / "results/own/shards").exists()

    # So in one file; and a catalogue that took the place of a younger one.
    write_jpeg(made / "own/4.jpg", seed=98)
    run(made, STORE, "--forcerun", "images", overlays=("whole.yaml",))
    assert (read_store(made / STORE).pictures([4]) != sharded[-1][4]).any()
    catalogue = made / "own/catalog.csv"
    catalogue.write_text(catalogue.read_text().replace("G7,", "H7,"))
    os.utime(catalogue, (1e9, 1e9))
    run(made, STORE, overlays=("whole.yaml",))
    assert read_store(made / STORE).id[7] == "H7"


# The backbone as it comes.
PLAIN = {"plain": {"classifier": "symbol", "stages": {"shared": {"epochs": 0}, "symbol": {"epochs": 0}}}}


def test_predictions_and_search_over_shards_are_those_over_one_file(made):
    write_catalogue(made / "own", list(range(36)))
    model = "results/own/plain/model.pt"
    overlay = {
        "data": {"shard_size": 18},
        "runs": PLAIN,
        "predictions": {"model": model, "datasets": ["own"]},
        "similar": {"model": model, "dataset": "own", "galaxies": ["G7"], "symbols": ["merger"], "texts": []},
    }
    write_overlay(made / "search.yaml", overlay)
    targets = ("results/predictions/own/predictions.parquet", "results/similar/own/similar.tsv")
    tables = {}
    for name, overlays in (("shards", ()), ("whole", ("whole.yaml",))):
        jobs = run(made, *targets, overlays=("search.yaml", *overlays))
        tables[name] = pd.read_parquet(made / targets[0]), pd.read_csv(made / targets[1], sep="\t")
        expected = 2 if name == "shards" else 0
        assert [jobs.get(rule, 0) for rule in ("shard_for_predictions", "shard_for_search")] == [expected] * 2
        made_anew = ("images_for_predictions", "images_for_search", "predictions_of", "similar_table")
        assert [jobs[rule] for rule in made_anew] == [1] * 4
        for kind in ("predictions", "similar"):
            shards = made / f"results/{kind}/own/shards"
            names = sorted(path.name for path in shards.iterdir()) if shards.exists() else []
            assert names == [f"0000{n}.h5" for n in range(expected)]
    for sharded, whole in zip(tables["shards"], tables["whole"], strict=True):
        assert len(whole) >= 8
        pd.testing.assert_frame_equal(sharded, whole, rtol=1e-5)


def test_a_model_that_takes_the_place_of_a_younger_one_is_noticed(made):
    overlay = {"runs": PLAIN, "predictions": {"model": "results/own/plain/best.pt", "datasets": ["own"]}}
    write_overlay(made / "brought.yaml", overlay)
    write_catalogue(made / "own", list(range(36)))
    run(made, "results/own/plain/model.pt", overlays=("whole.yaml", "search.yaml"))
    brought = made / "results/own/plain/best.pt"
    shutil.copy(made / "results/own/plain/model.pt", brought)
    table = "results/predictions/own/predictions.parquet"
    assert run(made, table, overlays=("whole.yaml", "brought.yaml"))["predictions_of"] == 1
    assert run(made, table, overlays=("whole.yaml", "brought.yaml")) == {}
    torch.save(torch.load(brought, weights_only=True) | {"calibration": 2.0}, brought)
    os.utime(brought, (1e9, 1e9))
    assert run(made, table, overlays=("whole.yaml", "brought.yaml"))["predictions_of"] == 1
