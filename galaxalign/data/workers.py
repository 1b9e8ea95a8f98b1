"""Processes that make something of images, a block of them at a time: pictures, each written to its place, or else.

A worker is a Python of its own that knows how to make blocks and nothing else.  `multiprocessing` would first run
the imports of the calling script again in each (under Snakemake 1.3 s against 0.7 s), and forking is unsound once
libraries have started threads.  The calling process makes blocks too, from the start, so that it does not wait for
the others to begin.  Pictures do not travel between processes: who makes one writes it.
"""

import os
import signal
import subprocess
import sys
import traceback
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from galaxalign.data.layout import OFFSET
from galaxalign.data.pictures import ImageRecipe, Picture, make_picture
from galaxalign.errors import GalaxAlignError
from galaxalign.memory import keep_freed_memory

# What is known of a row of an unfinished file: of what its picture is made, and the checksum of its bytes.
RECORD = np.dtype([("key", "<u8", 2), ("checksum", "<u4")])
# Blocks that a worker has before it: one in work, one so that it need not wait.
QUEUED = 2
# One thread each for linear algebra: the cores have work enough, and sums keep their order.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(frozen=True, kw_only=True)
class Block:
    """Images that are read at a time: their rows and locators."""

    rows: list[int]
    sources: list[str]


BlockT = TypeVar("BlockT", bound=Block)
MadeT = TypeVar("MadeT")
_BlockIn = TypeVar("_BlockIn", bound=Block, contravariant=True)
_MadeOut = TypeVar("_MadeOut", covariant=True)


class Work(Protocol[_BlockIn, _MadeOut]):
    """What is done with blocks; it travels to the workers once, and each block and what is made of it after."""

    def make(self, block: _BlockIn, parent: int | None = None) -> _MadeOut:
        """Make a block; `parent` is the process for which a worker makes it."""


@dataclass(frozen=True, kw_only=True)
class PictureBlock(Block):
    """Pictures that are made at a time; `flags` and `reasons` of the manifest, empty where it has none."""

    flags: list[str]
    reasons: list[str]
    keys: NDArray[np.uint64]


