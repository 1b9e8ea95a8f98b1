"""A table on disk, whatever its format, and what all formats share."""

import struct
import warnings
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from lzma import LZMAError
from pathlib import Path
from typing import Any, TypeVar
from xml.parsers.expat import ExpatError

import pandas as pd
import pyarrow as pa
from astropy.io import fits
from astropy.io.votable.exceptions import VOTableSpecError
from astropy.table.meta import YamlParseError, get_header_from_yaml
from astropy.utils.exceptions import AstropyWarning
from numpy.typing import NDArray
from yaml import YAMLError

from galaxalign.data.delimited import Rows
from galaxalign.errors import GalaxAlignError

T = TypeVar("T")
# What the libraries raise on files that are damaged in one way or another.
DAMAGED = (
    *(ValueError, OSError, EOFError, LookupError, TypeError, AttributeError, RuntimeError, StopIteration),
    *(ArithmeticError, AssertionError, struct.error, zlib.error, LZMAError),
    *(fits.VerifyError, ExpatError, VOTableSpecError, pa.ArrowException, YAMLError),
)


@dataclass(frozen=True)
class Table:
    """A table on disk: the names of its columns, how to read some of them, and the units that the file states."""

    path: Path
    names: tuple[str, ...]
    _read: Callable[[Sequence[str]], pd.DataFrame | Rows]
    units: Mapping[str, str] = field(default_factory=dict)

    def read(self, names: Sequence[str]) -> Rows:
        """The named columns with the types that the file gives them; in text files every cell is a text.

        Raises `GalaxAlignError` where the file is damaged or has no rows.
        """
        found = guarded(lambda: self._read(list(dict.fromkeys(names))), self.path)
        rows = found if isinstance(found, Rows) else Rows(found)
        if len(rows.cells) == 0:
            raise GalaxAlignError(f"catalogue {self.path} has no rows: name a catalogue with galaxies")
        return rows


def guarded(read: Callable[[], T], path: Path) -> T:
    """What `read` returns, with all that libraries say of damaged files as one sentence."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # A table that is cut off must not pass for a shorter one.
            warnings.filterwarnings("error", message=".*truncated", category=AstropyWarning)
            return read()
    except MemoryError as error:
        raise GalaxAlignError(
            f"catalogue {path} takes more memory than there is: save it as .parquet or .fits, of which no more is read "
            "than the columns that are named, or give it in parts"
        ) from error
    except (*DAMAGED, AstropyWarning) as error:
        raise GalaxAlignError(f"catalogue {path} cannot be read ({' '.join(str(error).split())}): mend it") from error


def described_units(lines: Iterable[bytes]) -> dict[str, str]:
    """Units of columns, by the lines of YAML in which astropy describes a table."""
    try:
        columns = get_header_from_yaml(line.decode() for line in lines)["datatype"]
    except YamlParseError as error:
        raise ValueError("what astropy says of its columns is no YAML") from error
    return {column["name"]: str(column["unit"]) for column in columns if column.get("unit")}


def native(values: NDArray[Any]) -> Any:
    """Values in the machine's byte order, bytes as texts."""
    if values.dtype.kind == "S" or (values.dtype.kind == "O" and len(values) and isinstance(values[0], bytes)):
        return pd.Series([cell.decode("utf-8", "replace") for cell in values.tolist()], dtype=object)
    if values.dtype.kind == "O":
        return pd.Series(values.tolist(), dtype=object)
    return values.astype(values.dtype.newbyteorder("="), copy=False)
