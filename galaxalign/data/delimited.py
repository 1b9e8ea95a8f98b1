"""Tables of text, CSV and TSV: a line a row, whose cells a separator divides."""

import bz2
import csv
import gzip
import lzma
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

# Characters of a line, more than which is no table.
LONGEST_LINE = 2**20
_OPENERS: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
# Rows that are lists of texts at a time; the rest is packed.
BLOCK = 2**12
# What is wrong with a row that ends in an empty cell more, or less, than others.
UNEVEN = "it ends in an empty cell more, or less, than other rows: quote cells that have a separator in them"
# Read after the last line, so that a quote that is open there is seen.
_END = "\0end"


@dataclass(frozen=True)
class Rows:
    """Rows of a table.

    Attributes
    ----------
    cells : a frame of N rows.
    lines : (N,) the line of the file in which each begins, from 1; None where the file has no lines.
    faults : what is wrong with single rows; all their cells are empty, since nobody knows which is which.
    """

    cells: pd.DataFrame
    lines: NDArray[np.int64] | None = None
    faults: dict[int, str] = field(default_factory=dict)


def read_header(path: Path, separator: str) -> tuple[str, ...]:
    """The names of the columns, in the first line that is not blank; one without is called by its place, from 0.

    Raises `ValueError` where there is none, and as `read_rows` does.
    """
    for _, _, record in _records(path, separator):
        return _names(record)
    raise ValueError("it has no line")


def read_rows(path: Path, separator: str, wanted: Sequence[str]) -> Rows:
    """The wanted columns as texts; blank lines count for nothing, and rows may end in a separator if all of them do.

    Raises
    ------
    ValueError
        A quote that is never closed, a line that is too long, bytes that are not UTF-8; and what the modules that
        unpack raise.
    """
    records = _records(path, separator)
    _, _, header = next(records)
    names = _names(header)
    places = [names.index(name) for name in wanted]
    # The first one twice, since the getter of a single place gives no tuple.
    pick = itemgetter(*places, *places[:1])
    nothing = ("",) * (len(places) + 1)
    lines: list[int] = []
    faults: dict[int, str] = {}
    frames = []
    picked: list[tuple[str, ...]] = []
    # Rows that have a cell more or less than the header, an empty one at the end.
    uneven: list[int] = []
    for first, last, record in records:
        fault = ""
        if len(record) != len(header) or first != last:
            fault = _fault(first, last, record, header, places)
        if len(record) != len(header) and not fault:
            uneven.append(len(lines))
        if fault:
            faults[len(lines)] = fault
        picked.append(nothing if fault else pick(record))
        lines.append(first)
        if len(picked) == BLOCK:
            frames.append(_packed(wanted, picked))
            picked = []
    frames.append(_packed(wanted, picked))
    cells = pd.concat(frames, ignore_index=True)
    if len(uneven) + len(faults) < len(lines):
        # Others have as many as the header: a cell before the last is one too many, or is missing.
        cells.iloc[uneven] = ""
        faults |= dict.fromkeys(uneven, UNEVEN)
    return Rows(cells, np.array(lines, np.int64), faults)


def _packed(names: Sequence[str], rows: Sequence[Sequence[str]]) -> pd.DataFrame:
    """Rows as a frame, whose texts take less room than lists of them."""
    columns = zip(*rows, strict=True) if rows else ((),) * len(names)
    frame: pd.DataFrame = pa.table(
        {name: pa.array(cells, pa.string()) for name, cells in zip(names, columns, strict=False)}
    ).to_pandas()
    return frame


def _fault(first: int, last: int, record: Sequence[str], header: Sequence[str], places: Sequence[int]) -> str:
    """What is wrong with the row of lines `first` to `last`, if anything is."""
    if len(record) != len(header) and not _ends_in_separator(record, header):
        return f"it has {len(record)} cells, the header {len(header)}"
    if last > first and any("\n" in record[place] or "\r" in record[place] for place in places):
        return f"a cell goes on to line {last}, as if a quote were left open"
    return ""


def _names(header: Sequence[str]) -> tuple[str, ...]:
    return tuple(name or f"Unnamed: {place}" for place, name in enumerate(header))


def _ends_in_separator(record: Sequence[str], header: Sequence[str]) -> bool:
    """Whether one of two ends in a separator and the other does not."""
    longer, shorter = sorted((record, header), key=len, reverse=True)
    return len(longer) == len(shorter) + 1 and longer[-1] == ""


def _records(path: Path, separator: str) -> Iterator[tuple[int, int, list[str]]]:
    """The first and last line of every row, from 1, and its cells."""
    with _OPENERS.get(path.suffix.lower(), open)(path, "rt", encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(chain(_lines(file), [_END]), delimiter=separator)
        line, last = 1, 0
        try:
            for record in reader:
                line, last = last + 1, reader.line_num
                if record == [_END]:
                    return
                if len(record) > 1 or "".join(record).strip():
                    yield line, last, record
        except csv.Error as error:
            raise ValueError(f"line {last + 1}: {error}") from error
        raise ValueError(f"a quote that opens in line {line} or after is never closed")


def _lines(file: TextIO) -> Iterator[str]:
    """Lines, none longer than `LONGEST_LINE`, as an unpacked file may have."""
    number = 0
    while line := file.readline(LONGEST_LINE):
        number += 1
        if len(line) == LONGEST_LINE:
            raise ValueError(f"line {number} has more than {LONGEST_LINE} characters")
        yield line
