"""Training as a whole, library against open_clip: galaxies a second, waiting for data, memory.

Each repetition is a job of its own from files to weights: stage 1 of the library from a store, and
`open_clip_train.main` from the JPEGs that the store was made of.  First steps are left out.
"""

import importlib.util
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pandas as pd

from benchmarks.material import Material, make_material
from benchmarks.measuring import ROOT, Measured, alternately, options, ratios, write

# Steps at the start of a job that are left out.
FIRST = 1
# Steps of a job that count.
STEPS = 4
BATCHES = (64, 256)
FASTER, WAITING, MEMORY = ">= 2", "<= 0.05", "<= 1"
LOGGED = re.compile(r"Data \(t\): ([\d.]+) Batch \(t\): ([\d.]+)")
# Numbers of worker processes that open_clip's loader is tried with.
WORKERS = (0, 1, 2)


def main() -> None:
    """Measure and write."""
    given = options(__doc__, BATCHES)
    measured: list[Measured] = []
    skipped = {} if _open_clip_is_here() else {"open_clip's loop": "the package webdataset is not installed"}
    settings: dict[str, object] = {}
    workers: int | None = None
    with tempfile.TemporaryDirectory() as folder:
        material = make_material(Path(folder) / "material", count=max(given.batches) * (STEPS + FIRST))
        for batch in given.batches:
            ours = partial(_library, material, batch)
            arms: dict[str, Callable[[], dict[str, float]]] = {
                "library": partial(ours, memory=1e10),
                "library, store streamed": partial(ours, memory=0.0),
            }
            if not skipped:
                theirs = partial(_open_clip, material, batch)
                if workers is None:
                    workers = settings["open_clip's workers"] = _best_workers(theirs)
                arms["open_clip, text locked"] = partial(theirs, workers=workers, lock=True)
                if batch == min(given.batches):
                    arms["library, text trained"] = partial(ours, memory=1e10, train_text=True)
                    arms["open_clip, text trained"] = partial(theirs, workers=workers, lock=False)
            measured += _summary(batch, alternately(arms, given.repetitions))
        settings |= {"pictures": material.origin, "backbone": "lite0-minilm", "size": 112}
    write(given.results / "loops.json", measured, settings=settings, skipped=skipped)


def _open_clip_is_here() -> bool:
    return all(importlib.util.find_spec(name) is not None for name in ("open_clip_train", "webdataset"))


def _best_workers(run: Callable[..., dict[str, float]]) -> int:
    """The number of workers with which open_clip's loop is fastest, by one short job each."""
    speeds = alternately({str(count): partial(run, workers=count, lock=True) for count in WORKERS}, 1)
    return max(WORKERS, key=lambda count: speeds[str(count)]["galaxies_per_second"][0])


def _summary(batch: int, found: dict[str, dict[str, list[float]]]) -> Iterator[Measured]:
    for name, values in found.items():
        yield Measured(f"Galaxies a second, batch {batch}", name, "1/s", values["galaxies_per_second"], None)
    pairs = [("library", "text locked"), ("library, store streamed", "text locked")]
    for name, text in [*pairs, ("library, text trained", "text trained")]:
        other = f"open_clip, {text}"
        if name in found and other in found:
            speed, memory = ([found[arm][what] for arm in (name, other)] for what in ("galaxies_per_second", "memory"))
            pair = f"{name} over {other}"
            yield Measured(f"Speed, library over open_clip, batch {batch}", pair, "", ratios(*speed), FASTER)
            yield Measured(f"Peak memory, library over open_clip, batch {batch}", pair, "", ratios(*memory), MEMORY)
    for name, values in found.items():
        target = WAITING if name.startswith("library") else None
        yield Measured(f"Share of time spent waiting for data, batch {batch}", name, "", values["data_wait"], target)
    for name, values in found.items():
        yield Measured(f"Peak memory, batch {batch}", name, "GB", values["memory"], None)


def _library(material: Material, batch: int, *, memory: float, train_text: bool = False) -> dict[str, float]:
    """One job of the library."""
    with tempfile.TemporaryDirectory() as folder:
        paths = ["--images", material.images, "--symbols", material.symbols, "--folder", folder]
        numbers = ["--batch-size", batch, "--steps", STEPS + FIRST, "--memory", memory]
        text = ["--train-text"] if train_text else []
        peak, _ = _job(["benchmarks.align_loop", *paths, *numbers, *text])
        seconds = pd.read_csv(Path(folder) / "steps.tsv", sep="\t")["seconds"].iloc[FIRST:]
        waited = pd.read_csv(Path(folder) / "epochs.tsv", sep="\t")["data_wait"].iloc[0]
    return {
        "galaxies_per_second": batch / float(statistics.median(seconds)),
        "data_wait": float(waited),
        "memory": peak,
    }


def _open_clip(material: Material, batch: int, *, workers: int, lock: bool) -> dict[str, float]:
    """One job of open_clip: an epoch of as many galaxies as its steps need."""
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "captions.csv"
        rows = material.captions.read_text().splitlines(keepends=True)
        table.write_text("".join(rows[: 1 + batch * (STEPS + FIRST)]))
        words = ["--train-data", table, "--dataset-type", "csv", "--model", "galaxalign", "--batch-size", batch]
        words += ["--epochs", 1, "--workers", workers, "--precision", "fp32", "--device", "cpu", "--warmup", 1]
        words += ["--lr", 1e-3, "--wd", 0.05, "--grad-clip-norm", 1.0, "--log-every-n-steps", 1, "--logs", folder]
        peak, said = _job(["benchmarks.open_clip_loop", *words, *(["--lock-text"] if lock else [])])
    times = [(float(data), float(whole)) for data, whole in LOGGED.findall(said)][FIRST:]
    return {
        "galaxies_per_second": batch / statistics.median(whole for _, whole in times),
        "data_wait": sum(data for data, _ in times) / sum(whole for _, whole in times),
        "memory": peak,
    }


def _job(words: list[object]) -> tuple[float, str]:
    """Run a module to its end: most memory it held, 10^9 bytes, its workers' left out; and what it said."""
    command = [sys.executable, "-m", *map(str, words)]
    with tempfile.TemporaryFile("w+") as said:
        job = subprocess.Popen(
            command, cwd=ROOT, stdout=said, stderr=subprocess.STDOUT, env=os.environ | {"HF_HUB_OFFLINE": "1"}
        )
        _, status, usage = os.wait4(job.pid, 0)
        job.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        text = said.read()
    if job.returncode:
        raise SystemExit(f"error: {' '.join(command[1:3])} failed:\n{text[-2000:]}")
    # Linux counts in units of 1024 bytes, macOS in bytes.
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9, text


if __name__ == "__main__":
    main()
