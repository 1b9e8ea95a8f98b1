"""Cells of a catalogue, whatever their type, as texts, numbers and angles."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

# Whole numbers up to this one are all float64; beyond, floats skip numbers, and ids lose digits.
EXACT = 2**53
# The same of float32.
EXACT_SINGLE = 2**24
# What people and programs write into cells that say nothing.
UNKNOWN = ("", "nan", "na", "null", "none", "n/a", "--", "<na>")
# How programs write large floats as texts.
_ROUNDED = r"\d(?:\.\d+)?[eE]\+?\d{2}"
# Degrees or hours, minutes and seconds: 12:34:56.7, -1 02 03, 12h34m56.7s, +01d02'03".
_SEXAGESIMAL = (
    r"^(?P<sign>[+\-\u2212]?)(?P<whole>\d{1,3})(?P<unit>[:hd°\s])\s*(?P<minutes>[0-5]?\d)[:m'′\s]\s*"
    r"(?P<seconds>[0-5]?\d(?:\.\d*)?)(?:s|\"|″|'')?$"
)


def texts(column: "pd.Series[Any]") -> "pd.Series[str]":
    """Cells as texts without blanks around them, "" where empty; whole numbers have no decimal point.

    An integer keeps all its digits.  A float is told by the shortest text that means it.
    """
    if pd.api.types.is_float_dtype(column.dtype):
        # Single precision says 0.1, not what it is in double.
        values = column.to_numpy(np.float32 if _is_single(column) else np.float64, na_value=np.nan)
        whole = np.isfinite(values) & (np.abs(values) <= EXACT) & (values == np.round(values))
        said = np.where(np.isnan(values), "", values.astype(str)).astype(object)
        said[whole] = values[whole].astype(np.int64).astype(str)
        return pd.Series(said, index=column.index, dtype=str)
    empty = column.isna()
    if column.dtype == object:
        return pd.Series([cell_text(cell) for cell in column], index=column.index, dtype=str).mask(empty, "")
    return column.astype(str).str.strip().mask(empty, "")


def _is_single(column: "pd.Series[Any]") -> bool:
    return str(column.dtype).lower() == "float32"


def cell_text(cell: Any) -> str:
    """A cell of a column of several types, without blanks around it."""
    if isinstance(cell, bytes):
        return cell.decode("utf-8", "replace").strip()
    if isinstance(cell, float) and cell.is_integer() and abs(cell) <= EXACT:
        return str(int(cell))
    return str(cell).strip()


def loses_digits(column: "pd.Series[Any]") -> bool:
    """Whether whole numbers of a column are, or were when a text was made of them, floats too large to tell neighbours
    apart.
    """
    if pd.api.types.is_float_dtype(column.dtype):
        exact = EXACT_SINGLE if _is_single(column) else EXACT
        return bool((column.abs() >= exact).any())
    if isinstance(column.dtype, pd.StringDtype):
        rounded = column[column.str.fullmatch(_ROUNDED).fillna(False).astype(bool)]
        # A few may be anything, and are but a few bad rows.
        return bool((rounded.astype(float) >= EXACT).sum() > len(column) / 2)
    return column.dtype == object and any(isinstance(cell, float) and abs(cell) >= EXACT for cell in column)


def numbers(column: "pd.Series[Any]") -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Cells as numbers, and which cells say something that is no finite number.

    Returns
    -------
    values : (N,), not a number where the cell is empty or bad.
    bad : (N,).
    """
    if pd.api.types.is_numeric_dtype(column.dtype):
        values = column.to_numpy(np.float64, na_value=np.nan)
        bad = np.isinf(values)
    else:
        said = texts(column)
        values = pd.to_numeric(said.mask(said.str.lower().isin(UNKNOWN)), errors="coerce").to_numpy(np.float64)
        bad = ~np.isfinite(values) & ~said.str.lower().isin(UNKNOWN).to_numpy(bool)
    return np.where(bad, np.nan, values), bad


def degrees(column: "pd.Series[Any]", axis: str, unit: float = 1.0) -> NDArray[np.float64]:
    """Positions in degrees, (N,), from 0 to 360 for ``ra``, from -90 to 90 for ``dec``.

    A position is a number of so many degrees as `unit` has (``ra`` from -180 degrees too), or sexagesimal: then right
    ascension is in hours unless the cell has a ``d`` or a degree sign, and declination in degrees.  Not a number where
    a cell is empty, cannot be read, or is not on the sky.
    """
    values, bad = numbers(column)
    values = values * unit
    if bad.any():
        values[bad] = _sexagesimal(texts(column[bad]), axis)
    low, high = (-180.0, 360.0) if axis == "ra" else (-90.0, 90.0)
    values = np.where((values >= low) & (values <= high), values, np.nan)
    return np.where(values < 0, values + 360, values) if axis == "ra" else values


def _sexagesimal(said: "pd.Series[str]", axis: str) -> NDArray[np.float64]:
    parts = said.str.extract(_SEXAGESIMAL)
    whole, minutes, seconds = (parts[name].to_numpy(np.float64) for name in ("whole", "minutes", "seconds"))
    hours = (parts["unit"] != "d") & (parts["unit"] != "°") & (axis == "ra")
    sign = np.where(parts["sign"].isin(["-", "\u2212"]), -1.0, 1.0)
    result: NDArray[np.float64] = sign * (whole + minutes / 60 + seconds / 3600) * np.where(hours, 15.0, 1.0)
    return result
