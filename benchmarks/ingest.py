"""Images to a store, library against a plain loop: FITS cutouts of three bands, and JPEGs of Galaxy Zoo 1.

The plain loops open, colour, cut and resize an image and append it to an HDF5 file, one after the other, with astropy,
Pillow and h5py.  The pictures of both are compared.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from astropy.io import fits

from benchmarks.material import CONFIG, NO_GALAXIES, galaxy_zoo_1
from benchmarks.measuring import ROOT, Measured, alternately, options, ratios, write
from galaxalign.settings import merge

FITS_CUTOUTS, SIDE = 2000, 256
TARGETS = {"FITS": ">= 5", "JPEG": ">= 3"}
ARMS = ("library", "plain", "decode", "disk")
# Grey levels that pictures of the same image may differ by.
TOLERANCE = 1


def main() -> None:
    """Measure and write."""
    given = options(__doc__, [])
    measured: list[Measured] = []
    skipped: dict[str, str] = {}
    settings: dict[str, Any] = {"FITS": f"{FITS_CUTOUTS} cutouts of 3 x {SIDE} x {SIDE} 32-bit numbers, made here"}
    with tempfile.TemporaryDirectory() as folder:
        # astropy's own numbers. A smaller stretch lifts pixels that have light or none by the last digit of a sum.
        recipe = merge(CONFIG["data"], {"stretch": {"name": "lupton", "lupton": {"stretch": 5}}})
        sources = {"FITS": (_write_cutouts(Path(folder)), recipe)}
        if jpegs := galaxy_zoo_1():
            files = sorted(map(str, (jpegs / "images").glob("*.jpeg")))
            sources["JPEG"] = (files, merge(CONFIG["data"], {"crop": 0.5}))
            settings["JPEG"] = f"{len(files)} pictures of Galaxy Zoo 1, 423 x 423, of which half of the side is kept"
        else:
            skipped["JPEGs"] = NO_GALAXIES
        for kind, (files, recipe) in sources.items():
            manifest = Path(folder) / f"{kind}.parquet"
            _write_manifest(manifest, files)
            arms = {arm: partial(_job, arm, manifest, recipe) for arm in ARMS}
            settings[f"largest difference, {kind}"] = _compare(manifest, recipe)
            measured += _summary(kind, len(files), alternately(arms, given.repetitions))
    settings |= {"stored at": CONFIG["data"]["size"], "processes": os.cpu_count()}
    write(given.results / "ingest.json", measured, settings=settings, skipped=skipped)


def _summary(kind: str, count: int, found: dict[str, dict[str, list[float]]]) -> Iterator[Measured]:
    seconds = {arm: values["seconds"] for arm, values in found.items()}
    names = {
        "library": "library",
        "plain": "plain loop",
        "decode": "reading the images alone, on all cores",
        "disk": "copying as many bytes",
    }
    for arm, name in names.items():
        yield Measured(f"{kind} to store, images a second", name, "1/s", [count / one for one in seconds[arm]], None)
    speed = ratios(seconds["plain"], seconds["library"])
    yield Measured("Speed, library over plain loop", kind, "", speed, TARGETS[kind])
    work = ratios(found["plain"]["processor"], found["library"]["processor"])
    yield Measured("Processor time, plain loop over library", kind, "", work, None)
    bound = [max(pair) for pair in zip(seconds["decode"], seconds["disk"], strict=True)]
    yield Measured("Share of the bound, reading or disk", kind, "", ratios(bound, seconds["library"]), None)


def _job(arm: str, manifest: Path, recipe: dict[str, Any], folder: str | None = None) -> dict[str, float]:
    """One arm in a process of its own."""
    with tempfile.TemporaryDirectory(dir=manifest.parent) as own:
        words = ["--manifest", str(manifest), "--recipe", json.dumps(recipe), "--folder", folder or own]
        command = [sys.executable, "-m", "benchmarks.ingest_loop", arm, *words]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return {name: float(value) for name, value in json.loads(done.stdout).items()}


def _compare(manifest: Path, recipe: dict[str, Any]) -> str:
    """How far the pictures of both arms are apart; an error where it is too far."""
    with tempfile.TemporaryDirectory(dir=manifest.parent) as folder:
        for arm in ("library", "plain"):
            _job(arm, manifest, recipe, folder)
        worst = 0
        with h5py.File(f"{folder}/images.h5") as ours, h5py.File(f"{folder}/plain.h5") as theirs:
            for row in range(len(theirs["images"])):
                pair = (file["images"][row].astype(np.int16) for file in (ours, theirs))
                worst = max(worst, int(np.abs(np.subtract(*pair)).max()))
    if worst > TOLERANCE:
        raise SystemExit(f"error: pictures differ by {worst} grey levels, {TOLERANCE} is allowed")
    return f"{worst} of 255 grey levels in any pixel of any picture"


def _write_manifest(path: Path, sources: list[str]) -> None:
    table = pd.DataFrame({"id": [f"g{place}" for place in range(len(sources))], "source": sources})
    table["label"] = "galaxy"
    table["ra"] = table["dec"] = np.nan
    table["split"], table["flag"], table["reason"] = "train", "", ""
    table.to_parquet(path, index=False)


def _write_cutouts(folder: Path) -> list[str]:
    """Galaxies with an exponential profile on noise, laid out as the Legacy Survey serves them; their files."""
    generator = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    header = fits.Header({"BANDS": "grz", "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.0, "CRVAL2": 2.0})
    header.update({"CRPIX1": SIDE / 2, "CRPIX2": SIDE / 2, "CD1_1": -0.262 / 3600, "CD2_2": 0.262 / 3600})
    files = []
    for place in range(FITS_CUTOUTS):
        radius, flat = generator.uniform(6, 20), generator.uniform(0.3, 1)
        light = np.exp(-np.hypot(x, y / flat) / radius) * np.array([0.5, 1.0, 1.5])[:, None, None]
        flux = light + generator.normal(0, 0.01, (3, SIDE, SIDE))
        files.append(str(folder / f"{place}.fits"))
        fits.PrimaryHDU(flux.astype(np.float32), header).writeto(files[-1])
    return files


if __name__ == "__main__":
    main()
