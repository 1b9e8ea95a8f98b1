"""A store in the making: two files beside it, from which an interrupted ingestion goes on.

``.images.h5.part`` is the store itself, as yet without its columns.  ``.images.h5.rows`` has a record a galaxy: the key
of its picture (see `keys`) and the checksum of the picture's bytes.  A record is written after its picture.  A row is
done if its record has the key that is wanted and the picture has the checksum; whatever a process was doing when it
was killed, and whatever the catalogue, the recipe or the code were then, nothing else needs to be known.  Snakemake
knows neither file, so it does not remove them with the outputs of a failed job.
"""

import logging
import os
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from galaxalign.data.layout import OFFSET, lay_out, read_exactly
from galaxalign.data.workers import RECORD

logger = logging.getLogger(__name__)


class Unfinished:
    """The two files of a store in the making.

    Attributes
    ----------
    part, records : their paths.
    """

    def __init__(self, output: Path) -> None:
        self.part = output.with_name(f".{output.name}.part")
        self.records = output.with_name(f".{output.name}.rows")

    def begin(self, keys: NDArray[np.uint64], size: int) -> tuple[NDArray[np.bool_], NDArray[np.uint32]]:
        """Make the files, or find what is done in those of an interrupted ingestion.

        Parameters
        ----------
        keys
            Of the pictures wanted, (N, 2).
        size
            Side of the pictures, pixels.

        Returns
        -------
        Whether each row is done, and the checksums of those that are, (N,) each.
        """
        count = len(keys)
        done, checksums = np.zeros(count, bool), np.zeros(count, np.uint32)
        known = self._known(count)
        lay_out(self.part, count, size)
        if known is not None:
            fitting = (known["key"] == keys).all(axis=1)
            checksums = np.where(fitting, known["checksum"], 0).astype(np.uint32)
            done = self._intact(fitting, checksums, size)
            before = int((known["key"] != 0).any(axis=1).sum())
            logger.info(
                "%s: of %d pictures made before the interruption %d serve, the others are of another recipe, code, "
                "catalogue or image file",
                self.part,
                before,
                done.sum(),
            )
        records = np.zeros(count, RECORD)
        records["key"][done], records["checksum"][done] = keys[done], checksums[done]
        self.records.write_bytes(records.tobytes())
        return done, checksums

    def _known(self, count: int) -> NDArray[np.void] | None:
        """The records of an interrupted ingestion, as many as are wanted now."""
        if not (self.part.exists() and self.records.exists()):
            return None
        content = self.records.read_bytes()
        found = np.frombuffer(content[: len(content) // RECORD.itemsize * RECORD.itemsize], RECORD)[:count]
        return np.concatenate([found, np.zeros(count - len(found), RECORD)])

    def _intact(self, rows: NDArray[np.bool_], checksums: NDArray[np.uint32], size: int) -> NDArray[np.bool_]:
        """Which of the rows hold pictures with these checksums."""
        intact = np.zeros(len(rows), bool)
        picture = np.empty((size, size, 3), np.uint8)
        descriptor = os.open(self.part, os.O_RDONLY)
        try:
            for row in np.flatnonzero(rows):
                read_exactly(descriptor, picture, OFFSET + int(row) * picture.nbytes, self.part)
                intact[row] = zlib.crc32(picture.data) == checksums[row]
        finally:
            os.close(descriptor)
        return intact

    def finish(self, output: Path) -> None:
        """Give the file its name; from now on it is the store."""
        self.part.replace(output)
        self.records.unlink(missing_ok=True)
