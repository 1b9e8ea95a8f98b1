"""Tables of any format: which columns a file has, and those that are wanted with the types that it gives them."""

import io
import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.coordinates import SkyCoord
from astropy.io import votable
from astropy.table import Table as AstropyTable
from astropy.table.serialize import represent_mixins_as_columns

from galaxalign.data.delimited import read_header, read_rows
from galaxalign.data.fits_tables import open_fits
from galaxalign.data.hdf5_tables import open_hdf5
from galaxalign.data.table import Table, description_of, guarded, other_than_j2000, read_masked, without_masks
from galaxalign.errors import GalaxAlignError

# The key of parquet under which astropy describes the columns of a table.
DESCRIBED = b"table_meta_yaml"
_ELSEWHERE = re.compile(rb"<(?:\w+:)?STREAM\b[^>]*\bhref\s*=", re.IGNORECASE)
# Integers stay integers where cells are empty, so that ids of 19 digits keep them all.
_INTEGERS: dict[pa.DataType, Any] = {
    kind: getattr(pd, f"{name}Dtype")()
    for kind, name in (
        *((pa.int8(), "Int8"), (pa.int16(), "Int16"), (pa.int32(), "Int32"), (pa.int64(), "Int64")),
        *((pa.uint8(), "UInt8"), (pa.uint16(), "UInt16"), (pa.uint32(), "UInt32"), (pa.uint64(), "UInt64")),
    )
}


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
    return guarded(lambda: FORMATS[suffix](path), path)


def _open_text(path: Path, separator: str) -> Table:
    return Table(path, read_header(path, separator), partial(read_rows, path, separator))


def _open_parquet(path: Path) -> Table:
    schema = pq.read_schema(path)
    said = (schema.metadata or {}).get(DESCRIBED)

    def read(wanted: Sequence[str]) -> pd.DataFrame:
        columns = pq.read_table(path, columns=list(wanted))
        frame: pd.DataFrame = columns.to_pandas(types_mapper=_INTEGERS.get, ignore_metadata=True)
        return frame

    if said is None:
        return Table(path, tuple(schema.names), read)
    stated = description_of(said.decode().split("\n"))
    masked = partial(read_masked, schema.names, read=read)
    return Table(path, without_masks(schema.names), masked, stated.units, stated.elsewhere)


def _open_astropy(
    path: Path, table: AstropyTable, doubled: Sequence[str] = (), elsewhere: Mapping[str, str] = MappingProxyType({})
) -> Table:
    """A table of a format that can only be read whole; names that are `doubled` stand there twice, `elsewhere` is
    as of a `Table`.
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
        frame: pd.DataFrame = table[list(wanted)].to_pandas(index=False, use_nullable_int=True)
        return frame

    return Table(path, (*flat, *doubled), read, units, elsewhere)


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
    systems = {
        system.ID: f"{other}, by its COOSYS"
        for system in first.iter_coosys()
        if (other := other_than_j2000(str(system.system), system.equinox or ""))
    }
    fields = first.get_first_table()
    table = fields.to_table(use_names_over_ids=True)
    places = zip(table.colnames, fields.fields, strict=True)
    elsewhere = {name: systems[column.ref] for name, column in places if column.ref in systems}
    names = [column.name for column in fields.fields]
    return _open_astropy(path, table, [name for name in dict.fromkeys(names) if names.count(name) > 1], elsewhere)


FORMATS: dict[str, Callable[[Path], Table]] = {
    ".ecsv": _open_ecsv,
    **{f".csv{packed}": lambda path: _open_text(path, ",") for packed in ("", ".gz", ".bz2", ".xz")},
    **{f".tsv{packed}": lambda path: _open_text(path, "\t") for packed in ("", ".gz", ".bz2", ".xz")},
    ".parquet": _open_parquet,
    ".pq": _open_parquet,
    ".fits": open_fits,
    ".fit": open_fits,
    ".fits.gz": open_fits,
    ".vot": _open_votable,
    ".votable": _open_votable,
    ".xml": _open_votable,
    ".h5": open_hdf5,
    ".hdf5": open_hdf5,
}
