"""Tables of FITS files."""

import gzip
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from astropy.io import fits

from galaxalign.data.table import Table, description_of, native

# Tables of SExtractor's files (FITS_LDAC) that are no catalogues, but the header of the image.
NO_CATALOGUE = ("LDAC_IMHEAD",)
# Comments between which astropy describes a table.
BEGIN, END = "--BEGIN-ASTROPY-SERIALIZED-COLUMNS--", "--END-ASTROPY-SERIALIZED-COLUMNS--"


def open_fits(path: Path) -> Table:
    """The table of the first extension that has one; raises what `guarded` knows where the file is damaged."""
    if path.suffix.lower() == ".gz":
        # astropy stops before the checksum at the end, and what is damaged may pass for other numbers.
        with gzip.open(path) as file:
            while file.read(2**20):
                pass
    with fits.open(path) as units:
        for place, unit in enumerate(units):
            if not hasattr(unit, "fileinfo"):
                # Behind a unit that it cannot make out astropy finds the same one again and again.
                raise ValueError(f"unit {place} is damaged")
            is_table = isinstance(unit, fits.BinTableHDU | fits.TableHDU) and not isinstance(unit, fits.CompImageHDU)
            if is_table and unit.name not in NO_CATALOGUE:
                named = _named_fields(unit)
                units = {column.name: column.unit for column in named if column.unit}
                names = tuple(column.name for column in named)
                return Table(path, names, partial(_read_fits, path, place), units, _elsewhere(unit.header))
    raise ValueError("it has no extension with a table")


def _elsewhere(header: fits.Header) -> dict[str, str]:
    """Columns that are not of J2000, as astropy says in the comments of a table that it wrote."""
    lines = [str(line) for line in header["COMMENT"]] if "COMMENT" in header else []
    if not {BEGIN, END} <= set(lines):
        return {}
    # A line that goes on ends in a backslash.
    said = "\n".join(lines[lines.index(BEGIN) + 1 : lines.index(END)]).replace("\\\n", "")
    return description_of(said.split("\n")).elsewhere


def _read_fits(path: Path, place: int, wanted: Sequence[str]) -> pd.DataFrame:
    with fits.open(path, memmap=True) as units:
        unit = units[place]
        _named_fields(unit)
        return pd.DataFrame({name: _fits_column(unit, name) for name in wanted})


def _named_fields(unit: Any) -> Any:
    """The columns of a FITS table; one without a name, which FITS allows, is called by its place, from 0."""
    nameless = [place for place, column in enumerate(unit.columns) if not column.name]
    if nameless and any("P" in column.format or "Q" in column.format for column in unit.columns):
        # astropy would read cells of varying length from other places then.
        raise ValueError(f"column {nameless[0] + 1} has no name: give it one (TTYPE{nameless[0] + 1})")
    for place in nameless:
        unit.columns[place].name = f"Unnamed: {place}"
    return unit.columns


def _fits_column(unit: Any, name: str) -> Any:
    """A column in the machine's byte order; integers that mean nothing (TNULL) are empty."""
    values, stored = np.array(unit.data[name]), unit.data.view(np.ndarray)[name]
    if values.dtype.kind == "O" and unit.columns[name].format.lstrip("01")[1:2] == "A":
        values = np.array(["".join(letters) for letters in values], object)
    if values.dtype.kind == "O" and values.size and isinstance(values[0], np.ndarray):
        raise ValueError(f"column {name!r} has lists of values, one a row is expected")
    if values.ndim > 1:
        if math.prod(values.shape[1:]) != 1:
            sides = " x ".join(map(str, values.shape[1:]))
            raise ValueError(f"column {name!r} has {sides} values a row, one is expected")
        values, stored = values.reshape(-1), stored.reshape(-1)
    cells, null = native(values), unit.columns[name].null
    if null is None:
        return cells
    # TNULL is of the values as they are stored, before TSCAL and TZERO (FITS standard 4.0, section 7.3.2), or, in an
    # ASCII table, of their text.
    if stored.dtype.kind in "iu":
        empty = stored == int(null)
        if cells.dtype.kind == "u" and not empty.any():
            # astropy writes of unsigned integers what they are once TZERO is added.
            empty = cells == int(null)
    elif stored.dtype.kind == "S" and cells.dtype.kind in "iuf":
        empty = np.char.strip(stored) == str(null).strip().encode()
    else:
        return cells
    if cells.dtype.kind not in "iu":
        return np.where(empty, np.nan, cells)
    return pd.array(np.ma.array(cells, mask=empty).tolist(), dtype="UInt64" if cells.dtype.kind == "u" else "Int64")
