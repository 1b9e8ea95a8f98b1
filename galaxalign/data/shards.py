"""A store in several files: shards of as many galaxies each, made side by side, and an index that shows them as one.

A shard holds the pictures of consecutive rows of the manifest, and what is known once they are made: id, flag, reason,
key, checksum.  Labels, splits, positions and votes are in the index, ``images.h5``, which also shows the pictures as
one virtual data set; so a change of labels writes the index and leaves every shard as it is.  Galaxies added at the
end of a catalogue change the last shard, those added or removed before it shift rows between shards, which take
their pictures from each other's kept files.
"""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galaxalign.data.columns import (
    catalogue_columns,
    describe_votes,
    made_columns,
    read_texts,
    write_columns,
)
from galaxalign.data.filling import fill
from galaxalign.data.kept import Kept, kept_folder
from galaxalign.data.keys import picture_keys
from galaxalign.data.layout import IMAGES, lay_out
from galaxalign.data.pictures import ImageRecipe, make_picture
from galaxalign.data.rejects import Reject
from galaxalign.data.rows import count_galaxies, read_galaxies
from galaxalign.data.unfinished import Unfinished
from galaxalign.errors import GalaxAlignError
from galaxalign.provenance import code

logger = logging.getLogger(__name__)

# Beside the store.
FOLDER = "shards"


def build_shard(
    *, manifest: Path, shard: Path, shard_size: int, recipe: ImageRecipe, max_blank: float, workers: int
) -> None:
    """Write a shard.

    Parameters
    ----------
    manifest
        As `manifest.write_manifest` wrote it.
    shard
        What is written, ``shards/NAME.h5`` beside the store, of a name of `rows.shard_names`.
    shard_size
        Galaxies a shard.
    recipe, max_blank
        How images become pictures, and the share of a picture that may be without data.
    workers
        Processes.
    """
    first = int(shard.stem) * shard_size
    galaxies = read_galaxies(manifest, first, first + shard_size, ["id", "source", "flag", "reason"])
    keys = picture_keys(list(galaxies["source"]), list(galaxies["flag"]), recipe, max_blank)
    unfinished, kept = Unfinished(shard), kept_folder(shard.parent.parent / "images.h5")
    if _still_holds(kept / shard.name, galaxies, keys, recipe, max_blank) and _link(kept / shard.name, shard):
        logger.info("%s: all %d pictures are those of before", shard, len(galaxies))
        return
    filled = fill(
        unfinished, galaxies, keys, recipe=recipe, max_blank=max_blank, workers=workers, kept=kept, name=shard.name
    )
    lay_out(unfinished.part, len(galaxies), recipe.size)
    with h5py.File(unfinished.part, "r+") as file:
        made = made_columns(list(galaxies["id"]), filled.flags, filled.reasons, keys, filled.checksums)
        write_columns(file, made, 0, len(galaxies))
        file.attrs["code"] = code("data.shards")
    unfinished.finish(shard)


def _still_holds(
    path: Path, galaxies: pd.DataFrame, keys: NDArray[np.uint64], recipe: ImageRecipe, max_blank: float
) -> bool:
    """Whether a shard would come out as it was kept; only images that were bad are read again."""
    try:
        with h5py.File(path, "r") as file:
            if file["key"].shape != keys.shape or not (file["key"][:] == keys).all():
                return False
            ids, flags, reasons = read_texts(file["id"]), read_texts(file["flag"]), file["reason"].asstr()[:]
            same_code = file.attrs["code"] == code("data.shards")
    except (OSError, KeyError):
        return False
    if not same_code or list(ids) != list(galaxies["id"]) or not Kept(path).is_sound():
        return False
    for row in map(int, np.flatnonzero(flags != "")):
        flag, reason = galaxies["flag"].iat[row], galaxies["reason"].iat[row]
        if not flag:
            picture = make_picture(str(galaxies["source"].iat[row]), recipe, max_blank)
            flag, reason = picture.flag, picture.reason
        if (flag, reason) != (flags[row], reasons[row]):
            return False
    return True


