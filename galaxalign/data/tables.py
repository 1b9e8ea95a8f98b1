"""Tables of any format: which columns a file has, and those that are wanted with the types that it gives them."""

import resource
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from lzma import LZMAError
from pathlib import Path
from typing import Any, TypeVar
from xml.parsers.expat import ExpatError

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.io import fits, votable
from astropy.io.votable.exceptions import VOTableSpecError
from astropy.table import Table as AstropyTable
from astropy.table.serialize import represent_mixins_as_columns
from astropy.utils.exceptions import AstropyWarning
from numpy.typing import NDArray
from yaml import YAMLError

from galaxalign.data.delimited import Rows, read_header, read_rows
from galaxalign.errors import GalaxAlignError

T = TypeVar("T")
# Bytes that a byte of a file can stand for at most: deflate reaches 1,032.
DENSEST = 2000
# Bytes that reading a small HDF5 file may take, whatever is in it.
SPARE = 2**28
# Ends the name of the column with which astropy says which cells of another are empty.
MASK = ".mask"
# Integers stay integers where cells are empty, so that ids of 19 digits keep them all.
_INTEGERS: dict[pa.DataType, Any] = {
    kind: getattr(pd, f"{name}Dtype")()
    for kind, name in (
        *((pa.int8(), "Int8"), (pa.int16(), "Int16"), (pa.int32(), "Int32"), (pa.int64(), "Int64")),
        *((pa.uint8(), "UInt8"), (pa.uint16(), "UInt16"), (pa.uint32(), "UInt32"), (pa.uint64(), "UInt64")),
    )
}
# What the libraries raise on files that are damaged in one way or another.
_DAMAGED = (
    *(ValueError, OSError, EOFError, LookupError, TypeError, AttributeError, RuntimeError, StopIteration),
    *(ArithmeticError, AssertionError, MemoryError, struct.error, zlib.error, LZMAError),
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
        found = _guarded(lambda: self._read(list(dict.fromkeys(names))), self.path)
        rows = found if isinstance(found, Rows) else Rows(found)
        if len(rows.cells) == 0:
            raise GalaxAlignError(f"catalogue {self.path} has no rows: name a catalogue with galaxies")
        return rows


def open_table(path: Path) -> Table:
    """A table of one of the formats in `FORMATS`, told by the file's name; nothing but its header is read so far as
    the format allows.

    CSV and TSV (also compressed), ECSV and VOTable hold one table.  Of a FITS file it is the first extension with a
    table.  Of an HDF5 file its columns are the data sets with one axis, named by their path in the file, and the
    fields of a compound data set, of several as DATASET/FIELD; where astropy's column NAME.mask says so, NAME is empty.

    Raises `GalaxAlignError` where the file is missing, of another kind, or damaged.
    """
    if not path.is_file():
        raise GalaxAlignError(f"there is no catalogue {path}: correct the path")
    name = path.name.lower()
    suffix = next((suffix for suffix in FORMATS if name.endswith(suffix)), None)
    if suffix is None:
        raise GalaxAlignError(f"catalogue {path} ends in {path.suffix!r}: give it as one of {', '.join(FORMATS)}")
    return _guarded(lambda: FORMATS[suffix](path), path)


def _guarded(read: Callable[[], T], path: Path) -> T:
    """What `read` returns, with all that libraries say of damaged files as one sentence."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # A table that is cut off must not pass for a shorter one.
            warnings.filterwarnings("error", message=".*truncated", category=AstropyWarning)
            return read()
    except (*_DAMAGED, AstropyWarning) as error:
        raise GalaxAlignError(f"catalogue {path} cannot be read ({' '.join(str(error).split())}): mend it") from error


def _open_text(path: Path, separator: str) -> Table:
    return Table(path, read_header(path, separator), partial(read_rows, path, separator))


def _open_parquet(path: Path) -> Table:
    names = tuple(pq.read_schema(path).names)

    def read(wanted: Sequence[str]) -> pd.DataFrame:
        columns = pq.read_table(path, columns=list(wanted))
        frame: pd.DataFrame = columns.to_pandas(types_mapper=_INTEGERS.get, ignore_metadata=True)
        return frame

    return Table(path, names, read)


def _open_fits(path: Path) -> Table:
    with fits.open(path) as units:
        for place, unit in enumerate(units):
            if not hasattr(unit, "fileinfo"):
                # Behind a unit that it cannot make out astropy finds the same one again and again.
                raise ValueError(f"unit {place} is damaged")
            if isinstance(unit, fits.BinTableHDU | fits.TableHDU) and not isinstance(unit, fits.CompImageHDU):
                units = {column.name: column.unit for column in unit.columns if column.unit}
                return Table(path, tuple(unit.columns.names), partial(_read_fits, path, place), units)
    raise ValueError("it has no extension with a table")


def _read_fits(path: Path, place: int, wanted: Sequence[str]) -> pd.DataFrame:
    with fits.open(path, memmap=True) as units:
        unit = units[place]
        return pd.DataFrame({name: _fits_column(unit, name) for name in wanted})


def _fits_column(unit: Any, name: str) -> Any:
    """A column in the machine's byte order; integers that mean nothing (TNULL) are empty."""
    values = np.array(unit.data[name])
    if values.ndim > 1:
        raise ValueError(f"column {name!r} has {' x '.join(map(str, values.shape[1:]))} values a row, one is expected")
    native = _native(values)
    null = unit.columns[name].null
    if null is None or native.dtype.kind not in "iu":
        return native
    return pd.array(np.ma.masked_equal(native, int(null)).tolist(), dtype="Int64")


def _native(values: NDArray[Any]) -> Any:
    """Values in the machine's byte order, bytes as texts."""
    if values.dtype.kind == "S" or (values.dtype.kind == "O" and len(values) and isinstance(values[0], bytes)):
        return pd.Series([cell.decode("utf-8", "replace") for cell in values.tolist()], dtype=object)
    if values.dtype.kind == "O":
        return pd.Series(values.tolist(), dtype=object)
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _open_astropy(path: Path, read: Callable[[Path], AstropyTable]) -> Table:
    """A format that can only be read whole."""
    table = read(path)
    # Positions on the sky and times become the columns NAME.ra, NAME.dec, NAME.jd1 that they are stored as.
    table = represent_mixins_as_columns(table)
    flat = [name for name in table.colnames if table[name].ndim == 1]
    units = {name: str(table[name].unit) for name in flat if table[name].unit is not None}
    return Table(
        path, tuple(flat), lambda wanted: table[list(wanted)].to_pandas(index=False, use_nullable_int=True), units
    )


def _read_ecsv(path: Path) -> AstropyTable:
    return AstropyTable.read(path, format="ascii.ecsv")


def _read_votable(path: Path) -> AstropyTable:
    return votable.parse(path, verify="ignore").get_first_table().to_table(use_names_over_ids=True)


def _open_hdf5(path: Path) -> Table:
    found: list[tuple[str, str | None]] = []

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.ndim == 1:
            parts = item.dtype.names or [None]
            found.extend((name, part) for part in parts if part is None or item.dtype[part].shape == ())

    with _bounded_memory(path), h5py.File(path, "r") as file:
        file.visititems(visit)
    # Rows of several tables are not the same galaxies.
    several = len({data for data, part in found if part is not None}) > 1
    columns = {(data if part is None else f"{data}/{part}" if several else part): (data, part) for data, part in found}
    names = [name for name in columns if not (name.endswith(MASK) and name.removesuffix(MASK) in columns)]

    def read(wanted: Sequence[str]) -> pd.DataFrame:
        masks = {f"{name}{MASK}" for name in wanted} & columns.keys()
        frame = _read_hdf5(path, {name: columns[name] for name in [*wanted, *sorted(masks)]})
        for name in masks:
            own = name.removesuffix(MASK)
            frame[own] = frame[own].mask(frame[name].astype(bool))
        return frame[list(wanted)]

    return Table(path, tuple(names), read)


def _read_hdf5(path: Path, columns: dict[str, tuple[str, str | None]]) -> pd.DataFrame:
    with _bounded_memory(path), h5py.File(path, "r") as file:
        for data, _ in columns.values():
            if file[data].nbytes > DENSEST * path.stat().st_size:
                raise ValueError(f"{data!r} claims {len(file[data])} rows, more than a file of its size can hold")
        frame = {
            name: _native(file[data][:] if field is None else file[data].fields(field)[:])
            for name, (data, field) in columns.items()
        }
    lengths = {name: len(column) for name, column in frame.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError("its columns differ in length: " + ", ".join(f"{n} has {rows}" for n, rows in lengths.items()))
    return pd.DataFrame(frame)


@contextmanager
def _bounded_memory(path: Path) -> Iterator[None]:
    """Let this process take no more memory than a file of this size can hold, where the system tells how much it has.

    HDF5 takes as much as a text of variable length claims to have, and looks only then whether the file has it.  It
    gives no way to see that length before.
    """
    pages = Path("/proc/self/statm")
    if not pages.is_file():
        yield
        return
    taken = int(pages.read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = taken + SPARE + DENSEST * path.stat().st_size
    limits = [limit for limit in (wanted, soft) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min(limits), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


FORMATS: dict[str, Callable[[Path], Table]] = {
    ".ecsv": lambda path: _open_astropy(path, _read_ecsv),
    **{f".csv{packed}": lambda path: _open_text(path, ",") for packed in ("", ".gz", ".bz2", ".xz")},
    **{f".tsv{packed}": lambda path: _open_text(path, "\t") for packed in ("", ".gz", ".bz2", ".xz")},
    ".parquet": _open_parquet,
    ".pq": _open_parquet,
    ".fits": _open_fits,
    ".fit": _open_fits,
    ".fits.gz": _open_fits,
    ".vot": lambda path: _open_astropy(path, _read_votable),
    ".votable": lambda path: _open_astropy(path, _read_votable),
    ".xml": lambda path: _open_astropy(path, _read_votable),
    ".h5": _open_hdf5,
    ".hdf5": _open_hdf5,
}
