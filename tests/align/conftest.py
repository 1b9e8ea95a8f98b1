"""A tiny open_clip model, and pictures of noise with the symbols of four classes."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from galaxalign.align.backbones import declare_torchvision
from galaxalign.symbols.sheet import read_sheet
from galaxalign.symbols.store import write_symbols
from tests.align.small import CONFIG, SHEET, TINY
from tests.align.towers import MODELS


@pytest.fixture(scope="package", autouse=True)
def tiny(tmp_path_factory) -> Path:
    """Tell open_clip of the small models; the description of `test-tiny`."""
    declare_torchvision()
    import open_clip

    folder = tmp_path_factory.mktemp("models")
    for name, settings in MODELS.items():
        (folder / f"{name}.json").write_text(json.dumps(settings))
    open_clip.add_model_config(folder)
    path = folder / "test-tiny.json"
    path.write_text(json.dumps(TINY))
    open_clip.add_model_config(path)
    return path


@pytest.fixture(scope="package")
def inputs(tmp_path_factory) -> tuple[Path, Path]:
    """A store of 24 noise pictures in four classes, and the symbols."""
    folder = tmp_path_factory.mktemp("inputs")
    sheet = read_sheet(SHEET)
    count = 24
    generator = np.random.default_rng(0)
    texts = {
        "id": [f"g{i}" for i in range(count)],
        "split": (["train"] * 4 + ["validation", "test"]) * 4,
        "flag": [""] * (count - 1) + ["truncated"],
        "reason": [""] * (count - 1) + ["cut off"],
    }
    with h5py.File(folder / "images.h5", "w") as file:
        file["images"] = generator.integers(0, 256, (count, 40, 40, 3), dtype=np.uint8)
        file["label"] = np.repeat(np.arange(4, dtype=np.int16), 6)
        file["ra"], file["dec"] = np.linspace(10, 11, count), np.zeros(count)
        for name, values in texts.items():
            file.create_dataset(name, data=values, dtype=h5py.string_dtype())
        stored = {key: CONFIG["data"][key] for key in ("crop", "stretch", "bands", "fits", "quality")} | {"size": 40}
        file.attrs["recipe"] = json.dumps(stored)
        file.attrs["classes"], file.attrs["names"] = json.dumps(sheet.labels), json.dumps(sheet.names)
        file.attrs["dataset"], file.attrs["code"] = "noise", "0"
    write_symbols(
        sheet=SHEET,
        size=40,
        variants=2,
        seed=0,
        code="0",
        symbols=folder / "symbols.h5",
        drawings=folder / "drawings",
    )
    return folder / "images.h5", folder / "symbols.h5"