def _link(old: Path, new: Path) -> bool:
    """Give a file another name; whether the file system can."""
    new.parent.mkdir(exist_ok=True)
    new.unlink(missing_ok=True)
    try:
        os.link(old, new)
    except OSError:
        return False
    return True


def join_shards(
    manifest: Path, shards: Sequence[Path], classes: Sequence[str], unfinished: Unfinished
) -> tuple[list[Reject], int]:
    """Write the index of shards: their pictures as one virtual data set, and all columns.

    A shard at a time is in memory.

    Parameters
    ----------
    manifest
        Whose rows the shards hold.
    shards
        In the order of the rows.
    classes
        Labels of the classes in order.
    unfinished
        What is written.

    Returns
    -------
    The rejected galaxies, and the number of all.

    Raises
    ------
    GalaxAlignError
        A shard holds other galaxies than the manifest has there.
    """
    total = count_galaxies(manifest)
    found: list[Reject] = []
    unfinished.records.unlink(missing_ok=True)
    with h5py.File(unfinished.part, "w") as index:
        _virtual_pictures(index, shards, unfinished.part.parent, total)
        widths = _widths(shards)
        first = 0
        for path in shards:
            with h5py.File(path, "r") as shard:
                ids, flags, reasons = read_texts(shard["id"]), read_texts(shard["flag"]), shard["reason"].asstr()[:]
                own = {name: shard[name][:].astype(widths[name]) for name in ("id", "flag")} | {"reason": reasons}
            galaxies = read_galaxies(manifest, first, first + len(ids))
            if list(galaxies["id"]) != list(ids):
                raise GalaxAlignError(f"{path} holds other galaxies than {manifest} names: remove it and run again")
            own["reason"] = np.array(list(reasons), h5py.string_dtype("utf-8"))
            write_columns(index, own | catalogue_columns(galaxies, list(flags), classes), first, total)
            for row in map(int, np.flatnonzero(flags != "")):
                found.append(
                    Reject(
                        id=str(ids[row]),
                        source=str(galaxies["source"].iat[row]),
                        flag=str(flags[row]),
                        reason=str(reasons[row]),
                    )
                )
            first += len(ids)
        describe_votes(index, read_galaxies(manifest, 0, 1))
    return found, total


def _virtual_pictures(index: h5py.File, shards: Sequence[Path], folder: Path, total: int) -> None:
    shapes = []
    for path in shards:
        with h5py.File(path, "r") as shard:
            shapes.append(shard[IMAGES].shape)
    if sum(shape[0] for shape in shapes) != total:
        raise GalaxAlignError(f"the shards in {shards[0].parent} are not those of {total} galaxies: remove them")
    kind = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    kind.set_obj_track_times(False)
    whole, first = h5py.h5s.create_simple((total, *shapes[0][1:])), 0
    for path, shape in zip(shards, shapes, strict=True):
        whole.select_hyperslab((first, 0, 0, 0), shape)
        name = path.relative_to(folder).as_posix()
        kind.set_virtual(whole, name.encode(), IMAGES.encode(), h5py.h5s.create_simple(shape))
        first += shape[0]
    whole.select_all()
    h5py.h5d.create(index.id, IMAGES.encode(), h5py.h5t.NATIVE_UINT8, whole, kind)


def _widths(shards: Sequence[Path]) -> dict[str, np.dtype[np.bytes_]]:
    """Text types that hold the longest id and the longest flag of all shards."""
    widths = {"id": 1, "flag": 1}
    for path in shards:
        with h5py.File(path, "r") as shard:
            widths = {name: max(width, shard[name].dtype.itemsize) for name, width in widths.items()}
    return {name: h5py.string_dtype("utf-8", width) for name, width in widths.items()}


def remove_shards(images: Path, *, but: Sequence[Path]) -> None:
    """Remove what a store has no more use for: shards of a larger catalogue, and whole and unfinished ones."""
    folder = images.with_name(FOLDER)
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if path.stem.lstrip(".").partition(".")[0].isdecimal() and path not in but:
            path.unlink()
    if not any(folder.iterdir()):
        folder.rmdir()
