"""Results of a run that never was: every file that evaluation and figures read, from a few lines and a seed."""

import json
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from galaxalign.data.fits_layout import PLAIN

LABELS = ["Round", "Cigar", "Edge-on", "Spiral"]
NAMES = ["Round Smooth", "Cigar Shaped Smooth", "Edge-on with Bulge", "Unbarred Tight Spiral"]
# Class index of each symbol: edge-on galaxies have two.
SYMBOLS = [("smooth_round", 0), ("smooth_cigar", 1), ("edge_round", 2), ("edge_none", 2), ("spiral_tight", 3)]
TEXTS = [(f"{words} {name.lower()} galaxy", index) for index, name in enumerate(NAMES) for words in ("a", "one")]
DIMENSIONS = 16
TEXT = h5py.string_dtype()


def unit(vectors: NDArray[np.float64]) -> NDArray[np.float32]:
    """Vectors (N, D) made unit length."""
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def write_embeddings(
    path: Path,
    *,
    galaxies: int = 200,
    noise: float = 0.6,
    trained: tuple[str, ...] = ("text", "symbol"),
    head: bool = False,
) -> Path:
    """Embeddings of galaxies around a direction per class; noise 0 is perfect, much noise is chance."""
    generator = np.random.default_rng(0)
    directions = unit(generator.normal(size=(len(LABELS), DIMENSIONS)))
    label = np.arange(galaxies) % len(LABELS)
    split = np.array(["train", "train", "validation", "test"])[np.arange(galaxies) // len(LABELS) % 4]

    def near(classes: NDArray[np.int64]) -> NDArray[np.float32]:
        return unit(directions[classes] + noise * generator.normal(size=(len(classes), DIMENSIONS)))

    with h5py.File(path, "w") as file:
        file.attrs.update(
            dataset="synthetic", run=path.stem, model="0", scale=20.0, calibration=0.5, classifier="fused", fusion=0.5
        )
        file.attrs["classes"], file.attrs["names"] = json.dumps(LABELS), json.dumps(NAMES)
        file.attrs["trained"] = json.dumps(trained)
        group = file.create_group("galaxies")
        group["embedding"], group["label"], group["used"] = (
            near(label),
            label.astype(np.int16),
            split == "train",
        )
        group["ra"] = group["dec"] = np.zeros(galaxies)
        texts = {"id": [f"g{n}" for n in range(galaxies)], "split": list(split), "flag": [""] * galaxies}
        for name, values in texts.items():
            group.create_dataset(name, data=values, dtype=TEXT)
        if head:
            group["logits"] = group["embedding"][:] @ directions.T
        for kind, word, prompts in (("symbols", "name", SYMBOLS), ("texts", "text", TEXTS)):
            classes = np.array([index for _, index in prompts])
            group = file.create_group(kind)
            group["embedding"], group["class"] = (
                unit(directions[classes].astype(np.float64)),
                classes.astype(np.int16),
            )
            group.create_dataset(word, data=[words for words, _ in prompts], dtype=TEXT)
    return path


def write_store(path: Path, *, galaxies: int = 200, rejected: int = 0, size: int = 32) -> Path:
    """Blurred ellipses, flatter with the class index; the first ones are rejected."""
    label = np.arange(galaxies) % len(LABELS)
    split = np.array(["train", "train", "validation", "test"])[np.arange(galaxies) // len(LABELS) % 4]
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    radius = np.hypot(x, y * (1 + label[:, None, None]))
    grey = 255 * np.exp(-3 * radius)
    bad = np.arange(galaxies) < rejected
    columns = {
        "id": [f"g{n}" for n in range(galaxies)],
        "split": list(np.where(bad, "", split)),
        "flag": list(np.where(bad, "truncated", "")),
        "reason": list(np.where(bad, "data/galaxies/g0.jpg ends before its last row, at byte 1024 of 20480", "")),
    }
    recipe = {
        "size": size,
        "crop": 1.0,
        "bands": ["g", "r", "z"],
        "stretch": {
            "name": "legacy_survey",
            "colours": {"blue": {"g": 6.0}, "green": {"r": 3.4}, "red": {"z": 2.2}},
            "legacy_survey": {"m": 0.03, "Q": 20},
            "lupton": {"stretch": 5, "Q": 8, "minimum": 0},
        },
        "fits": PLAIN.to_dict(),
        "quality": {"max_edge": 0.2, "max_saturated": 0.1, "min_signal": 5, "max_offset": 0.15},
    }
    with h5py.File(path, "w") as file:
        file.attrs.update(dataset="synthetic", code="0", classes=json.dumps(LABELS), names=json.dumps(NAMES))
        file.attrs["recipe"] = json.dumps(recipe)
        file["images"] = np.repeat(grey[..., None], 3, axis=-1).astype(np.uint8)
        file["label"] = label.astype(np.int16)
        file["ra"] = file["dec"] = np.zeros(galaxies)
        for name, values in columns.items():
            file.create_dataset(name, data=values, dtype=TEXT)
    return path


def write_history(path: Path, *, stage: str, epochs: int) -> Path:
    """A loss that falls and a macro-F1 that rises; only the header without epochs."""
    lines = ["stage\tepoch\tlearning_rate\ttemperature\tloss\tvalidation_accuracy\tvalidation_macro_f1"]
    lines += [
        f"{stage}\t{n}\t0.001\t0.07\t{2 / n:.3f}\t{1 - 0.6 / n:.3f}\t{1 - 0.7 / n:.3f}" for n in range(1, epochs + 1)
    ]
    path.write_text("\n".join(lines) + "\n")
    return path
