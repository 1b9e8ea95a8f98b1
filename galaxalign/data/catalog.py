"""Tables of galaxies as users have them, read into one form.

The form is a frame with a row a galaxy and the columns id (unique), source (a locator, see `readers`), label (as the
catalogue has it, empty where it has none), ra and dec (degrees, not a number where unknown), given (the split
that a published data set gives), flag and reason (what is wrong with the row, empty where nothing is); from a
catalogue also member (the group that it names, empty where it names none) and its vote columns as numbers.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from astropy.units import Unit, UnitConversionError
from numpy.typing import NDArray

from galaxalign.data.cells import UNKNOWN, cell_text, degrees, loses_digits, numbers, texts
from galaxalign.data.marks import Marks
from galaxalign.data.table import Table
from galaxalign.data.tables import open_table
from galaxalign.data.vote_columns import TOTAL, needed_columns, vote_columns
from galaxalign.errors import GalaxAlignError, nearest
from galaxalign.symbols.tree import DecisionTree

# Stands for the number of a row, from 0, in a pattern of files.
ROW = "row"
# How catalogues call the hours that right ascension is told in, which astropy takes for hours of time.
HOURS = ("h", "hr", "hrs", "hour", "hours", "hourangle")
# Characters of an id: those of all galaxies take as much room as the longest.
LONGEST_ID = 256
# What no id has; a file of fixed texts ends one at the first of them.
CONTROL = r"[\x00-\x1f\x7f]"
# How far rounding may take a share of votes beyond 0 and 1.
ROUNDING = 1e-3
# How catalogues call the splits.
GIVEN = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
    "": "",
}


def galaxies_of_catalogue(
    path: Path,
    root: Path,
    columns: Mapping[str, Any],
    *,
    kind: str | None = None,
    tree: DecisionTree | None = None,
) -> pd.DataFrame:
    """Galaxies of a user's catalogue; a row that cannot be used is flagged, and stays.

    Parameters
    ----------
    path
        The table, of any format of `tables`.
    root
        The folder that its file names start from.
    columns
        Which column is the ``id`` and, where there are such, the ``file``, ``label``, ``ra``, ``dec``, ``size``
        (arcsec), ``split``, ``group`` and ``total`` (people who classified the galaxy, or one number for all galaxies).
        A `file` with braces is a pattern: ``{name}`` stands for what column `name` says, ``{row}`` for the number of
        the row from 0, ``{band}`` for the bands of images that come one file a band.
    kind, tree
        The votes that are judged, and the tree they answer; None leaves the vote columns unread.

    Raises
    ------
    GalaxAlignError
        A table that cannot be read or lacks a column, ids that have lost digits, a split of no known name.
    """
    catalogue = open_table(path)
    total = columns.get("total")
    named = {purpose: name for purpose, name in columns.items() if isinstance(name, str)}
    wanted = _wanted(catalogue, named)
    voted = [] if kind is None or tree is None else needed_columns(catalogue.names, kind, tree)
    for name in voted:
        _check_single(catalogue, name, "which tells votes")
    rows = catalogue.read([*wanted, *voted])
    table, where, marks = rows.cells, Places(path, rows.lines), Marks.none(len(rows.cells))
    faulty = np.isin(np.arange(len(table)), list(rows.faults))
    marks.add(faulty, "cells", lambda row: f"{where(row)}: {rows.faults[row]}")
    galaxies = pd.DataFrame({"id": _ids(table[named["id"]], where, marks)})
    galaxies["label"] = texts(table[named["label"]]) if "label" in named else ""
    for axis in ("ra", "dec"):
        if axis in named:
            unit = _unit(catalogue, table[named[axis]], "deg")
            galaxies[axis] = _positions(table[named[axis]], unit, axis, where, marks)
        else:
            galaxies[axis] = np.nan
    galaxies["given"] = _given(table[named["split"]], where) if "split" in named else ""
    galaxies["member"] = _members(table[named["group"]]) if "group" in named else ""
    people = set(vote_columns(voted, TOTAL).values())
    votes = {name: _numbers(table[name], np.inf if name in people else 1.0, where, marks) for name in voted}
    if isinstance(total, str):
        votes["total"] = _numbers(table[total], np.inf, where, marks)
    elif total is not None:
        votes["total"] = np.full(len(table), float(total))
    if "size" in named:
        unit = _unit(catalogue, table[named["size"]], "arcsec")
        galaxies["size"] = unit * _numbers(table[named["size"]], np.inf, where, marks)
    galaxies["source"] = _sources(table, named["file"], root, where, marks) if "file" in named else ""
    marks.note(galaxies)
    return pd.concat([galaxies, pd.DataFrame(votes)], axis=1)


def _wanted(catalogue: Table, columns: Mapping[str, str]) -> list[str]:
    """The columns of a catalogue that `columns` names; an error where one is not there."""
    wanted = []
    for purpose, column in columns.items():
        for name in _names_in(purpose, column):
            _check_single(catalogue, name, f"named by columns.{purpose}")
            if name in catalogue.names:
                wanted.append(name)
            elif not (purpose == "file" and name == ROW):
                raise GalaxAlignError(
                    f"catalogue {catalogue.path} has no column {name!r}, named by columns.{purpose}: "
                    f"{nearest(name, catalogue.names)}"
                )
    return wanted


def _check_single(catalogue: Table, name: str, why: str) -> None:
    """Raise where a catalogue has several columns of a name that is asked for."""
    if catalogue.names.count(name) > 1:
        raise GalaxAlignError(f"catalogue {catalogue.path} has several columns {name!r}, {why}: rename all but one")


def _names_in(purpose: str, column: str) -> list[str]:
    """The columns that an entry of `columns` names: itself, or those in the braces of a file pattern."""
    if purpose == "file" and "{" in column:
        return [name for name in re.findall(r"{(.*?)}", column) if name != "band"]
    return [column]


@dataclass(frozen=True)
class Places:
    """Where rows are, for messages: in text files also as an editor shows it, the first line being 1."""

    path: Path
    lines: NDArray[np.int64] | None

    def __call__(self, row: int) -> str:
        """Of a row from 0."""
        return f"{self.path}, row {row + 1}" + ("" if self.lines is None else f" (line {self.lines[row]})")


def _ids(column: "pd.Series[Any]", where: Places, marks: Marks) -> "pd.Series[str]":
    """Ids as texts, each unique: what has none, one that is too long, or another's, is called by its row."""
    if loses_digits(column):
        raise GalaxAlignError(
            f"catalogue {where.path} has ids as floating-point numbers in {column.name!r} that are too large to keep "
            "their last digits: save the column as text or as 64-bit integers"
        )
    ids = texts(column)
    marks.add((ids == "").to_numpy(bool), "no_id", lambda row: f"{where(row)}: {column.name!r} is empty")
    length = ids.str.len()
    said = f"characters, {LONGEST_ID} are allowed"
    marks.add(
        (length > LONGEST_ID).to_numpy(bool),
        "no_id",
        lambda row: f"{where(row)}: {column.name!r} has {length[row]} {said}",
    )
    control = ids.str.contains(CONTROL)
    marks.add(
        control.to_numpy(bool),
        "no_id",
        lambda row: f"{where(row)}: {column.name!r} is {ids[row]!r}, which has a control character",
    )
    ids = ids.mask((length > LONGEST_ID) | control, "")
    empty = (ids == "").to_numpy(bool)
    double = ids.duplicated().to_numpy(bool) & ~empty
    twice = ids[~double & ids.isin(ids[double].unique())]
    first = dict(zip(twice, twice.index, strict=True))
    marks.add(double, "duplicate_id", lambda row: f"{where(row)}: id {ids[row]!r} is that of row {first[ids[row]] + 1}")
    taken = set(ids[double | empty | ids.str.contains("row_", regex=False)])
    for row in map(int, np.flatnonzero(double | empty)):
        name = f"{ids[row]}_row_{row + 1}".lstrip("_")
        while name in taken:
            name += "_"
        taken.add(name)
        ids[row] = name
    return ids


