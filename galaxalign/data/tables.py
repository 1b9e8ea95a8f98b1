"""Tables of any format: which columns a file has, and those that are wanted with the types that it gives them."""

import gzip
import io
import math
import re
import resource
import struct
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from lzma import LZMAError
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar
from xml.parsers.expat import ExpatError

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.coordinates import SkyCoord
from astropy.io import fits, votable
from astropy.io.votable.exceptions import VOTableSpecError
from astropy.table import Table as AstropyTable
from astropy.table.meta import YamlParseError, get_header_from_yaml
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
# Where astropy describes the columns of a table: a key of parquet, and what ends the name of another data set of HDF5.
DESCRIBED, DESCRIPTION = b"table_meta_yaml", ".__table_column_meta__"
_ELSEWHERE = re.compile(rb"<(?:\w+:)?STREAM\b[^>]*\bhref\s*=", re.IGNORECASE)
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
        found = _guarded(lambda: self._read(list(dict.fromkeys(names))), self.path)
        rows = found if isinstance(found, Rows) else Rows(found)
        if len(rows.cells) == 0:
            raise GalaxAlignError(f"catalogue {self.path} has no rows: name a catalogue with galaxies")
        return rows


def open_table(path: Path) -> Table:
    """A table of one of the formats in `FORMATS`, told by the file's name; nothing but its header is read so far as
    the format allows.

    CSV and TSV (also compressed), ECSV and VOTable hold one table.  Of a FITS file it is the first extension with a
    table.  Of an HDF5 file its columns are the data sets with one value a row, named by their path in the file, and the
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
    except MemoryError as error:
        raise GalaxAlignError(
            f"catalogue {path} takes more memory than there is: save it as .parquet or .fits, of which no more is read "
            "than the columns that are named, or give it in parts"
        ) from error
    except (*_DAMAGED, AstropyWarning) as error:
        raise GalaxAlignError(f"catalogue {path} cannot be read ({' '.join(str(error).split())}): mend it") from error


def _open_text(path: Path, separator: str) -> Table:
    return Table(path, read_header(path, separator), partial(read_rows, path, separator))


def _open_parquet(path: Path) -> Table:
    schema = pq.read_schema(path)
    said = (schema.metadata or {}).get(DESCRIBED)

    def read(wanted: Sequence[str]) -> pd.DataFrame:
        columns = pq.read_table(path, columns=list(wanted))
        frame: pd.DataFrame = columns.to_pandas(types_mapper=_INTEGERS.get, ignore_metadata=True)
        return frame

    return Table(path, tuple(schema.names), read, {} if said is None else _described_units(said.split(b"\n")))


def _described_units(lines: Iterable[bytes]) -> dict[str, str]:
    """Units of columns, by the lines of YAML in which astropy describes a table."""
    try:
        columns = get_header_from_yaml(line.decode() for line in lines)["datatype"]
    except YamlParseError as error:
        raise ValueError("what astropy says of its columns is no YAML") from error
    return {column["name"]: str(column["unit"]) for column in columns if column.get("unit")}


def _open_fits(path: Path) -> Table:
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
            if isinstance(unit, fits.BinTableHDU | fits.TableHDU) and not isinstance(unit, fits.CompImageHDU):
                named = _named_fields(unit)
                units = {column.name: column.unit for column in named if column.unit}
                return Table(path, tuple(column.name for column in named), partial(_read_fits, path, place), units)
    raise ValueError("it has no extension with a table")


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
    native = _native(values)
    null = unit.columns[name].null
    if null is None or stored.dtype.kind not in "iu":
        return native
    # TNULL is of the values as they are stored, before TSCAL and TZERO (FITS standard 4.0, section 7.3.2).
    empty = stored == int(null)
    if native.dtype.kind not in "iu":
        return np.where(empty, np.nan, native)
    return pd.array(np.ma.array(native, mask=empty).tolist(), dtype="UInt64" if native.dtype.kind == "u" else "Int64")


def _native(values: NDArray[Any]) -> Any:
    """Values in the machine's byte order, bytes as texts."""
    if values.dtype.kind == "S" or (values.dtype.kind == "O" and len(values) and isinstance(values[0], bytes)):
        return pd.Series([cell.decode("utf-8", "replace") for cell in values.tolist()], dtype=object)
    if values.dtype.kind == "O":
        return pd.Series(values.tolist(), dtype=object)
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _open_astropy(
    path: Path, table: AstropyTable, doubled: Sequence[str] = (), old: Mapping[str, str] = MappingProxyType({})
) -> Table:
    """A table of a format that can only be read whole; names that are `doubled` stand there twice, those of positions
    that are not of J2000 are in `old` with their system.
    """
    for name in table.colnames:
        if isinstance(table[name], SkyCoord):
            table[name] = table[name].icrs
        elif table[name].shape[1:] and math.prod(table[name].shape[1:]) == 1:
            table[name] = table[name].reshape(-1)
    # Positions on the sky and times become the columns NAME.ra, NAME.dec, NAME.jd1 that they are stored as.
    table = represent_mixins_as_columns(table)
    flat = [name for name in table.colnames if table[name].ndim == 1]
    units = {name: str(table[name].unit) for name in flat if table[name].unit is not None}

    def read(wanted: Sequence[str]) -> pd.DataFrame:
        for name in wanted:
            if name in old:
                raise ValueError(f"column {name!r} is in {old[name]}, by its COOSYS: give positions of J2000")
        frame: pd.DataFrame = table[list(wanted)].to_pandas(index=False, use_nullable_int=True)
        return frame

    return Table(path, (*flat, *doubled), read, units)