@dataclass(frozen=True, kw_only=True)
class Made:
    """What became of a block: checksum of each picture, and flag and reason of the bad ones by row."""

    rows: list[int]
    checksums: NDArray[np.uint32]
    bad: dict[int, tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class Maker:
    """Makes the pictures of a block and writes them into an unfinished file, see `layout` and `unfinished`."""

    recipe: ImageRecipe
    max_blank: float
    part: Path
    records: Path

    def make(self, block: PictureBlock, parent: int | None = None) -> Made:
        """Make a block; nothing is written once the process `parent`, for which it is made, has gone."""
        size = self.recipe.size
        pixels = np.empty((len(block.rows), size, size, 3), np.uint8)
        bad: dict[int, tuple[str, str]] = {}
        tasks = zip(block.rows, block.sources, block.flags, block.reasons, strict=True)
        for place, (row, source, flag, reason) in enumerate(tasks):
            picture = self._picture(source, flag, reason)
            pixels[place] = picture.pixels
            if picture.flag:
                bad[row] = (picture.flag, picture.reason)
        checksums = np.array([zlib.crc32(picture.data) for picture in pixels], np.uint32)
        good = [row not in bad for row in block.rows]
        if parent is None or os.getppid() == parent:
            self.write(block.rows, pixels, block.keys, checksums, good)
        return Made(rows=block.rows, checksums=checksums, bad=bad)

    def _picture(self, source: str, flag: str, reason: str) -> Picture:
        """The picture of a source; what the manifest flagged is not read."""
        if flag:
            size = self.recipe.size
            return Picture(pixels=np.zeros((size, size, 3), np.uint8), flag=flag, reason=reason)
        return make_picture(source, self.recipe, self.max_blank)

    def write(
        self,
        rows: list[int],
        pixels: NDArray[np.uint8],
        keys: NDArray[np.uint64],
        checksums: NDArray[np.uint32],
        good: list[bool],
    ) -> None:
        """Write pictures to their rows, and then the records of the good ones; a bad one is to be made again."""
        records = np.zeros(len(rows), RECORD)
        records["key"], records["checksum"] = keys, checksums
        records[~np.array(good, bool)] = np.zeros((), RECORD)
        edges = [0, *(np.flatnonzero(np.diff(rows) != 1) + 1).tolist(), len(rows)]
        with self.part.open("r+b", 0) as part, self.records.open("r+b", 0) as known:
            for start, stop in pairwise(edges):
                write_exactly(part.fileno(), pixels[start:stop], OFFSET + rows[start] * pixels[0].nbytes)
                write_exactly(known.fileno(), records[start:stop], rows[start] * RECORD.itemsize)


def write_exactly(descriptor: int, content: "NDArray[np.uint8] | NDArray[np.void]", offset: int) -> None:
    """Write all the bytes of a C-contiguous array to a file, from `offset` on."""
    view, done = content.view(np.uint8).reshape(-1).data, 0
    while done < len(view):
        done += os.pwrite(descriptor, view[done:], offset + done)


def make_all(work: Work[BlockT, MadeT], blocks: Iterable[BlockT], workers: int) -> Iterator[MadeT]:
    """Make blocks by so many processes, this one among them; results come as they are ready, not in order.

    Raises `GalaxAlignError` where a worker ends, as it does when memory runs out.
    """
    keep_freed_memory()
    with ExitStack() as stack:
        others = [stack.enter_context(_worker(work)) for _ in range(workers - 1)]
        for block in blocks:
            free = min(others, key=lambda worker: len(worker.queued), default=None)
            if free is not None and len(free.queued) < QUEUED:
                free.give(block)
            else:
                yield work.make(block)
            yield from _ready(others, timeout=0)
        while any(worker.queued for worker in others):
            yield from _ready(others, timeout=None)


def _ready(workers: "list[_Worker[BlockT, MadeT]]", timeout: float | None) -> Iterator[MadeT]:
    by_connection = {worker.connection: worker for worker in workers if worker.queued}
    for connection in wait(list(by_connection), timeout) if by_connection else ():
        yield by_connection[connection].take()  # type: ignore[index]


class _Worker(Generic[BlockT, MadeT]):
    """A process that makes blocks, as its parent sees it."""

    def __init__(self, process: "subprocess.Popen[bytes]", connection: "Connection[BlockT, MadeT | str]") -> None:
        self.process, self.connection = process, connection
        self.queued: list[BlockT] = []

    def give(self, block: BlockT) -> None:
        self.queued.append(block)
        try:
            self.connection.send(block)
        except ConnectionError as error:
            raise self._ended() from error

    def take(self) -> MadeT:
        try:
            answer = self.connection.recv()
        except (EOFError, ConnectionError) as error:
            raise self._ended() from error
        if isinstance(answer, str):
            raise RuntimeError(f"a process that reads images failed:\n{answer}")
        self.queued.pop(0)
        return answer

    def _ended(self) -> GalaxAlignError:
        sources = self.queued[0].sources
        return GalaxAlignError(
            f"a process that reads images ended (status {self.process.wait()}) between {sources[0]} and {sources[-1]}, "
            "as it does when memory runs out: run again to go on, with fewer cores"
        )


@contextmanager
def _worker(work: Work[BlockT, MadeT]) -> Iterator[_Worker[BlockT, MadeT]]:
    ours, theirs = Pipe()
    package = str(Path(__file__).parents[2])
    paths = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH", "")]))
    process = subprocess.Popen(
        [sys.executable, "-m", "galaxalign.data.workers", str(theirs.fileno()), str(os.getpid())],
        pass_fds=[theirs.fileno()],
        env=os.environ | ONE_THREAD | {"PYTHONPATH": paths},
    )
    theirs.close()
    try:
        ours.send(work)
        yield _Worker(process, ours)
    finally:
        ours.close()
        process.kill()
        process.wait()


def serve(descriptor: int, parent: int) -> None:
    """Make blocks for the process `parent` until it closes the connection or has gone."""
    # What is typed on the terminal is for the parent.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keep_freed_memory()
    connection: Connection[Any, Any] = Connection(descriptor)
    try:
        work: Work[Any, Any] = connection.recv()
        while True:
            connection.send(work.make(connection.recv(), parent))
    except (EOFError, ConnectionError):
        return
    except Exception:
        connection.send(traceback.format_exc())


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]))
