"""HDF5 files that are either whole or not there."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py


@contextmanager
def whole_hdf5(path: Path) -> Iterator[h5py.File]:
    """A file to fill, which is at `path` once it is complete, or else what was there before.

    It is filled in memory: where a disk is full HDF5 ends the whole process as it closes a file.
    """
    memory, aside = io.BytesIO(), path.with_name(f".{path.name}.part")
    with h5py.File(memory, "w") as file:
        yield file
    try:
        aside.write_bytes(memory.getbuffer())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
