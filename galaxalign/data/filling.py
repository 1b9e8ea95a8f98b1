"""Bringing the pictures of galaxies into a file: those that are there, those that are kept, and the rest."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from galaxalign.data.kept import Kept, kept_files
from galaxalign.data.pictures import ImageRecipe
from galaxalign.data.unfinished import Unfinished
from galaxalign.data.workers import Maker, PictureBlock, make_all
from galaxalign.logs import progress

logger = logging.getLogger(__name__)

# Pictures that a process makes at a time: enough to hide the cost of passing their names between processes, ...
CHUNK = 32
# ... but no more bytes of pictures than these.
CHUNK_BYTES = 2**23
# Below so many, one process is done before others have started.
FEW = 1000


@dataclass(frozen=True, kw_only=True)
class Filled:
    """What is known of the pictures of a file once they are made, a value a row."""

    checksums: NDArray[np.uint32]
    flags: list[str]
    reasons: list[str]


def fill(
    unfinished: Unfinished,
    galaxies: pd.DataFrame,
    keys: NDArray[np.uint64],
    *,
    recipe: ImageRecipe,
    max_blank: float,
    workers: int,
    kept: Path,
    name: str,
) -> Filled:
    """Bring the pictures of all galaxies into an unfinished file.

    Parameters
    ----------
    unfinished
        The file.
    galaxies
        Rows of a manifest, with the columns source, flag and reason.
    keys
        Of their pictures, see `keys.picture_keys`.
    recipe, max_blank
        How images become pictures, and the share of a picture that may be without data.
    workers
        Processes.
    kept, name
        The folder of kept files, and which of them this file became when it was last made.
    """
    sources, flags, reasons = (list(galaxies[column]) for column in ("source", "flag", "reason"))
    maker = Maker(recipe=recipe, max_blank=max_blank, part=unfinished.part, records=unfinished.records)
    # That of this name comes first.
    first = next(kept_files(kept, name), None)
    if first is not None and first.path.name == name:
        first.adopt(keys, unfinished)
    done, checksums = unfinished.begin(keys, recipe.size)
    for file in kept_files(kept, name):
        if done.all():
            break
        take(file, keys, done, checksums, maker)
    todo = np.flatnonzero(~done)
    logger.info("%d pictures are there from before, %d are to be made", len(done) - len(todo), len(todo))
    chunk = max(1, min(CHUNK, CHUNK_BYTES // (recipe.size**2 * 3)))
    blocks = _blocks(todo, chunk, sources, flags, reasons, keys)
    with threadpool_limits(1):
        results = make_all(maker, blocks, workers if len(todo) >= FEW else 1)
        for made in progress(results, total=len(todo), what="images", unit="galaxies", each=chunk):
            checksums[made.rows] = made.checksums
            for row, (flag, reason) in made.bad.items():
                flags[row], reasons[row] = flag, reason
    return Filled(checksums=checksums, flags=flags, reasons=reasons)


def take(
    file: Kept, keys: NDArray[np.uint64], done: NDArray[np.bool_], checksums: NDArray[np.uint32], maker: Maker
) -> None:
    """Take what is wanted and not done from a kept file."""
    if file.shape[0] != maker.recipe.size:
        return
    wanted = file.find(keys)
    wanted[done] = -1
    if not (wanted >= 0).any():
        return
    try:
        for rows, found in file.copy(wanted, maker):
            done[rows] = True
            checksums[rows] = found
    except FileNotFoundError:
        logger.info("%s is gone: the job of another shard goes on from it", file.path)


def _blocks(
    rows: NDArray[np.intp],
    chunk: int,
    sources: list[str],
    flags: list[str],
    reasons: list[str],
    keys: NDArray[np.uint64],
) -> Iterator[PictureBlock]:
    for start in range(0, len(rows), chunk):
        own = rows[start : start + chunk].tolist()
        yield PictureBlock(
            rows=own,
            sources=[sources[row] for row in own],
            flags=[flags[row] for row in own],
            reasons=[reasons[row] for row in own],
            keys=keys[own],
        )
