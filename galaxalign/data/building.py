"""Making a store: every galaxy of a manifest as a picture in one HDF5 file, or in several with one index.

The pictures of a store are those of its manifest's rows, in their order.  What was made before is not made again: by
an ingestion that was interrupted (see `unfinished`), or for the store as it was before galaxies, labels or splits
changed (see `kept`).  Stores of more galaxies than fit a file are made of shards, each by a job of its own: a shard
holds pictures, and what is only known once they are made; labels and splits are in the store, so that a change of
labels touches no picture.
"""

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from galaxalign.data.columns import write_catalogue, write_made
from galaxalign.data.kept import Kept, keep, kept_files, kept_folder
from galaxalign.data.keys import picture_keys
from galaxalign.data.layout import lay_out
from galaxalign.data.pictures import ImageRecipe
from galaxalign.data.rejects import Reject, check_rejected, write_rejects
from galaxalign.data.unfinished import Unfinished
from galaxalign.data.workers import Block, Maker, make_all
from galaxalign.logs import progress
from galaxalign.provenance import code

logger = logging.getLogger(__name__)

# Pictures that a process makes at a time: enough to hide the cost of passing their names between processes, ...
CHUNK = 32
# ... but no more bytes of pictures than these.
CHUNK_BYTES = 2**23
# Below so many, one process is done before others have started.
FEW = 1000


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """What is known of the pictures of a file once they are made, a value a row."""

    keys: NDArray[np.uint64]
    checksums: NDArray[np.uint32]
    flags: list[str]
    reasons: list[str]


def build_store(
    *,
    manifest: Path,
    classes: Sequence[str],
    names: Sequence[str],
    recipe: ImageRecipe,
    max_blank: float,
    max_rejected: float,
    dataset: str,
    workers: int,
    images: Path,
    rejects: Path,
    rejects_if_failed: Path,
) -> None:
    """Read every galaxy of a manifest and write the store; the same bytes whatever the number of workers.

    Parameters
    ----------
    manifest
        As `manifest.write_manifest` wrote it.
    classes, names
        Labels of the classes in order, and their display names.
    recipe
        How images become pictures.
    max_blank, max_rejected
        Shares: of a picture without data, and of the galaxies that may be rejected.
    dataset
        Recorded in the store.
    workers
        Processes.
    images, rejects
        What is written: the store, and the table of rejects.
    rejects_if_failed
        Where that table goes when the job fails, since Snakemake removes the outputs of a failed job.

    Raises
    ------
    GalaxAlignError
        More than `max_rejected` of the galaxies were rejected.
    """
    galaxies = pd.read_parquet(manifest)
    unfinished, folder = Unfinished(images), kept_folder(images)
    made = make_pictures(
        galaxies,
        recipe=recipe,
        max_blank=max_blank,
        workers=workers,
        unfinished=unfinished,
        kept=folder,
        name=images.name,
    )
    lay_out(unfinished.part, len(galaxies), recipe.size)
    with h5py.File(unfinished.part, "r+") as file:
        write_made(file, list(galaxies["id"]), made.flags, made.reasons, made.keys, made.checksums)
        write_catalogue(file, galaxies, made.flags, classes)
        file.attrs["classes"] = json.dumps(list(classes))
        file.attrs["names"] = json.dumps(list(names))
        file.attrs["recipe"] = json.dumps(recipe.to_dict())
        file.attrs["dataset"] = dataset
        file.attrs["code"] = code("data.building")
    rows = zip(galaxies["id"], galaxies["source"], made.flags, made.reasons, strict=True)
    found = [Reject(id=i, source=s, flag=flag, reason=reason) for i, s, flag, reason in rows if flag]
    error = check_rejected(found, len(galaxies), max_rejected, rejects_if_failed)
    write_rejects(found, rejects_if_failed if error else rejects)
    if error:
        raise error
    unfinished.finish(images)
    keep(folder, [images])
    rejects_if_failed.unlink(missing_ok=True)
    logger.info("%s: %d galaxies, %d rejected", dataset, len(galaxies), len(found))


def make_pictures(
    galaxies: pd.DataFrame,
    *,
    recipe: ImageRecipe,
    max_blank: float,
    workers: int,
    unfinished: Unfinished,
    kept: Path,
    name: str,
) -> Pictures:
    """Bring the pictures of all galaxies into an unfinished file: those that are there, those that are kept, the rest.

    Parameters
    ----------
    galaxies
        Rows of a manifest, with the columns source, flag and reason.
    recipe, max_blank, workers
        As for `build_store`.
    unfinished
        The file.
    kept, name
        The folder of kept files, and which of them this file became when it was last made.
    """
    sources, flags, reasons = (list(galaxies[column]) for column in ("source", "flag", "reason"))
    keys = picture_keys(sources, flags, recipe, max_blank)
    maker = Maker(recipe=recipe, max_blank=max_blank, part=unfinished.part, records=unfinished.records)
    own = next(kept_files(kept, name), None)
    if own is not None:
        own.adopt(keys, unfinished)
    done, checksums = unfinished.begin(keys, recipe.size)
    for file in kept_files(kept, name):
        if done.all():
            break
        take(file, keys, done, checksums, maker)
    todo = np.flatnonzero(~done)
    if len(todo) < len(done):
        logger.info("%d of %d pictures are taken from before", len(done) - len(todo), len(done))
    chunk = max(1, min(CHUNK, CHUNK_BYTES // (recipe.size**2 * 3)))
    blocks = _blocks(todo, chunk, sources, flags, reasons, keys)
    with threadpool_limits(1):
        results = make_all(maker, blocks, workers if len(todo) >= FEW else 1)
        for made in progress(results, total=len(todo), what="images", unit="galaxies", each=chunk):
            checksums[made.rows] = made.checksums
            for row, (flag, reason) in made.bad.items():
                flags[row], reasons[row] = flag, reason
    return Pictures(keys=keys, checksums=checksums, flags=flags, reasons=reasons)


def take(
    file: Kept, keys: NDArray[np.uint64], done: NDArray[np.bool_], checksums: NDArray[np.uint32], maker: Maker
) -> None:
    """Take what is wanted and not done from a kept file."""
    if file.shape[0] != maker.recipe.size:
        return
    wanted = file.find(keys)
    wanted[done] = -1
    for rows, found in file.copy(wanted, maker):
        done[rows] = True
        checksums[rows] = found


def _blocks(
    rows: NDArray[np.intp],
    chunk: int,
    sources: list[str],
    flags: list[str],
    reasons: list[str],
    keys: NDArray[np.uint64],
) -> Iterator[Block]:
    for start in range(0, len(rows), chunk):
        own = rows[start : start + chunk].tolist()
        yield Block(
            rows=own,
            sources=[sources[row] for row in own],
            flags=[flags[row] for row in own],
            reasons=[reasons[row] for row in own],
            keys=keys[own],
        )
