"""Files that are either whole or not there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A name aside to write to, which is at `path` once it is complete, or else what was there before.

    What is complete is forced to the disk, where some file systems find out only then that there is no room.
    """
    aside = path.with_name(f".{path.name}.part")
    try:
        yield aside
        with aside.open("r+b") as file:
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
