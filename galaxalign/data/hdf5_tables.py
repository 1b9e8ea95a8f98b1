"""Tables of HDF5 files: data sets with a value a row, and the fields of compound ones."""

import math
import resource
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import pandas as pd

from galaxalign.data.table import Table, description_of, native, read_masked, without_masks

# Bytes that a byte of a file can stand for at most: deflate reaches 1,032.
DENSEST = 2000
# Bytes that reading a small HDF5 file may take, whatever is in it.
SPARE = 2**28
# What ends the name of the data set in which astropy describes the columns of another.
DESCRIPTION = ".__table_column_meta__"


def open_hdf5(path: Path) -> Table:
    """The columns of all its tables, see `open_table`; raises what `guarded` knows where the file is damaged."""
    found: list[tuple[str, str | None]] = []
    units: dict[tuple[str, str | None], str] = {}
    elsewhere: dict[tuple[str, str | None], str] = {}

    def visit(name: str, item: Any) -> None:
        if not isinstance(item, h5py.Dataset) or not item.ndim or math.prod(item.shape[1:]) != 1:
            return
        if name.endswith(DESCRIPTION):
            data, lines = name.removesuffix(DESCRIPTION), _believed(item, path)[:]
            said = description_of(line.decode() for line in lines)
            units.update(((data, part), unit) for part, unit in said.units.items())
            elsewhere.update(((data, part), system) for part, system in said.elsewhere.items())
        else:
            parts = item.dtype.names or [None]
            found.extend((name, part) for part in parts if part is None or math.prod(item.dtype[part].shape) == 1)

    with _bounded_memory(path), h5py.File(path, "r") as file:
        file.visititems(visit)
    # Rows of several tables are not the same galaxies.
    several = len({data for data, part in found if part is not None}) > 1
    keys = [data if part is None else f"{data}/{part}" if several else part for data, part in found]
    columns = dict(zip(keys, found, strict=True))

    def read(wanted: Sequence[str]) -> pd.DataFrame:
        return _read_hdf5(path, {name: columns[name] for name in wanted})

    stated = ({name: of[columns[name]] for name in keys if columns[name] in of} for of in (units, elsewhere))
    return Table(path, without_masks(keys), partial(read_masked, columns, read=read), *stated)


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
    values = native((data[:] if field is None else data.fields(field)[:]).reshape(-1))
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
