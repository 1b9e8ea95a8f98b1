"""Memory of an ingestion as the catalogue grows: the JPEGs of Galaxy Zoo 1 again and again, from rows to the store."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.material import CONFIG, NO_GALAXIES, galaxy_zoo_1
from benchmarks.measuring import ROOT, Measured, alternately, options, write
from galaxalign.settings import merge

ROWS = (20_000, 200_000)
# Side of the stored pictures, pixels.
SIZE = 64
LIMIT = "<= 1.5"


def main() -> None:
    """Measure and write."""
    given = options(__doc__, [])
    galaxies = galaxy_zoo_1()
    if galaxies is None:
        write(given.results / "rows.json", [], settings={}, skipped={"rows": NO_GALAXIES})
        return
    with tempfile.TemporaryDirectory() as folder:
        arms = {str(count): partial(_ingest, Path(folder), galaxies, count) for count in ROWS}
        measured = list(_summary(alternately(arms, given.repetitions)))
    settings = {"stored at": SIZE, "processes": os.cpu_count()}
    write(given.results / "rows.json", measured, settings=settings, skipped={})


def _summary(found: dict[str, dict[str, list[float]]]) -> Iterator[Measured]:
    for rows, values in found.items():
        yield Measured("Resident memory, all processes together, GB", f"{rows} rows", "GB", values["GB"], LIMIT)
    for rows, values in found.items():
        yield Measured("Ingestion, from the catalogue to the store", f"{rows} rows", "s", values["s"], None)


def _ingest(folder: Path, galaxies: Path, count: int) -> dict[str, float]:
    """One ingestion in a process of its own."""
    with tempfile.TemporaryDirectory(dir=folder) as own:
        catalogue = Path(own) / "catalogue.csv"
        _write_catalogue(catalogue, pd.read_csv(galaxies / "catalog.csv"), count)
        data = merge(CONFIG["data"], {"size": SIZE, "crop": 0.5})
        words = ["--catalogue", str(catalogue), "--root", str(galaxies), "--data", json.dumps(data)]
        command = [sys.executable, "-m", "benchmarks.rows_loop", *words]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return {name: float(value) for name, value in json.loads(done.stdout).items()}


def _write_catalogue(path: Path, galaxies: pd.DataFrame, count: int) -> None:
    """So many rows, each a galaxy of its own somewhere on the sky, with the picture and the label of one of these."""
    generator = np.random.default_rng(0)
    table = galaxies.iloc[np.resize(np.arange(len(galaxies)), count)].assign(objid=np.arange(count) + 10**17)
    table["ra"] = generator.uniform(0, 360, count)
    table["dec"] = np.degrees(np.arcsin(generator.uniform(-1, 1, count)))
    table.to_csv(path, index=False)


if __name__ == "__main__":
    main()