def _open_ecsv(path: Path) -> Table:
    return _open_astropy(path, AstropyTable.read(path, format="ascii.ecsv"))


def _open_votable(path: Path) -> Table:
    whole = path.read_bytes()
    if whole.startswith(b"\x1f\x8b"):
        raise ValueError("it is packed by gzip: unpack it")
    if _ELSEWHERE.search(whole):
        # astropy would fetch it, whatever it is.
        raise ValueError("its rows are in another file, which a STREAM names: save them in the table")
    first = votable.parse(io.BytesIO(whole), filename=str(path), verify="ignore")
    systems = {system.ID: other for system in first.iter_coosys() if (other := _other_than_j2000(system))}
    fields = first.get_first_table()
    table = fields.to_table(use_names_over_ids=True)
    places = zip(table.colnames, fields.fields, strict=True)
    old = {name: systems[column.ref] for name, column in places if column.ref in systems}
    names = [column.name for column in fields.fields]
    return _open_astropy(path, table, [name for name in dict.fromkeys(names) if names.count(name) > 1], old)


def _other_than_j2000(coosys: Any) -> str:
    """What a COOSYS calls equatorial positions that are not of J2000, in words of VOTable 1.5 or older; else empty."""
    system = str(coosys.system).removeprefix("eq_").upper()
    if system.startswith("FK4"):
        return f"{system} of {coosys.equinox or 'B1950'}"
    older = system == "FK5" and coosys.equinox and not re.fullmatch(r"J?2000(\.0*)?", coosys.equinox.strip())
    return f"{system} of {coosys.equinox}" if older else ""


def _open_hdf5(path: Path) -> Table:
    found: list[tuple[str, str | None]] = []
    units: dict[tuple[str, str | None], str] = {}

    def visit(name: str, item: Any) -> None:
        if not isinstance(item, h5py.Dataset) or not item.ndim or math.prod(item.shape[1:]) != 1:
            return
        if name.endswith(DESCRIPTION):
            said = _described_units(_believed(item, path)[:])
            units.update(((name.removesuffix(DESCRIPTION), part), unit) for part, unit in said.items())
        else:
            parts = item.dtype.names or [None]
            found.extend((name, part) for part in parts if part is None or math.prod(item.dtype[part].shape) == 1)

    with _bounded_memory(path), h5py.File(path, "r") as file:
        file.visititems(visit)
    # Rows of several tables are not the same galaxies.
    several = len({data for data, part in found if part is not None}) > 1
    keys = [data if part is None else f"{data}/{part}" if several else part for data, part in found]
    columns = dict(zip(keys, found, strict=True))
    names = [name for name in keys if not (name.endswith(MASK) and name.removesuffix(MASK) in columns)]

    def read(wanted: Sequence[str]) -> pd.DataFrame:
        masks = {f"{name}{MASK}" for name in wanted} & columns.keys()
        frame = _read_hdf5(path, {name: columns[name] for name in [*wanted, *sorted(masks)]})
        for name in masks:
            own = name.removesuffix(MASK)
            frame[own] = frame[own].mask(frame[name].astype(bool))
        return frame[list(wanted)]

    return Table(path, tuple(names), read, {name: units[columns[name]] for name in names if columns[name] in units})


def _read_hdf5(path: Path, columns: dict[str, tuple[str, str | None]]) -> pd.DataFrame:
    with _bounded_memory(path), h5py.File(path, "r") as file:
        frame = {name: _hdf5_column(_believed(file[data], path), field) for name, (data, field) in columns.items()}
    lengths = {name: len(column) for name, column in frame.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError("its columns differ in length: " + ", ".join(f"{n} has {rows}" for n, rows in lengths.items()))
    return pd.DataFrame(frame)


def _believed(data: h5py.Dataset, path: Path) -> h5py.Dataset:
    """A data set, if a file of this size can hold it."""
    if data.nbytes > DENSEST * path.stat().st_size:
        raise ValueError(f"{data.name[1:]!r} claims {len(data)} rows, more than a file of its size can hold")
    return data


def _hdf5_column(data: h5py.Dataset, field: str | None) -> Any:
    """A column in the machine's byte order; numbers that the file calls by names (an enumeration) are these names."""
    values = _native((data[:] if field is None else data.fields(field)[:]).reshape(-1))
    named = h5py.check_enum_dtype(data.dtype if field is None else data.dtype[field].base)
    if not named:
        return values
    names = {number: name for name, number in named.items()}
    return pd.Series([names.get(number, str(number)) for number in values.tolist()], dtype=object)


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
    bound = wanted if soft == resource.RLIM_INFINITY else min(wanted, soft)
    resource.setrlimit(resource.RLIMIT_AS, (bound, hard))
    try:
        yield
    except MemoryError as error:
        if bound < wanted:
            raise
        raise ValueError("it claims more than a file of its size can hold") from error
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


FORMATS: dict[str, Callable[[Path], Table]] = {
    ".ecsv": _open_ecsv,
    **{f".csv{packed}": lambda path: _open_text(path, ",") for packed in ("", ".gz", ".bz2", ".xz")},
    **{f".tsv{packed}": lambda path: _open_text(path, "\t") for packed in ("", ".gz", ".bz2", ".xz")},
    ".parquet": _open_parquet,
    ".pq": _open_parquet,
    ".fits": _open_fits,
    ".fit": _open_fits,
    ".fits.gz": _open_fits,
    ".vot": _open_votable,
    ".votable": _open_votable,
    ".xml": _open_votable,
    ".h5": _open_hdf5,
    ".hdf5": _open_hdf5,
}
