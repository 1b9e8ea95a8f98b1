"""One ingestion from images to a store in a process of its own: the library's, or a plain loop.

Prints seconds of the work and of processor time it took, the program's own start left out, that of its workers counted.
"""

import argparse
import json
import multiprocessing
import os
import resource
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from astropy.io import fits
from astropy.visualization import make_lupton_rgb
from PIL import Image

from galaxalign.data.building import build_store
from galaxalign.data.pictures import ImageRecipe
from galaxalign.data.readers import read_image

WORKERS = os.cpu_count() or 1


def main() -> None:
    """Do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("arm", choices=["library", "plain", "decode", "disk"])
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--recipe", type=json.loads, required=True)
    parser.add_argument("--folder", type=Path, required=True, help="of the store")
    given = parser.parse_args()
    recipe = ImageRecipe.from_dict(given.recipe)
    arms = {"library": _library, "plain": _plain, "decode": _decode, "disk": _disk}
    before = _processor_time()
    seconds = arms[given.arm](given.manifest, recipe, given.folder)
    print(json.dumps({"seconds": seconds, "processor": _processor_time() - before}))


def _processor_time() -> float:
    """Of this process and of its workers that have ended."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def _library(manifest: Path, recipe: ImageRecipe, folder: Path) -> float:
    start = time.perf_counter()
    build_store(
        manifest=manifest,
        shards=[],
        classes=["galaxy"],
        names=["Galaxy"],
        recipe=recipe,
        max_blank=1.0,
        max_rejected=1.0,
        dataset="benchmark",
        workers=WORKERS,
        images=folder / "images.h5",
        rejects=folder / "rejects.tsv",
        rejects_if_failed=folder / "failed.tsv",
    )
    return time.perf_counter() - start


def _plain(manifest: Path, recipe: ImageRecipe, folder: Path) -> float:
    """What one would write in a notebook; the same stretch, the same picture."""
    start = time.perf_counter()
    sources = pd.read_parquet(manifest)["source"]
    size = recipe.size
    with h5py.File(folder / "plain.h5", "w") as file:
        images = file.create_dataset(
            "images", (0, size, size, 3), np.uint8, maxshape=(None, size, size, 3), chunks=(1, size, size, 3)
        )
        for source in sources:
            picture = _plain_flux(source, recipe) if source.endswith(".fits") else Image.open(source)
            width, height = picture.size
            side = round(recipe.crop * min(width, height))
            left, top = (width - side) // 2, (height - side) // 2
            small = picture.crop((left, top, left + side, top + side)).resize((size, size), Image.Resampling.BICUBIC)
            images.resize(len(images) + 1, axis=0)
            images[-1] = np.asarray(small)
    return time.perf_counter() - start


def _plain_flux(source: str, recipe: ImageRecipe) -> Image.Image:
    """North up, as in FITS the first row is the lowest."""
    with fits.open(source) as file:
        g, r, z = file[0].data
    weights = recipe.to_dict()["stretch"]["colours"]
    red, green, blue = weights["red"]["z"] * z, weights["green"]["r"] * r, weights["blue"]["g"] * g
    return Image.fromarray(make_lupton_rgb(red, green, blue, **recipe.to_dict()["stretch"]["lupton"])[::-1])


def _decode(manifest: Path, recipe: ImageRecipe, _: Path) -> float:
    """The slowest of so many processes, each of which reads its share of the images and does nothing with them."""
    sources = list(pd.read_parquet(manifest)["source"])
    read = partial(
        read_image, cube_bands=recipe.bands, bands=recipe.stretch.bands, layout=recipe.fits, crop=recipe.crop
    )
    # Forked, for nobody waits for them to start.
    with multiprocessing.get_context("fork").Pool(WORKERS) as pool:
        return max(pool.map(partial(_read_all, read=read), [sources[place::WORKERS] for place in range(WORKERS)]))


def _read_all(sources: list[str], *, read: Callable[[str], object]) -> float:
    start = time.perf_counter()
    for source in sources:
        read(source)
    return time.perf_counter() - start


def _disk(manifest: Path, recipe: ImageRecipe, folder: Path) -> float:
    """The bytes of the images read, and as many as the pictures have written, by one process."""
    sources = list(pd.read_parquet(manifest)["source"])
    picture = bytes(recipe.size**2 * 3)
    start = time.perf_counter()
    with (folder / "bytes").open("wb", 0) as file:
        for source in sources:
            Path(source).read_bytes()
            file.write(picture)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
