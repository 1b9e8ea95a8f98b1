"""The fingerprints of a data set's pictures, made before its manifest where pictures of the same sky must be found.

The split of a galaxy is part of the manifest, which comes before the store, and pictures of the same sky must share a
split.  So, where ``data.split.duplicates`` asks for it, the images are read twice: once for their fingerprints, which
the manifest then joins to groups, and once for the store.  Splitting after the store is written would read them once,
but would make every store depend on all of its pictures before any of its rows could be final.
"""

import multiprocessing
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from galaxalign.data.duplicates import fingerprint
from galaxalign.data.galaxies import read_galaxies
from galaxalign.data.pictures import ImageRecipe, make_picture
from galaxalign.logs import progress
from galaxalign.symbols.sheet import ClassSheet

# Images a worker takes at a time, and images below which one process is done before others have started.
CHUNK, FEW = 64, 1000


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
    make = partial(_fingerprint, recipe=recipe, max_blank=max_blank)
    sources = galaxies["source"][good].tolist()
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        found = map(make, sources) if len(sources) < FEW else pool.map(make, sources, chunksize=CHUNK)
        bits = list(progress(found, total=len(sources), what="fingerprints", unit="galaxies"))
    table = pd.DataFrame({"id": galaxies["id"], "bits": None}, dtype=object)
    table.loc[good, "bits"] = pd.Series(bits, index=table.index[good], dtype=object)
    part = fingerprints.with_name(f".{fingerprints.name}.part")
    table.to_parquet(part, index=False)
    part.replace(fingerprints)


def _fingerprint(source: str, *, recipe: ImageRecipe, max_blank: float) -> bytes | None:
    picture = make_picture(source, recipe, max_blank)
    return None if picture.flag else np.packbits(fingerprint(picture.pixels)).tobytes()
