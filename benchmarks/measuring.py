"""How everything here is measured: alternately, several times, on a machine that is written down."""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
RESULTS = HERE / "results"
REPETITIONS = 5
PACKAGES = ("torch", "torchvision", "open_clip_torch", "timm", "transformers", "numpy", "h5py")


@dataclass(frozen=True)
class Measured:
    """Repetitions of one measurement.

    Attributes
    ----------
    table : what it is shown with.
    name : what was measured.
    unit : of the values.
    values : one a repetition, in the order they were taken.
    target : what was to be reached, as `<= 1.10` or `>= 2`; None for none.
    """

    table: str
    name: str
    unit: str
    values: Sequence[float]
    target: str | None

    def to_dict(self) -> dict[str, Any]:
        """With the median and the range."""
        summary = {"median": statistics.median(self.values), "low": min(self.values), "high": max(self.values)}
        return asdict(self) | {"values": list(self.values)} | summary


def options(description: str | None, batches: Sequence[int]) -> argparse.Namespace:
    """What every benchmark may be told: repetitions, batches (galaxies, by default `batches`) and results."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--repetitions", type=int, default=REPETITIONS)
    parser.add_argument("--batches", type=int, nargs="+", default=list(batches), help="galaxies in a batch")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON")
    return parser.parse_args()


def alternately(
    arms: Mapping[str, Callable[[], dict[str, float]]], repetitions: int
) -> dict[str, dict[str, list[float]]]:
    """Call every arm once a round, each round beginning with another, so that a slow minute slows all alike.

    Returns
    -------
    By arm and by the names of what it measured: a value a repetition.
    """
    found: dict[str, dict[str, list[float]]] = {name: {} for name in arms}
    names = list(arms)
    for repetition in range(repetitions):
        start = repetition % len(names)
        for name in names[start:] + names[:start]:
            measured = arms[name]()
            shown = ", ".join(f"{value:.4g} {what}" for what, value in measured.items())
            print(f"{repetition + 1} of {repetitions}: {name}: {shown}", file=sys.stderr, flush=True)
            for what, value in measured.items():
                found[name].setdefault(what, []).append(value)
    return found


def ratios(over: Sequence[float], under: Sequence[float]) -> list[float]:
    """Of each repetition; those of one round were taken within a minute of each other."""
    return [a / b for a, b in zip(over, under, strict=True)]


def write(path: Path, measured: Sequence[Measured], *, settings: Mapping[str, Any], skipped: Mapping[str, str]) -> None:
    """Keep measurements with all that they depend on.

    Parameters
    ----------
    path : NAME.json; the command is `python -m benchmarks NAME`.
    settings : what was measured on.
    skipped : what could not be measured, and why.
    """
    content = {
        "command": f"python -m benchmarks {path.stem}",
        "environment": environment(),
        "settings": dict(settings),
        "skipped": dict(skipped),
        "measured": [one.to_dict() for one in measured],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")


def environment() -> dict[str, Any]:
    """The machine and the software."""
    import torch

    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": commit(),
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        # Of all processes; far above the number of cores, other work was going on.
        "load": round(os.getloadavg()[0], 1),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def commit() -> str:
    """Of the library; `+` where files were changed since."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "galaxalign", "benchmarks/*.py")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head + ("+" if changed else "")


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def cpu_name() -> str:
    """As the kernel gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()
