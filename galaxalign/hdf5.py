"""HDF5 files that are either whole or not there."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from galaxalign.files import whole_file


@contextmanager
def whole_hdf5(path: Path) -> Iterator[h5py.File]:
    """A file to fill, which is at `path` once it is complete, or else what was there before.

    Data are on the disk as they are written, so that a file may be larger than the memory.

    Raises
    ------
    OSError
        There is no room; the file that was there is still whole.
    """
    with whole_file(path) as aside, _Storage(aside) as storage:
        with h5py.File(storage, "w") as file:
            try:
                yield file
            finally:
                storage.closing = True
        if storage.failure is not None:
            raise storage.failure


class _Storage(io.FileIO):
    """Where HDF5 writes to: the first write that fails is an error, all later ones are taken for done.

    Of a file that it opened itself HDF5 tries again, as it closes it, to write what the full disk did not take, and
    then ends the whole process.

    Attributes
    ----------
    failure : what went wrong; such a file is good for nothing.
    closing : whether no error may be raised any more, for HDF5 keeps a file that it cannot close.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+")
        self.failure: OSError | None = None
        self.closing = False

    def write(self, data: Any, /) -> int:
        """Write all of `data`; a disk that is nearly full first takes a part."""
        view, done = memoryview(data).cast("B"), 0
        with self._failing_once():
            while self.failure is None and done < len(view):
                done += super().write(view[done:])
        return len(view)

    def truncate(self, size: int | None = None, /) -> int:
        """Make the file as long as HDF5 says it is."""
        with self._failing_once():
            if self.failure is None:
                super().truncate(size)
        return self.tell() if size is None else size

    @contextmanager
    def _failing_once(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.failure = error
            if not self.closing:
                raise
