"""The store: every galaxy of a manifest as a picture, in one HDF5 file or in one index over several.

All rows of the manifest are there, in its order; a galaxy with a flag has no split, so that whoever
selects by split meets good pictures only.  `building` makes stores.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from galaxalign.data.columns import read_texts, read_votes
from galaxalign.data.layout import IMAGES, Extent, extents_of, read_pictures
from galaxalign.data.pictures import ImageRecipe
from galaxalign.data.votes import Votes
from galaxalign.errors import GalaxAlignError


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
    extents : where the pictures lie, see `layout`; none where they are in chunks.
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
    reason: NDArray[np.object_]
    ra: NDArray[np.float64]
    dec: NDArray[np.float64]
    votes: Votes | None
    extents: tuple[Extent, ...]

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
        """Pictures of the given rows, shape (len(rows), H, W, 3), north up and east to the left.

        Safe to call from several threads, and from processes that were forked.
        """
        if self.extents:
            return read_pictures(self.extents, np.asarray(rows), self.recipe.size)
        # Another program may have written it in chunks.
        pictures = np.empty((len(rows), self.recipe.size, self.recipe.size, 3), np.uint8)
        with h5py.File(self.path, "r") as file:
            for place, row in enumerate(rows):
                file[IMAGES].read_direct(pictures, np.s_[int(row)], np.s_[place])
        return pictures


def read_store(path: Path) -> Store:
    """Everything of a store but its pictures.

    Raises `GalaxAlignError` where the file is no store, or a shard of it is missing.
    """
    try:
        with h5py.File(path, "r") as file:
            return Store(
                path=path,
                dataset=str(file.attrs["dataset"]),
                code=str(file.attrs["code"]),
                classes=tuple(json.loads(file.attrs["classes"])),
                names=tuple(json.loads(file.attrs["names"])),
                recipe=ImageRecipe.from_dict(json.loads(file.attrs["recipe"])),
                id=read_texts(file["id"]),
                label=file["label"][:],
                split=read_texts(file["split"]),
                flag=read_texts(file["flag"]),
                reason=file["reason"].asstr()[:],
                ra=file["ra"][:],
                dec=file["dec"][:],
                votes=read_votes(file),
                extents=extents_of(file[IMAGES], path),
            )
    except (OSError, KeyError) as error:
        raise GalaxAlignError(f"{path} is no store of galaxies ({error}): remove it and run again") from error
