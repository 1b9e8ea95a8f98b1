"""Making a store: every galaxy of a manifest as a picture in one HDF5 file, or in shards with one index.

The pictures of a store are those of its manifest's rows, in their order.  What was made before is not made again: by
an ingestion that was interrupted (see `unfinished`), or for the store as it was before galaxies, labels or splits
changed (see `kept`).  A store of many galaxies is made of shards, see `shards`.
"""

import json
import logging
from collections.abc import Sequence
from pathlib import Path

import h5py

from galaxalign.data.columns import catalogue_columns, describe_votes, made_columns, write_columns
from galaxalign.data.filling import fill
from galaxalign.data.kept import keep, kept_folder
from galaxalign.data.keys import picture_keys
from galaxalign.data.layout import lay_out
from galaxalign.data.pictures import ImageRecipe
from galaxalign.data.rejects import Reject, check_rejected, write_rejects
from galaxalign.data.rows import read_galaxies
from galaxalign.data.shards import join_shards, remove_shards
from galaxalign.data.unfinished import Unfinished
from galaxalign.provenance import code

logger = logging.getLogger(__name__)


def build_store(
    *,
    manifest: Path,
    shards: Sequence[Path],
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
    """Write the store of a manifest; the same bytes whatever the number of workers and however often interrupted.

    Parameters
    ----------
    manifest
        As `manifest.write_manifest` wrote it.
    shards
        Files with the pictures of all its rows, in their order, by `shards.build_shard`; none where the pictures are
        to be made here and to lie in the store itself.
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
        More than `max_rejected` of the galaxies were rejected; then what was made is kept for the next try.
    """
    unfinished, kept = Unfinished(images), kept_folder(images)
    if shards:
        found, total = join_shards(manifest, shards, classes, unfinished)
    else:
        found, total = _one_file(manifest, classes, recipe, max_blank, workers, unfinished, kept, images.name)
    with h5py.File(unfinished.part, "r+") as file:
        file.attrs["classes"] = json.dumps(list(classes))
        file.attrs["names"] = json.dumps(list(names))
        file.attrs["recipe"] = json.dumps(recipe.to_dict())
        file.attrs["dataset"] = dataset
        file.attrs["code"] = code("data.building")
    error = check_rejected(found, total, max_rejected, rejects_if_failed)
    write_rejects(found, rejects_if_failed if error else rejects)
    if error:
        if shards:
            # Snakemake removes them before they are made again; one file is kept as unfinished.
            keep(kept, shards)
        raise error
    unfinished.finish(images)
    keep(kept, shards or [images])
    remove_shards(images, but=shards)
    rejects_if_failed.unlink(missing_ok=True)
    logger.info("%s: %d galaxies, %d rejected", dataset, total, len(found))


def _one_file(
    manifest: Path,
    classes: Sequence[str],
    recipe: ImageRecipe,
    max_blank: float,
    workers: int,
    unfinished: Unfinished,
    kept: Path,
    name: str,
) -> tuple[list[Reject], int]:
    """Write pictures and columns; the rejected galaxies, and the number of all."""
    galaxies = read_galaxies(manifest)
    keys = picture_keys(list(galaxies["source"]), list(galaxies["flag"]), recipe, max_blank)
    filled = fill(unfinished, galaxies, keys, recipe=recipe, max_blank=max_blank, workers=workers, kept=kept, name=name)
    lay_out(unfinished.part, len(galaxies), recipe.size)
    with h5py.File(unfinished.part, "r+") as file:
        made = made_columns(list(galaxies["id"]), filled.flags, filled.reasons, keys, filled.checksums)
        write_columns(file, made | catalogue_columns(galaxies, filled.flags, classes), 0, len(galaxies))
        describe_votes(file, galaxies)
    rows = zip(galaxies["id"], galaxies["source"], filled.flags, filled.reasons, strict=True)
    return [Reject(id=i, source=s, flag=flag, reason=reason) for i, s, flag, reason in rows if flag], len(galaxies)
