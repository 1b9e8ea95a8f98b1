"""The symbols of a class sheet as files: the drawings that training reads, and one SVG and PNG each to look at."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from galaxalign.errors import GalaxAlignError
from galaxalign.hdf5 import whole_hdf5
from galaxalign.symbols.drawing import draw, to_svg
from galaxalign.symbols.library import SYMBOLS
from galaxalign.symbols.sheet import ClassSheet, read_sheet

# Range of line widths of the variants, relative to the canonical drawing.
THICKNESS = (0.7, 1.5)


@dataclass(frozen=True, kw_only=True)
class DrawnTree:
    """The symbols of a decision tree, each once: a row a symbol, in the order of `DecisionTree.symbols`.

    Which answers a row shows is `DecisionTree.shown`.

    Attributes
    ----------
    images, views, names : as those of `DrawnSymbols`.
    """

    images: NDArray[np.uint8]
    views: NDArray[np.uint8]
    names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class DrawnSymbols:
    """What symbols.h5 holds: one row for each symbol of each class, in the order of the sheet.

    Attributes
    ----------
    images : uint8 (S, H, W, 3), canonical drawings, white on black.
    views : uint8 (S, K, H, W), variants in winding, proportions, thickness and position angle; grey.
    names : names of the symbols, shape (S,).
    classes : index of the class of each row, int16 (S,).
    sheet : the class sheet that was drawn.
    tree : symbols of the sheet's decision tree; None without one.
    """

    images: NDArray[np.uint8]
    views: NDArray[np.uint8]
    names: tuple[str, ...]
    classes: NDArray[np.int16]
    sheet: ClassSheet
    tree: DrawnTree | None


def write_symbols(
    *, sheet: Path, size: int, variants: int, seed: int, code: str, symbols: Path, drawings: Path
) -> None:
    """Draw the symbols of a class sheet and of its decision tree.

    Variants are turned to any position angle but never mirrored beyond what `Symbol.vary` allows, so that
    a handed symbol keeps its hand.  The same arguments give the same bytes.

    Parameters
    ----------
    sheet : class sheet (YAML).
    size : pixels a side of every drawing.
    variants : variants of each symbol, for training to draw from.
    seed : of the variants.
    code : digest of the library code, kept in the file.
    symbols : the HDF5 file to write.
    drawings : folder for an SVG and a PNG of each symbol.

    Raises
    ------
    GalaxAlignError
        The class sheet is wrong.
    """
    vocabulary = read_sheet(sheet)
    pairs = [(name, index) for index, entry in enumerate(vocabulary.classes) for name in entry.symbols]
    with whole_hdf5(symbols) as file:
        _write_drawings(file, [name for name, _ in pairs], size=size, variants=variants, seed=seed)
        file["class"] = np.array([index for _, index in pairs], dtype=np.int16)
        if vocabulary.tree is not None:
            _write_drawings(file.create_group("tree"), vocabulary.tree.symbols, size=size, variants=variants, seed=seed)
        file.attrs["classes"] = json.dumps(vocabulary.labels)
        file.attrs["names"] = json.dumps(vocabulary.names)
        file.attrs["handed"] = vocabulary.handed
        file.attrs["sheet"] = json.dumps(vocabulary.to_dict())
        file.attrs["code"] = code
    drawings.mkdir(parents=True, exist_ok=True)
    for name in {name for name, _ in pairs} | set(vocabulary.tree.symbols if vocabulary.tree else ()):
        (drawings / f"{name}.svg").write_text(to_svg(SYMBOLS[name].geometry))
        Image.fromarray(draw(SYMBOLS[name].geometry, size)).save(drawings / f"{name}.png")


def _write_drawings(group: h5py.Group, names: Sequence[str], *, size: int, variants: int, seed: int) -> None:
    """Write canonical drawings, variants and names of symbols, a row each."""
    images = np.stack([draw(SYMBOLS[name].geometry, size) for name in names])
    group["images"] = np.repeat(images[..., None], 3, axis=-1)
    views = np.stack([_variants(name, size, variants, seed) for name in names])
    group.create_dataset("views", data=views, compression="gzip")
    group.create_dataset("name", data=list(names), dtype=h5py.string_dtype())


def read_symbols(path: Path) -> DrawnSymbols:
    """Read what `write_symbols` wrote.

    Raises
    ------
    GalaxAlignError
        The file is missing or no symbol store.
    """
    try:
        with h5py.File(path, "r") as file:
            return DrawnSymbols(
                **_drawings(file),
                classes=file["class"][:],
                sheet=ClassSheet.from_dict(json.loads(file.attrs["sheet"])),
                tree=DrawnTree(**_drawings(file["tree"])) if "tree" in file else None,
            )
    except (OSError, KeyError) as error:
        raise GalaxAlignError(f"{path} is no store of symbols; delete it to draw them again") from error


def _drawings(group: h5py.Group) -> dict[str, Any]:
    return {
        "images": group["images"][:],
        "views": group["views"][:],
        "names": tuple(group["name"].asstr()[:]),
    }


def _variants(name: str, size: int, count: int, seed: int) -> NDArray[np.uint8]:
    """Variants of one symbol, the same in whatever sheet it stands."""
    generator = np.random.default_rng([seed, *name.encode()])
    return np.stack(
        [
            draw(
                SYMBOLS[name].vary(generator),
                size,
                angle=float(generator.uniform(0, 360)),
                thickness=float(generator.uniform(*THICKNESS)),
            )
            for _ in range(count)
        ]
    )
