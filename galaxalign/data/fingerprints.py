"""The fingerprints of a data set's pictures, made before its manifest where pictures of the same sky must be found.

The split of a galaxy is part of the manifest, which comes before the store, and pictures of the same sky must share a
split.  So, where ``data.split.duplicates`` asks for it, the images are read twice: once for their fingerprints, which
the manifest then joins to groups, and once for the store.  Splitting after the store is written would read them once,
but would make every store depend on all of its pictures before any of its rows could be final.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from galaxalign.data.duplicates import fingerprint
from galaxalign.data.filling import CHUNK, FEW
from galaxalign.data.galaxies import read_galaxies
from galaxalign.data.pictures import ImageRecipe, make_picture
from galaxalign.data.workers import Block, make_all
from galaxalign.logs import progress
from galaxalign.symbols.sheet import ClassSheet


def write_fingerprints(
    *,
    source: Mapping[str, Any],
    inputs: Sequence[Path],
    sheet: ClassSheet,
    recipe: ImageRecipe,
    max_blank: float,
    workers: int,
    fingerprints: Path,
) -> None:
    """Write a parquet file with a row a galaxy: id, and bits, its fingerprint packed into bytes, null where none.

    Bad images have no fingerprint, nor have rows of the catalogue that cannot be used.

    Parameters
    ----------
    source, inputs, sheet
        As for `manifest.write_manifest`.
    recipe, max_blank
        How images become pictures, and which are bad.
    workers
        Processes.
    fingerprints
        What is written.
    """
    galaxies = read_galaxies(source, inputs, sheet, recipe.stretch.bands)
    good = galaxies["flag"] == ""
    rows = np.flatnonzero(good)
    blocks = (rows[start : start + CHUNK].tolist() for start in range(0, len(rows), CHUNK))
    tasks = (Block(rows=own, sources=galaxies["source"].iloc[own].tolist()) for own in blocks)
    bits: dict[int, bytes | None] = {}
    with threadpool_limits(1):
        work = _Fingerprinting(recipe=recipe, max_blank=max_blank)
        results = make_all(work, tasks, workers if len(rows) >= FEW else 1)
        for found in progress(results, total=len(rows), what="fingerprints", unit="galaxies", each=CHUNK):
            bits.update(found)
    table = pd.DataFrame({"id": galaxies["id"], "bits": [bits.get(row) for row in range(len(galaxies))]}, dtype=object)
    part = fingerprints.with_name(f".{fingerprints.name}.part")
    table.to_parquet(part, index=False)
    part.replace(fingerprints)


@dataclass(frozen=True, kw_only=True)
class _Fingerprinting:
    """Makes the fingerprints of a block, by row."""

    recipe: ImageRecipe
    max_blank: float

    def make(self, block: Block, parent: int | None = None) -> dict[int, bytes | None]:
        return {row: self._take(source) for row, source in zip(block.rows, block.sources, strict=True)}

    def _take(self, source: str) -> bytes | None:
        picture = make_picture(source, self.recipe, self.max_blank)
        return None if picture.flag else np.packbits(fingerprint(picture.pixels)).tobytes()
