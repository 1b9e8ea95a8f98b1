"""What is measured on: pictures of galaxies, a class sheet with its symbols, and recipes of the configuration."""

import csv
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray
from PIL import Image

from benchmarks.measuring import ROOT
from galaxalign.align.inputs import Source
from galaxalign.align.recipe import Recipe
from galaxalign.data.store import read_store
from galaxalign.settings import merge, recipe_settings
from galaxalign.symbols.sheet import ClassSheet, read_sheet
from galaxalign.symbols.store import write_symbols
from galaxalign.symbols.tree import DecisionTree

CONFIG = yaml.safe_load((ROOT / "config/config.yaml").read_text())
CLASSES = ROOT / "config/morphology/galaxy10.yaml"
TREE = ROOT / "config/morphology/gz2.yaml"
# Made by `snakemake --configfile config/gz1.yaml`.
GALAXIES = ROOT / "results/gz1/images.h5"
# Where the environment says that real galaxies lie.
REAL_DATA = "GALAXALIGN_REAL_DATA"
NO_GALAXIES = f"{REAL_DATA} names no folder with gz1"


@dataclass(frozen=True)
class Material:
    """A store of training galaxies with random labels, symbols to go with it, and the same galaxies as JPEGs.

    Attributes
    ----------
    origin : what the pictures are of.
    captions : tab-separated table of JPEGs and a text of their class, as open_clip reads it.
    """

    images: Path
    symbols: Path
    captions: Path
    origin: str


def make_material(folder: Path, *, count: int, sheet: Path = CLASSES) -> Material:
    """Write the material into a folder, which is made."""
    folder.mkdir(parents=True)
    vocabulary = read_sheet(sheet)
    pictures, jpegs, origin = _galaxies(folder, count)
    labels = np.random.default_rng(0).integers(len(vocabulary.classes), size=len(pictures))
    size = pictures.shape[1]
    _write_store(folder / "images.h5", pictures, labels, vocabulary)
    write_symbols(
        sheet=sheet,
        size=size,
        variants=CONFIG["symbols"]["variants"],
        seed=CONFIG["symbols"]["seed"],
        code="benchmark",
        symbols=folder / "symbols.h5",
        drawings=folder / "drawings",
    )
    with (folder / "captions.csv").open("w", newline="") as file:
        table = csv.writer(file, delimiter="\t")
        table.writerow(["filepath", "title"])
        for place, (path, label) in enumerate(zip(jpegs, labels, strict=True)):
            texts = vocabulary.classes[label].texts
            table.writerow([path, texts[place % len(texts)]])
    return Material(folder / "images.h5", folder / "symbols.h5", folder / "captions.csv", origin)


def galaxy_zoo_1() -> Path | None:
    """The folder of the catalogue and the JPEGs of Galaxy Zoo 1; None where the environment names none."""
    named = os.environ.get(REAL_DATA)
    folder = Path(named).resolve() / "gz1" if named else None
    return folder if folder and folder.is_dir() else None


def _galaxies(folder: Path, count: int) -> tuple[NDArray[np.uint8], list[Path], str]:
    """`count` pictures, the JPEGs they were made from, and what they are."""
    if GALAXIES.exists():
        store = read_store(GALAXIES)
        rows = np.resize(np.flatnonzero(store.split == "train"), count)
        pictures = store.pictures(rows)
        sources = [Path(path) for path in pd.read_parquet(GALAXIES.with_name("manifest.parquet"))["source"].iloc[rows]]
        if all(path.exists() for path in sources):
            width = Image.open(sources[0]).width
            return pictures, sources, f"Galaxy Zoo 1, JPEGs of {width} px, stored at {pictures.shape[1]} px"
    else:
        size = CONFIG["data"]["size"]
        pictures = np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    jpegs = folder / "jpegs"
    jpegs.mkdir()
    for place, picture in enumerate(pictures):
        Image.fromarray(picture).save(jpegs / f"{place}.jpg", quality=90)
    kind = "Galaxy Zoo 1" if GALAXIES.exists() else "noise"
    return pictures, [jpegs / f"{place}.jpg" for place in range(count)], f"{kind}, {pictures.shape[1]} px"


def _write_store(path: Path, pictures: NDArray[np.uint8], labels: NDArray[np.int64], sheet: ClassSheet) -> None:
    """A store all of whose galaxies are for training, laid out as `data.store` does."""
    count, size = pictures.shape[:2]
    texts = {"id": [f"g{i}" for i in range(count)], "split": ["train"] * count, "flag": [""] * count}
    with h5py.File(path, "w") as file:
        file.create_dataset("images", data=pictures, chunks=(1, *pictures.shape[1:]))
        file["label"] = labels.astype(np.int16)
        file["ra"] = file["dec"] = np.full(count, np.nan)
        for name, values in (texts | {"reason": [""] * count}).items():
            file.create_dataset(name, data=values, dtype=h5py.string_dtype())
        stored = {key: CONFIG["data"][key] for key in ("crop", "stretch", "bands", "fits", "quality")} | {"size": size}
        file.attrs["recipe"] = json.dumps(stored)
        file.attrs["classes"], file.attrs["names"] = json.dumps(sheet.labels), json.dumps(sheet.names)
        file.attrs["dataset"], file.attrs["code"] = "benchmark", "benchmark"
        if sheet.tree is not None:
            _write_votes(file, sheet.tree, count)


def _write_votes(file: h5py.File, tree: DecisionTree, count: int) -> None:
    """Random votes of forty people on each galaxy, every question asked."""
    answers, questions = tree.names, [question.name for question in tree.questions]
    shares = np.random.default_rng(1).random((count, len(answers)), dtype=np.float32)
    for question in range(len(questions)):
        own = np.asarray(tree.question_of) == question
        shares[:, own] /= shares[:, own].sum(1, keepdims=True)
    file.create_dataset("votes", data=shares).attrs["answers"] = json.dumps(list(answers))
    file.create_dataset("asked", data=np.full((count, len(questions)), 40, np.float32)).attrs["questions"] = json.dumps(
        questions
    )


def source_of(images: Path, symbols: Path, *, memory: float) -> Source:
    """The material as training reads it, with every core."""
    return Source(
        images=images,
        symbols=symbols,
        look=None,
        start=None,
        dataset="benchmark",
        code="benchmark",
        threads=os.cpu_count() or 1,
        memory=memory,
    )


def recipe(run: str, **changes: Any) -> Recipe:
    """A run of the default configuration with changes."""
    return Recipe.from_dict(merge(recipe_settings(CONFIG, run), changes))
