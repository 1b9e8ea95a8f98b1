"""Galaxies of sets that are published as HDF5 files of pictures, read into the form of `catalog`."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galaxalign.errors import GalaxAlignError


def galaxies_of_galaxy10(path: Path) -> pd.DataFrame:
    """Galaxies of a Galaxy10 DECaLS file; a label is the text of the class's number.

    Raises `GalaxAlignError` where the file has not the published keys.
    """
    columns = _read_columns(path, ("ans", "ra", "dec"))
    rows = range(len(columns["ans"]))
    return pd.DataFrame(
        {
            "id": [f"galaxy10_{row:05d}" for row in rows],
            "source": [f"{path}#{row}" for row in rows],
            "label": [str(number) for number in columns["ans"]],
            "ra": columns["ra"].astype(np.float64),
            "dec": columns["dec"].astype(np.float64),
            "given": "",
            "flag": "",
            "reason": "",
        }
    )


def galaxies_of_galaxymnist(train: Path, test: Path) -> pd.DataFrame:
    """Galaxies of both files of GalaxyMNIST, those of the second given to the test split."""
    frames = []
    for part, path in (("train", train), ("test", test)):
        labels = _read_columns(path, ("labels",))["labels"]
        frames.append(
            pd.DataFrame(
                {
                    "id": [f"{part}_{row:05d}" for row in range(len(labels))],
                    "source": [f"{path}#{row}" for row in range(len(labels))],
                    "label": [str(number) for number in labels],
                    "ra": np.nan,
                    "dec": np.nan,
                    "given": "test" if part == "test" else "",
                    "flag": "",
                    "reason": "",
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def _read_columns(path: Path, names: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """Columns of an HDF5 file that has as many `images`."""
    if not path.is_file():
        raise GalaxAlignError(f"there is no file {path}: correct the path")
    try:
        with h5py.File(path, "r") as file:
            for name in ("images", *names):
                if name not in file:
                    raise GalaxAlignError(
                        f"{path} has no {name!r}, its keys are {', '.join(file) or 'none'}: name the published file"
                    )
            shape = file["images"].shape
            if len(shape) != 4 or shape[3] != 3 or file["images"].dtype != np.uint8:
                raise GalaxAlignError(
                    f"'images' of {path} is {file['images'].dtype} {shape}, not uint8 (N, H, W, 3): "
                    "name the published file"
                )
            columns = {name: file[name][:] for name in names}
    except OSError as error:
        raise GalaxAlignError(f"{path} cannot be read as HDF5 ({error}): fetch it again") from error
    for name, column in columns.items():
        if len(column) != shape[0]:
            raise GalaxAlignError(f"{path} has {shape[0]} images but {len(column)} {name!r}: fetch it again")
    return columns
