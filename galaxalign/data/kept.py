"""Pictures of the last complete ingestion, which need not be made again.

A data set's store has a second name, a hard link in the folder ``.images.h5.kept`` beside it: it takes no room, and
outlives the removal of the store with which Snakemake begins to make it anew.  The new store takes from it every
picture whose key (see `keys`) it wants, wherever its row is now; then its own link replaces the old one, so that what
is kept never exceeds one store.  Where the file system has no hard links nothing is kept.
"""

import logging
import os
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from galaxalign.data.layout import IMAGES, OFFSET, read_exactly
from galaxalign.data.unfinished import Unfinished
from galaxalign.data.workers import RECORD, Maker

logger = logging.getLogger(__name__)

# Bytes of pictures that are copied at a time.
AT_A_TIME = 2**23


class Kept:
    """The pictures of a finished file: those that were good, by key.

    Attributes
    ----------
    path : the file.
    """

    def __init__(self, path: Path) -> None:
        """Raise `OSError` or `KeyError` where it is no such file."""
        self.path = path
        with h5py.File(path, "r") as file:
            good = file["flag"].asstr()[:] == ""
            self.keys: NDArray[np.uint64] = file["key"][:]
            self.keys[~good] = 0
            self.checksums: NDArray[np.uint32] = file["checksum"][:]
            self._offset = file[IMAGES].id.get_offset()
            self.shape: tuple[int, ...] = file[IMAGES].shape[1:]

    def find(self, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The row of each key, -1 where it is not here."""
        order = np.argsort(self.keys[:, 0], kind="stable")
        places = np.searchsorted(self.keys[order, 0], keys[:, 0]).clip(max=len(order) - 1)
        rows = order[places]
        return np.where((self.keys[rows] == keys).all(axis=1), rows, -1)

    def copy(self, wanted: NDArray[np.int64], maker: Maker) -> Iterator[tuple[list[int], NDArray[np.uint32]]]:
        """Copy pictures into an unfinished file.

        Parameters
        ----------
        wanted
            The row here of each row there, -1 for none.
        maker
            Writes them.

        Yields
        ------
        Rows there that were written, and their checksums.
        """
        rows = np.flatnonzero(wanted >= 0)
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            for there in self._parts(rows):
                here = wanted[there]
                pixels, sound = self._read(descriptor, here)
                if sound.any():
                    places, checksums = there[sound].tolist(), self.checksums[here][sound]
                    maker.write(places, pixels[sound], self.keys[here][sound], checksums, [True] * len(places))
                    yield places, checksums
        finally:
            os.close(descriptor)

    def is_sound(self) -> bool:
        """Whether every picture is what was written."""
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            return all(self._read(descriptor, rows)[1].all() for rows in self._parts(np.arange(len(self.keys))))
        finally:
            os.close(descriptor)

    def _parts(self, rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Rows in parts that are read at a time."""
        at_a_time = max(1, AT_A_TIME // int(np.prod(self.shape)))
        return [rows[start : start + at_a_time] for start in range(0, len(rows), at_a_time)]

    def _read(self, descriptor: int, rows: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Pictures of rows, and which of them are what was written."""
        pixels = np.empty((len(rows), *self.shape), np.uint8)
        for place, row in enumerate(map(int, rows)):
            read_exactly(descriptor, pixels[place], self._offset + row * pixels[place].nbytes, self.path)
        found = np.array([zlib.crc32(picture.data) for picture in pixels], np.uint32)
        return pixels, found == self.checksums[rows]

    def adopt(self, keys: NDArray[np.uint64], unfinished: Unfinished) -> None:
        """Go on from the kept file itself, without copying, where all its pictures are already in their rows.

        That is so when galaxies were added at the end, or nothing but labels changed.  It is not done while
        the file has another name, under which somebody may read it.
        """
        count = len(self.keys)
        if unfinished.part.exists() or self._offset != OFFSET or count > len(keys) or self.path.stat().st_nlink > 1:
            return
        used = (self.keys != 0).any(axis=1)
        if not used.any() or not (self.keys[used] == keys[:count][used]).all():
            return
        records = np.zeros(count, RECORD)
        records["key"], records["checksum"] = self.keys, self.checksums
        unfinished.records.write_bytes(records.tobytes())
        self.path.replace(unfinished.part)


def kept_folder(store: Path) -> Path:
    """Where a store's pictures are kept."""
    return store.with_name(f".{store.name}.kept")


def kept_files(folder: Path, name: str) -> Iterator[Kept]:
    """The kept files, that of the given name first; what cannot be read is passed over."""
    paths = sorted(folder.glob("*.h5"), key=lambda path: (path.name != name, path.name))
    for path in paths:
        try:
            yield Kept(path)
        except (OSError, KeyError) as error:
            logger.warning("%s cannot be read (%s): its pictures are made anew", path, error)


def keep(folder: Path, files: Sequence[Path]) -> None:
    """Keep these files in place of those kept before."""
    folder.mkdir(exist_ok=True)
    for file in files:
        link = folder / f".{file.name}.link"
        link.unlink(missing_ok=True)
        try:
            os.link(file, link)
        except OSError as error:
            logger.warning(
                "%s cannot have a second name (%s): when it is made again, all its images are read again", file, error
            )
            continue
        link.replace(folder / file.name)
    for path in folder.iterdir():
        if path.name not in {file.name for file in files}:
            path.unlink()
