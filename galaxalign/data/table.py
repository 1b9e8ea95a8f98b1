"""A table on disk, whatever its format, and what all formats share."""

import re
import struct
import warnings
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from lzma import LZMAError
from pathlib import Path
from typing import Any, TypeVar
from xml.parsers.expat import ExpatError

import numpy as np
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
# Ends the name of the column with which astropy says which cells of another are empty.
MASK = ".mask"
# Where astropy's description of a table says which columns are parts of one.
MIXED = "__serialized_columns__"
# Systems of positions, in words of VOTable and of astropy, that are none of right ascension and declination.
_NOT_EQUATORIAL = ("GALACTIC", "SUPERGALACTIC", "ECLIPTIC", "ECL_FK4", "ECL_FK5")
# What the libraries raise on files that are damaged in one way or another.
DAMAGED = (
    *(ValueError, OSError, EOFError, LookupError, TypeError, AttributeError, RuntimeError, StopIteration),
    *(ArithmeticError, AssertionError, struct.error, zlib.error, LZMAError),
    *(fits.VerifyError, ExpatError, VOTableSpecError, pa.ArrowException, YAMLError),
)


@dataclass(frozen=True)
class Table:
    """A table on disk: the names of its columns, how to read some of them, and what the file states of them.

    Attributes
    ----------
    units : by name, where there are any.
    elsewhere : by name, the system of positions that are no right ascension and declination of J2000.
    """

    path: Path
    names: tuple[str, ...]
    _read: Callable[[Sequence[str]], pd.DataFrame | Rows]
    units: Mapping[str, str] = field(default_factory=dict)
    elsewhere: Mapping[str, str] = field(default_factory=dict)

    def read(self, names: Sequence[str]) -> Rows:
        """The named columns with the types that the file gives them; in text files every cell is a text.

        Raises `GalaxAlignError` where the file is damaged or has no rows.
        """
        found = guarded(lambda: self._checked(list(dict.fromkeys(names))), self.path)
        rows = found if isinstance(found, Rows) else Rows(found)
        if len(rows.cells) == 0:
            raise GalaxAlignError(f"catalogue {self.path} has no rows: name a catalogue with galaxies")
        return rows

    def _checked(self, names: Sequence[str]) -> pd.DataFrame | Rows:
        for name in names:
            if name in self.elsewhere:
                raise ValueError(f"column {name!r} is in {self.elsewhere[name]}: give positions of J2000")
        return self._read(names)


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


@dataclass(frozen=True)
class Description:
    """What astropy says of the columns of a table that it wrote: `units` and `elsewhere`, as a `Table` has them."""

    units: dict[str, str]
    elsewhere: dict[str, str]


def description_of(lines: Iterable[str]) -> Description:
    """What the lines of YAML say in which astropy describes a table; raises `ValueError` where they are none."""
    try:
        said = get_header_from_yaml(lines)
    except YamlParseError as error:
        raise ValueError("what astropy says of its columns is no YAML") from error
    units = {column["name"]: str(column["unit"]) for column in said["datatype"] if column.get("unit")}
    elsewhere: dict[str, str] = {}
    for name, parts in (said.get("meta") or {}).get(MIXED, {}).items():
        system = other_than_j2000(str(parts.get("frame", "")), str(parts.get("equinox", "")))
        if system and str(parts.get("__class__")).endswith("SkyCoord"):
            axes = ("ra", "dec", "l", "b", "lon", "lat")
            elsewhere |= {f"{name}.{axis}": f"{system}, as astropy wrote" for axis in axes}
    return Description(units, elsewhere)


def other_than_j2000(system: str, equinox: str) -> str:
    """What a system of positions is called that has no right ascension and declination of J2000; else empty.

    In words of astropy, and of VOTable 1.5 or older.
    """
    name = system.removeprefix("eq_").upper()
    if name.startswith("FK4"):
        return f"{name} of {equinox or 'B1950'}"
    if name == "FK5" and equinox and not re.fullmatch(r"J?2000(\.0*)?", equinox.strip()):
        return f"{name} of {equinox}"
    return name if name in _NOT_EQUATORIAL else ""


def without_masks(names: Sequence[str]) -> tuple[str, ...]:
    """Names of columns, less those with which astropy says which cells of another are empty."""
    known = set(names)
    return tuple(name for name in names if not (name.endswith(MASK) and name.removesuffix(MASK) in known))


def read_masked(
    names: Collection[str], wanted: Sequence[str], read: Callable[[Sequence[str]], pd.DataFrame]
) -> pd.DataFrame:
    """The wanted ones of a table's columns, empty where their masks say so; `read` reads columns as they are."""
    masks = [mask for mask in (f"{name}{MASK}" for name in wanted) if mask in names]
    frame = read([*wanted, *masks])
    for mask in masks:
        name = mask.removesuffix(MASK)
        cells = frame[name]
        if isinstance(cells.dtype, np.dtype) and cells.dtype.kind in "iu":
            # Integers stay integers where cells are empty, so that ids of 19 digits keep them all.
            whole: Any = "UInt64" if cells.dtype.kind == "u" else "Int64"
            cells = cells.astype(whole)
        frame[name] = cells.mask(frame[mask].astype(bool))
    return frame[list(wanted)]


def native(values: NDArray[Any]) -> Any:
    """Values in the machine's byte order, bytes as texts."""
    if values.dtype.kind == "S" or (values.dtype.kind == "O" and len(values) and isinstance(values[0], bytes)):
        return pd.Series([cell.decode("utf-8", "replace") for cell in values.tolist()], dtype=object)
    if values.dtype.kind == "O":
        return pd.Series(values.tolist(), dtype=object)
    return values.astype(values.dtype.newbyteorder("="), copy=False)
