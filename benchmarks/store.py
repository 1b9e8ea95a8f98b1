"""Reading a store: how pictures lie in the file, at random and in order, from memory and from the disk."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from benchmarks.material import CONFIG, galaxy_zoo_1
from benchmarks.measuring import Measured, alternately, options, write
from galaxalign.data.layout import IMAGES, extents_of, lay_out, read_pictures
from galaxalign.data.pictures import ImageRecipe, make_picture

# Pictures in the file, and pictures of a batch.
COUNT, BATCH = 4096, 256
# Batches that are read at random in a repetition.
BATCHES = 8
# Chunks of pictures and filters that are tried besides pictures one behind the other.
CHUNKED: dict[str, dict[str, Any]] = {
    "1 a chunk": {"chunk": 1},
    "16 a chunk": {"chunk": 16},
    "1 a chunk, lzf": {"chunk": 1, "compression": "lzf"},
    "1 a chunk, gzip": {"chunk": 1, "compression": "gzip", "compression_opts": 1},
    "16 a chunk, gzip": {"chunk": 16, "compression": "gzip", "compression_opts": 1},
}
READ = {"random": "at random", "ordered": "in order", "cold": "at random, not in memory"}

Reader = Callable[[NDArray[np.int64]], NDArray[np.uint8]]


def main() -> None:
    """Measure and write."""
    given = options(__doc__, [BATCH])
    with tempfile.TemporaryDirectory() as folder:
        pictures, origin = _pictures()
        files = _write(Path(folder), pictures)
        (batch,) = given.batches
        arms = {name: partial(_measure, path, reader, batch) for name, (path, reader) in files.items()}
        for name, (_, reader) in files.items():
            if not np.array_equal(reader(np.arange(0, COUNT, 61)), pictures[::61]):
                raise SystemExit(f"error: {name} does not give back what was written")
        measured = list(_summary(files, alternately(arms, given.repetitions)))
    settings = {"pictures": f"{COUNT}, {pictures.shape[1]} px, {origin}", "batch": batch}
    write(given.results / "store.json", measured, settings=settings, skipped={})


def _summary(files: dict[str, tuple[Path, Reader]], found: dict[str, dict[str, list[float]]]) -> Iterator[Measured]:
    for what, words in READ.items():
        for name, values in found.items():
            yield Measured(f"Pictures a second, {words}", name, "1/s", values[what], None)
    for name, values in found.items():
        yield Measured("Size of the file over that of its pictures", name, "", values["size"], None)


def _pictures() -> tuple[NDArray[np.uint8], str]:
    """Galaxies of Galaxy Zoo 1 where they are at hand, since noise does not compress."""
    folder = galaxy_zoo_1()
    recipe = ImageRecipe.from_dict(CONFIG["data"])
    if folder is None:
        return np.random.default_rng(0).integers(0, 256, (COUNT, recipe.size, recipe.size, 3), np.uint8), "noise"
    files = sorted(folder.glob("images/*.jpeg"))[: COUNT // 8]
    own = np.stack([make_picture(str(file), recipe, 1.0).pixels for file in files])
    return np.resize(own, (COUNT, *own.shape[1:])), "of Galaxy Zoo 1"


def _write(folder: Path, pictures: NDArray[np.uint8]) -> dict[str, tuple[Path, Reader]]:
    """Files of every layout, and what reads rows of them."""
    plain = folder / "plain.h5"
    lay_out(plain, len(pictures), pictures.shape[1])
    with h5py.File(plain, "r+") as file:
        file[IMAGES][:] = pictures
        extents = extents_of(file[IMAGES], plain)
    files: dict[str, tuple[Path, Reader]] = {
        "library": (plain, partial(read_pictures, extents, size=pictures.shape[1])),
        "the same file, h5py": (plain, partial(_read_rows, plain)),
    }
    for name, settings in CHUNKED.items():
        path = folder / f"{len(files)}.h5"
        filters = {key: value for key, value in settings.items() if key != "chunk"}
        with h5py.File(path, "w") as file:
            file.create_dataset(IMAGES, data=pictures, chunks=(settings["chunk"], *pictures.shape[1:]), **filters)
        files[name] = (path, partial(_read_rows, path))
    return files


def _read_rows(path: Path, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    """A row at a time, or all at once where they follow each other."""
    with h5py.File(path, "r") as file:
        images = file[IMAGES]
        pictures = np.empty((len(rows), *images.shape[1:]), np.uint8)
        if (np.diff(rows) == 1).all():
            images.read_direct(pictures, np.s_[int(rows[0]) : int(rows[-1]) + 1])
        else:
            for place, row in enumerate(rows):
                images.read_direct(pictures, np.s_[int(row)], np.s_[place])
    return pictures


def _measure(path: Path, reader: Reader, batch: int) -> dict[str, float]:
    order = np.random.default_rng(0).permutation(COUNT)
    random = [order[start : start + batch] for start in range(0, BATCHES * batch, batch)]
    ordered = [np.arange(start, start + batch) for start in range(0, BATCHES * batch, batch)]
    pixels = COUNT * CONFIG["data"]["size"] ** 2 * 3
    _forget(path)
    # Cold before warm: what was read stays in memory.
    return {
        "cold": _rate(reader, random),
        "ordered": _rate(reader, ordered),
        "random": _rate(reader, random),
        "size": path.stat().st_size / pixels,
    }


def _rate(reader: Reader, batches: list[NDArray[np.int64]]) -> float:
    start = time.perf_counter()
    for rows in batches:
        reader(rows)
    return sum(map(len, batches)) / (time.perf_counter() - start)


def _forget(path: Path) -> None:
    """Let the system forget what it holds of a file in memory, where it can be told so."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


if __name__ == "__main__":
    main()
