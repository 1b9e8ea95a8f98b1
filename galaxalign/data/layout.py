"""Where pictures lie in an HDF5 file: one behind the other, uncompressed, from a fixed byte on.

HDF5 keeps such a data set as one block of bytes.  Whoever knows where it starts can write and read pictures without
the HDF5 library: many processes write into one file, a process that is killed leaves the structure of the file as it
was, and a picture is read with one call to the system.  Any program that reads HDF5 sees an ordinary data set.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

IMAGES = "images"
# Where the pictures start, bytes: what HDF5 sets aside for the structure of a file with one data set.
OFFSET = 2048


@dataclass(frozen=True, kw_only=True)
class Extent:
    """Pictures that lie one behind the other in a file.

    Attributes
    ----------
    path : the file.
    offset : where the first one starts, bytes.
    first, count : their rows in the store are first, first + 1, ... first + count - 1.
    """

    path: Path
    offset: int
    first: int
    count: int


def lay_out(path: Path, count: int, size: int) -> None:
    """Make a file for `count` pictures (size, size, 3), or of one that was written to an empty frame anew.

    The pictures that a file of this layout already holds stay, as far as `count` reaches; everything else in it goes.
    Room on the disk is taken only as pictures are written.
    """
    frame = path.with_name(path.name + ".frame")
    with h5py.File(frame, "w") as file:
        kind = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        kind.set_layout(h5py.h5d.CONTIGUOUS)
        kind.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        kind.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        kind.set_obj_track_times(False)
        space = h5py.h5s.create_simple((count, size, size, 3))
        images = h5py.h5d.create(file.id, IMAGES.encode(), h5py.h5t.NATIVE_UINT8, space, kind)
        if images.get_offset() != OFFSET:
            raise RuntimeError(f"pictures start at byte {images.get_offset()} of {frame}, {OFFSET} is expected")
    with frame.open("rb") as file:
        head = file.read(OFFSET)
    frame.unlink()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        os.pwrite(descriptor, head, 0)
        os.ftruncate(descriptor, OFFSET + count * size * size * 3)
    finally:
        os.close(descriptor)


def extents_of(images: h5py.Dataset, path: Path) -> tuple[Extent, ...]:
    """Where the pictures of a store lie, in the order of their rows; nothing where that is not one behind the other.

    Parameters
    ----------
    images
        A contiguous data set, or a virtual one of whole contiguous data sets.
    path
        The file it is in.
    """
    if images.is_virtual:
        parts = [_extents_of_shard(path.parent / source.file_name, source) for source in images.virtual_sources()]
        return tuple(sorted(parts, key=lambda extent: extent.first))
    start = images.id.get_offset()
    return () if start is None else (Extent(path=path, offset=start, first=0, count=len(images)),)


def _extents_of_shard(path: Path, source: Any) -> Extent:
    first = source.vspace.get_regular_hyperslab()[0][0]
    with h5py.File(path, "r") as file:
        images = file[source.dset_name]
        return Extent(path=path, offset=images.id.get_offset(), first=first, count=len(images))


def read_pictures(extents: tuple[Extent, ...], rows: NDArray[np.integer[Any]], size: int) -> NDArray[np.uint8]:
    """Pictures (n, size, size, 3) of the given rows, in any order.

    Raises `IndexError` for a row that is not there, `OSError` where a file is too short.
    """
    pictures = np.empty((len(rows), size, size, 3), np.uint8)
    places = np.argsort(rows, kind="stable")
    ordered = rows[places]
    there = extents[-1].first + extents[-1].count
    if len(rows) and not 0 <= ordered[0] <= ordered[-1] < there:
        raise IndexError(f"rows {ordered[0]} to {ordered[-1]} are asked for, {there} are there")
    for extent in extents:
        low, high = np.searchsorted(ordered, [extent.first, extent.first + extent.count])
        if low < high:
            _read_extent(extent, ordered[low:high] - extent.first, places[low:high], pictures)
    return pictures


def _read_extent(
    extent: Extent, rows: NDArray[np.integer[Any]], places: NDArray[np.intp], pictures: NDArray[np.uint8]
) -> None:
    """Read ascending rows of one file into their places."""
    bytes_each = pictures[0].nbytes
    descriptor = os.open(extent.path, os.O_RDONLY)
    try:
        for start, stop in runs(rows, places):
            wanted = pictures[places[start] : places[start] + stop - start]
            read_exactly(descriptor, wanted, extent.offset + int(rows[start]) * bytes_each, extent.path)
    finally:
        os.close(descriptor)


def runs(rows: NDArray[np.integer[Any]], places: NDArray[np.intp]) -> Iterator[tuple[int, int]]:
    """Stretches [start, stop) in which rows and places both go up by one."""
    breaks = np.flatnonzero((np.diff(rows) != 1) | (np.diff(places) != 1)) + 1
    edges = [0, *breaks.tolist(), len(rows)]
    yield from pairwise(edges)


def read_exactly(descriptor: int, wanted: NDArray[np.uint8], offset: int, path: Path) -> None:
    """Fill an array, C-contiguous, with the bytes of a file from `offset` on.

    Raises `OSError` where the file ends before.
    """
    view, done = wanted.data.cast("B"), 0
    while done < len(view):
        read = os.preadv(descriptor, [view[done:]], offset + done)
        if not read:
            raise OSError(f"{path} ends before the pictures it should hold: it was cut off or changed")
        done += read
