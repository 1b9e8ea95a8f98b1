"""Galaxies with random votes over the tree of Galaxy Zoo 2, and its symbols, small."""

import json
from pathlib import Path

import h5py
import numpy as np

from galaxalign.symbols.sheet import read_sheet
from galaxalign.symbols.store import write_symbols
from tests.conftest import ROOT
from tests.synthetic_results import write_store

SHEET = ROOT / "config/morphology/gz2.yaml"


def write_voted(folder: Path, galaxies: int) -> tuple[Path, Path]:
    """A store of galaxies with votes, as many in each of three classes as in none; and the symbols."""
    sheet = read_sheet(SHEET)
    images = write_store(folder / "images.h5", galaxies=galaxies)
    generator = np.random.default_rng(0)
    fractions = generator.uniform(0.1, 1, (galaxies, len(sheet.tree.names))).astype(np.float32)
    for question in range(len(sheet.tree.questions)):
        own = sheet.tree.question_of == question
        fractions[:, own] /= fractions[:, own].sum(1, keepdims=True)
    asked = generator.integers(0, 40, (galaxies, len(sheet.tree.questions))).astype(np.float32)
    asked[:, 0] = 40
    with h5py.File(images, "a") as file:
        file.attrs["classes"], file.attrs["names"] = json.dumps(sheet.labels), json.dumps(sheet.names)
        file.create_dataset("votes", data=fractions).attrs["answers"] = json.dumps(sheet.tree.names)
        names = [question.name for question in sheet.tree.questions]
        file.create_dataset("asked", data=asked).attrs["questions"] = json.dumps(names)
        file["label"][::4] = -1
    symbols = folder / "symbols.h5"
    write_symbols(sheet=SHEET, size=32, variants=1, seed=0, code="0", symbols=symbols, drawings=folder / "drawings")
    return images, symbols