def _unit(catalogue: Table, column: "pd.Series[Any]", wanted: str) -> float:
    """What the numbers of a column are multiplied with to be in the wanted unit, by the unit that the file states.

    Columns of texts may state anything, such as h:m:s; the unit then counts for cells that are plain numbers.
    """
    stated = catalogue.units.get(str(column.name), "").strip()
    if not stated or stated == wanted:
        return 1.0
    said = stated.lower()
    for name in ("hourangle",) if said in HOURS else (stated, said, said.rstrip("s")):
        try:
            return float(Unit(name).to(wanted))
        except (ValueError, UnitConversionError):
            continue
    if pd.api.types.is_numeric_dtype(column.dtype):
        raise GalaxAlignError(
            f"catalogue {catalogue.path}: {column.name!r} is in {stated!r}, which is no angle: give it in {wanted}"
        )
    return 1.0


def _positions(column: "pd.Series[Any]", unit: float, axis: str, where: Places, marks: Marks) -> NDArray[np.float64]:
    values = degrees(column, axis, unit)
    allowed = "-180 to 360" if axis == "ra" else "-90 to 90"
    marks.add(
        np.isnan(values),
        "position",
        lambda row: f"{where(row)}: {column.name!r} is {_said(column, row)}, no angle from {allowed} degrees",
    )
    return values


