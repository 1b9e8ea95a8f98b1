"""Tables of text, CSV and TSV: a line a row, whose cells a separator divides."""

import bz2
import csv
import gzip
import lzma
import re
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
# Where a line ends, as `csv` has it.
_BREAK = re.compile(r"\r\n|\r|\n")
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
        fault, lost = "", list[int]()
        if len(record) != len(header) or first != last:
            lost = _swallowed(first, record, separator, len(header)) if first != last else []
            fault = _fault(first, last, record, header, places, lost)
        if len(record) != len(header) and not fault:
            uneven.append(len(lines))
        if fault:
            faults[len(lines)] = fault
        picked.append(nothing if fault else pick(record))
        lines.append(first)
        for line in lost if fault else ():
            faults[len(lines)] = f"it lies in a cell of line {first}, as if a quote were left open there"
            picked.append(nothing)
            lines.append(line)
        if len(picked) >= BLOCK:
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


def _fault(
    first: int, last: int, record: Sequence[str], header: Sequence[str], places: Sequence[int], lost: Sequence[int]
) -> str:
    """What is wrong with the row of lines `first` to `last`, if anything is; those of `lost` look like rows, too."""
    if last > first and (lost or any("\n" in record[place] or "\r" in record[place] for place in places)):
        return f"a cell goes on to line {last}, as if a quote were left open"
    if len(record) != len(header) and not _ends_in_separator(record, header):
        return f"it has {len(record)} cells, the header {len(header)}"
    return ""


def _swallowed(first: int, record: Sequence[str], separator: str, cells: int) -> list[int]:
    """Lines of a row, but for its first, that have as many cells as a row by themselves, or more."""
    line, found = first, list[int]()
    for place, cell in enumerate(record):
        _, *parts = _BREAK.split(cell)
        for part in parts:
            line += 1
            # The last one goes on in the cells that follow.
            behind = len(record) - place - 1 if part is parts[-1] else 0
            if part.count(separator) + behind >= max(1, cells - 1):
                found.append(line)
    return found


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
        line, last, begun = 1, 0, False
        try:
            for record in reader:
                line, last = last + 1, reader.line_num
                if record == [_END]:
                    return
                alone = "".join(record).strip() if len(record) < 2 else None
                # Some write a title, or comments, above the header.
                if alone == "" or (alone is not None and alone.startswith("#") and not begun):
                    continue
                begun = True
                yield line, last, record
        except csv.Error as error:
            if reader.line_num > last + 1 and "field larger" in str(error):
                raise ValueError(f"a quote that opens in line {last + 1} or after is never closed") from error
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
