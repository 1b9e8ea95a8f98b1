"""Tables of galaxies as users have them, read into one form.

The form is a frame with a row a galaxy and the columns id, source (a locator, see `readers`), label (as the
catalogue has it, empty where it has none), ra and dec (degrees, not a number where unknown), given (the split
that a published data set gives), and the catalogue's vote columns as numbers.
"""

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from astropy.table import Table
from numpy.typing import NDArray

from galaxalign.data.votes import COLUMN
from galaxalign.errors import GalaxAlignError, nearest

TABLES = (".csv", ".parquet", ".fits")


def read_table(path: Path) -> pd.DataFrame:
    """A CSV, parquet or FITS table, every cell as text: ids keep their leading zeros and all their digits.

    Raises `GalaxAlignError` where the file is missing, of another kind, empty or damaged.
    """
    if not path.is_file():
        raise GalaxAlignError(f"there is no catalogue {path}: correct the path")
    try:
        match path.suffix.lower():
            case ".csv":
                table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
            case ".parquet":
                table = _as_text(pd.read_parquet(path))
            case ".fits":
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    table = _as_text(Table.read(path, format="fits", hdu=1, character_as_bytes=False).to_pandas())
            case suffix:
                raise GalaxAlignError(f"catalogue {path} ends in {suffix!r}: give it as one of {', '.join(TABLES)}")
    except (ValueError, OSError, UnicodeDecodeError, KeyError, IndexError) as error:
        raise GalaxAlignError(f"catalogue {path} cannot be read ({' '.join(str(error).split())}): mend it") from error
    if table.empty:
        raise GalaxAlignError(f"catalogue {path} has no rows: name a catalogue with galaxies")
    return table


def _as_text(table: pd.DataFrame) -> pd.DataFrame:
    texts = {str(name): ["" if pd.isna(cell) else str(cell).strip() for cell in table[name]] for name in table.columns}
    return pd.DataFrame(texts, dtype=str)


def galaxies_of_catalogue(path: Path, root: Path, columns: Mapping[str, str]) -> pd.DataFrame:
    """Galaxies of a user's catalogue.

    Parameters
    ----------
    path
        The table.
    root
        The folder that its file names start from.
    columns
        Which column is the ``id`` and, where there are such, the ``file``, ``label``, ``ra``, ``dec``, ``size``
        (arcsec) and ``total`` (people who classified the galaxy).  A `file` with braces is a pattern: ``{name}``
        stands for what column `name` says, ``{band}`` for the bands of images that come one file a band.

    Raises
    ------
    GalaxAlignError
        A missing column, an empty or duplicate id, a file name that is empty, a number that is none.
    """
    table = read_table(path)
    for purpose, column in columns.items():
        for name in _names_in(purpose, column):
            if name not in table.columns:
                raise GalaxAlignError(
                    f"catalogue {path} has no column {name!r}, named by columns.{purpose}: "
                    f"{nearest(name, map(str, table.columns))}"
                )
    galaxies = pd.DataFrame({"id": _ids(table[columns["id"]], path), "source": _sources(table, columns, root, path)})
    galaxies["label"] = _labels(table, columns.get("label"))
    for axis, low, high in (("ra", 0.0, 360.0), ("dec", -90.0, 90.0)):
        galaxies[axis] = _numbers(table, columns[axis], path, low, high) if axis in columns else np.nan
    galaxies["given"] = ""
    if "size" in columns:
        galaxies["size"] = _numbers(table, columns["size"], path, 0.0, np.inf)
    votes = {name: _numbers(table, name, path, -np.inf, np.inf) for name in table.columns if COLUMN.match(name)}
    if "total" in columns:
        votes["total"] = _numbers(table, columns["total"], path, 0.0, np.inf)
    return pd.concat([galaxies, pd.DataFrame(votes)], axis=1)


def _names_in(purpose: str, column: str) -> list[str]:
    """The columns that an entry of `columns` names: itself, or those in the braces of a file pattern."""
    if purpose == "file" and "{" in column:
        return [name for name in re.findall(r"{(.*?)}", column) if name != "band"]
    return [column]


def _where(row: int) -> str:
    """A row as an editor shows it: the header is line 1."""
    return f"row {row + 1} (line {row + 2})"


def _ids(column: "pd.Series[str]", path: Path) -> list[str]:
    ids = [text.strip() for text in column]
    first: dict[str, int] = {}
    for row, name in enumerate(ids):
        if not name:
            raise GalaxAlignError(f"catalogue {path}, {_where(row)}: the id in {column.name!r} is empty; give it one")
        if name in first:
            raise GalaxAlignError(
                f"catalogue {path}: id {name!r} is in {_where(first[name])} and {_where(row)}; remove one"
            )
        first[name] = row
    return ids


def _sources(table: pd.DataFrame, columns: Mapping[str, str], root: Path, path: Path) -> list[str]:
    if "file" not in columns:
        return [""] * len(table)
    pattern = columns["file"] if "{" in columns["file"] else "{" + columns["file"] + "}"
    cells = {name: list(map(str, table[name])) for name in _names_in("file", pattern)}
    sources = []
    for row in range(len(table)):
        file = pattern
        for name, column in cells.items():
            cell = column[row].strip()
            if not cell:
                raise GalaxAlignError(f"catalogue {path}, {_where(row)}: {name!r}, which names the file, is empty")
            file = file.replace("{" + name + "}", cell)
        sources.append(str(root / file))
    return sources


def _labels(table: pd.DataFrame, column: str | None) -> list[str]:
    return [""] * len(table) if column is None else [text.strip() for text in table[column]]


def _numbers(table: pd.DataFrame, column: str, path: Path, low: float, high: float) -> NDArray[np.float64]:
    text = table[column].str.strip()
    unknown = text.str.lower().isin(["", "nan", "na", "null", "none"])
    numbers = pd.to_numeric(text.mask(unknown), errors="coerce").to_numpy(np.float64)
    bad = ~unknown.to_numpy() & ~((numbers >= low) & (numbers <= high))
    if bad.any():
        row = int(np.argmax(bad))
        wanted = "a number" if high == np.inf else f"a number from {low:g} to {high:g}"
        raise GalaxAlignError(
            f"catalogue {path}, {_where(row)}: {column!r} is {table[column].iat[row]!r}, not {wanted}; "
            "correct it or leave it empty"
        )
    return numbers


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