def _numbers(column: "pd.Series[Any]", high: float, where: Places, marks: Marks) -> NDArray[np.float64]:
    """Numbers from 0, or shares from 0 to 1."""
    values, bad = numbers(column)
    rounding = ROUNDING if np.isfinite(high) else 0.0
    bad |= (values < -rounding) | (values > high + rounding)
    wanted = f"share from 0 to {high:g}" if np.isfinite(high) else "number from 0"
    marks.add(bad, "number", lambda row: f"{where(row)}: {column.name!r} is {_said(column, row)}, no {wanted}")
    return np.where(bad, np.nan, values)


def _said(column: "pd.Series[Any]", row: int) -> str:
    cell: Any = column.iat[row]
    said = "" if pd.isna(cell) else cell_text(cell)
    return repr(said) if said else "empty"


def _members(column: "pd.Series[Any]") -> "pd.Series[str]":
    """Names of groups, empty where the cell says in one way or another that there is none."""
    names = texts(column)
    return names.mask(names.str.lower().isin(UNKNOWN), "")


def _given(column: "pd.Series[Any]", where: Places) -> "pd.Series[str]":
    said = texts(column).str.lower()
    said = said.mask(said.isin(UNKNOWN), "")
    unknown = ~said.isin(list(GIVEN))
    if unknown.any():
        row = int(np.argmax(unknown.to_numpy(bool)))
        raise GalaxAlignError(
            f"catalogue {where(row)}: {column.name!r}, named by columns.split, is {said[row]!r}: it must be "
            "train, validation or test, or empty"
        )
    return said.map(GIVEN)


def _sources(table: pd.DataFrame, file: str, root: Path, where: Places, marks: Marks) -> "pd.Series[str]":
    """Locators; a file name that is no absolute path starts from `root`."""
    pattern = file if "{" in file else "{" + file + "}"
    names = pd.Series("", index=table.index, dtype=str)
    for place, part in enumerate(re.split(r"{(.*?)}", pattern)):
        if place % 2 == 0:
            names += part
        elif part == "band":
            names += "{band}"
        elif part == ROW and ROW not in table:
            names += table.index.astype(str).to_series(index=table.index)
        else:
            cells = texts(table[part])
            marks.add(
                (cells == "").to_numpy(bool),
                "no_file",
                lambda row, part=part: f"{where(row)}: {part!r}, which names the file, is empty",  # type: ignore[misc]
            )
            names += cells
    return names.where(names.str.startswith("/"), f"{root}/" + names)
