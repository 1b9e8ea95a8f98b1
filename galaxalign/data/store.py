"""The store: every galaxy of a manifest as a picture in one HDF5 file.

All rows of the manifest are there, in its order; a galaxy with a flag has no split, so that whoever
selects by split meets good pictures only.
"""

import json
import logging
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galaxalign.data.pictures import ImageRecipe, Picture, make_picture
from galaxalign.data.rejects import Reject, check_rejected, write_rejects
from galaxalign.data.votes import Votes, votes_of
from galaxalign.errors import GalaxAlignError
from galaxalign.logs import progress
from galaxalign.provenance import code

logger = logging.getLogger(__name__)

# Sources a worker takes at a time: enough to hide the cost of passing them between processes.
CHUNK = 32
# Below so many, one process is done before others have started.
FEW = 1000


@dataclass(frozen=True, kw_only=True)
class Store:
    """What a store holds; pictures are read when asked for.

    Attributes
    ----------
    id, split, flag, reason : texts, shape (N,).
    label : index into `classes`, -1 for none.
    ra, dec : degrees, not a number where unknown.
    classes, names : labels of the classes in order, and their display names.
    recipe : how the pictures were made.
    votes : what volunteers said; None where the catalogue has no votes.
    """

    path: Path
    dataset: str
    code: str
    classes: tuple[str, ...]
    names: tuple[str, ...]
    recipe: ImageRecipe
    id: NDArray[np.str_]
    label: NDArray[np.int16]
    split: NDArray[np.str_]
    flag: NDArray[np.str_]
    reason: NDArray[np.str_]
    ra: NDArray[np.float64]
    dec: NDArray[np.float64]
    votes: Votes | None

    def needed_votes(self) -> Votes:
        """The votes, for whoever cannot do without.

        Raises `GalaxAlignError` where there are none.
        """
        if self.votes is None:
            raise GalaxAlignError(
                f"{self.path} has no votes to learn from, as `targets: votes` does: the data set's source needs "
                "`votes`, `columns.total` and a class sheet with a `tree`; if it has them, the store is of an older "
                "version, so remove it and its manifest.parquet to make them again"
            )
        return self.votes

    def pictures(self, rows: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
        """Pictures of the given rows, shape (len(rows), H, W, 3), north up and east to the left."""
        pictures = np.empty((len(rows), self.recipe.size, self.recipe.size, 3), np.uint8)
        with h5py.File(self.path, "r") as file:
            images = file["images"]
            for place, row in enumerate(rows):
                images.read_direct(pictures, np.s_[int(row)], np.s_[place])
        return pictures


def read_store(path: Path) -> Store:
    """Everything of a store but its pictures.

    Raises `GalaxAlignError` where the file is no store.
    """
    try:
        with h5py.File(path, "r") as file:
            texts = {name: file[name].asstr()[:].astype(np.str_) for name in ("id", "split", "flag", "reason")}
            return Store(
                path=path,
                dataset=str(file.attrs["dataset"]),
                code=str(file.attrs["code"]),
                classes=tuple(json.loads(file.attrs["classes"])),
                names=tuple(json.loads(file.attrs["names"])),
                recipe=ImageRecipe.from_dict(json.loads(file.attrs["recipe"])),
                label=file["label"][:],
                ra=file["ra"][:],
                dec=file["dec"][:],
                votes=_read_votes(file),
                **texts,
            )
    except (OSError, KeyError) as error:
        raise GalaxAlignError(f"{path} is no store of galaxies ({error}): remove it and run again") from error


def _read_votes(file: h5py.File) -> Votes | None:
    if "votes" not in file:
        return None
    return Votes(
        fractions=file["votes"][:],
        asked=file["asked"][:],
        answers=tuple(json.loads(file["votes"].attrs["answers"])),
        questions=tuple(json.loads(file["asked"].attrs["questions"])),
    )


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
    part = images.with_name(f".{images.name}.part")
    try:
        with h5py.File(part, "w") as file:
            flags, reasons = _write_pictures(file, galaxies, recipe, max_blank, workers)
            _write_columns(file, galaxies, classes, flags, reasons)
            file.attrs["classes"] = json.dumps(list(classes))
            file.attrs["names"] = json.dumps(list(names))
            file.attrs["recipe"] = json.dumps(recipe.to_dict())
            file.attrs["dataset"] = dataset
            file.attrs["code"] = code("data.store")
        rows = zip(galaxies["id"], galaxies["source"], flags, reasons, strict=True)
        found = [Reject(id=i, source=s, flag=flag, reason=reason) for i, s, flag, reason in rows if flag]
        error = check_rejected(found, len(galaxies), max_rejected, rejects_if_failed)
        write_rejects(found, rejects_if_failed if error else rejects)
        if error:
            raise error
        part.replace(images)
        rejects_if_failed.unlink(missing_ok=True)
    finally:
        part.unlink(missing_ok=True)
    logger.info("%s: %d galaxies, %d rejected", dataset, len(galaxies), len(found))


def _write_pictures(
    file: h5py.File, galaxies: pd.DataFrame, recipe: ImageRecipe, max_blank: float, workers: int
) -> tuple[list[str], list[str]]:
    """Write the pictures; their flags and reasons."""
    shape = (len(galaxies), recipe.size, recipe.size, 3)
    images = file.create_dataset("images", shape, np.uint8, chunks=(1, *shape[1:]))
    make = partial(_make, recipe=recipe, max_blank=max_blank)
    tasks = list(zip(galaxies["source"], galaxies["flag"], galaxies["reason"], strict=True))
    flags, reasons = [], []
    with _pictures(make, tasks, workers) as pictures:
        for place, picture in enumerate(progress(pictures, total=len(tasks), what="images", unit="galaxies")):
            images[place] = picture.pixels
            flags.append(picture.flag)
            reasons.append(picture.reason)
    return flags, reasons


def _write_columns(
    file: h5py.File, galaxies: pd.DataFrame, classes: Sequence[str], flags: Sequence[str], reasons: Sequence[str]
) -> None:
    splits = ["" if flag else split for flag, split in zip(flags, galaxies["split"], strict=True)]
    texts = {"id": list(galaxies["id"]), "split": splits, "flag": flags, "reason": reasons}
    for name, values in texts.items():
        file.create_dataset(name, data=values, dtype=h5py.string_dtype("utf-8"), shape=(len(values),))
    place = {label: index for index, label in enumerate(classes)}
    labels = [-1 if pd.isna(label) else place[label] for label in galaxies["label"]]
    file.create_dataset("label", data=np.array(labels, np.int16))
    for name in ("ra", "dec"):
        file.create_dataset(name, data=galaxies[name].to_numpy(np.float64))
    votes = votes_of(galaxies)
    if votes is not None:
        file.create_dataset("votes", data=votes.fractions).attrs["answers"] = json.dumps(votes.answers)
        file.create_dataset("asked", data=votes.asked).attrs["questions"] = json.dumps(votes.questions)


def _make(task: tuple[str, str, str], *, recipe: ImageRecipe, max_blank: float) -> Picture:
    """The picture of one (source, flag, reason); what the manifest flagged is not read."""
    source, flag, reason = task
    if flag:
        return Picture(pixels=np.zeros((recipe.size, recipe.size, 3), np.uint8), flag=flag, reason=reason)
    return make_picture(source, recipe, max_blank)


@contextmanager
def _pictures(
    make: "partial[Picture]", tasks: Sequence[tuple[str, str, str]], workers: int
) -> Iterator[Iterator[Picture]]:
    """Pictures of the tasks in their order, by as many processes as help."""
    if workers == 1 or len(tasks) < FEW:
        yield map(make, tasks)
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield _in_order(pool, make, tasks, workers)


def _in_order(
    pool: ProcessPoolExecutor, make: "partial[Picture]", tasks: Sequence[tuple[str, str, str]], workers: int
) -> Iterator[Picture]:
    """As `pool.map`, a few blocks at a time, so that finished pictures do not pile up in memory."""
    block = CHUNK * workers * 4
    for start in range(0, len(tasks), block):
        yield from pool.map(make, tasks[start : start + block], chunksize=CHUNK)
