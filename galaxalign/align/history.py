"""What training writes down as it goes: a row a step and a row an epoch."""

import math
import resource
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import pandas as pd
import torch

T = TypeVar("T")
Row = dict[str, float | int | str]

TERMS = ("image_text", "symbol_text", "image_symbol", "classifier")
LOSSES = ("loss", *(f"loss_{term}" for term in TERMS))
STEP_COLUMNS = ("stage", "epoch", "step", "learning_rate", "temperature", *LOSSES, "gradient_norm", "seconds")
EPOCH_COLUMNS = (
    "stage",
    "epoch",
    "learning_rate",
    "temperature",
    *LOSSES,
    "validation_accuracy",
    "validation_macro_f1",
    "galaxies_per_second",
    "data_wait",
    "peak_memory_gb",
)


class History:
    """Rows of a stage by the names in `STEP_COLUMNS` and `EPOCH_COLUMNS`; what was not measured is not a number."""

    def __init__(self) -> None:
        self.steps: list[Row] = []
        self.epochs: list[Row] = []

    def add_step(self, **values: float | int | str) -> None:
        """A row of one step."""
        row: Row = dict.fromkeys(STEP_COLUMNS, math.nan)
        self.steps.append(row | values)

    def add_epoch(self, epoch: int, galaxies: int, clock: "Clock", **values: float | int | str) -> Row:
        """A row of one epoch, with the means of its steps' losses."""
        own = [row for row in self.steps if row["epoch"] == epoch]
        row: Row = dict.fromkeys(EPOCH_COLUMNS, math.nan)
        row |= {name: own[-1][name] for name in ("stage", "epoch", "learning_rate", "temperature")}
        row |= {name: sum(float(step[name]) for step in own) / len(own) for name in LOSSES}
        row |= {
            "galaxies_per_second": galaxies / sum(float(step["seconds"]) for step in own),
            "data_wait": clock.waited_share(),
            "peak_memory_gb": peak_memory(),
        }
        self.epochs.append(row | values)
        return self.epochs[-1]

    def write(self, epochs: Path, steps: Path) -> None:
        """Two tables of tab-separated values."""
        for path, rows, columns in ((epochs, self.epochs, EPOCH_COLUMNS), (steps, self.steps, STEP_COLUMNS)):
            pd.DataFrame(rows, columns=list(columns)).to_csv(path, sep="\t", index=False, float_format="%.6g")


class Clock:
    """Seconds spent, and of these waiting for data."""

    def __init__(self) -> None:
        self.waited = 0.0
        self.start = self.last = time.monotonic()

    def lap(self) -> float:
        """Seconds since the last lap."""
        before, self.last = self.last, time.monotonic()
        return self.last - before

    def since(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.start

    def waiting(self, items: Iterable[T]) -> Iterator[T]:
        """Yield `items`, and count the time they let wait."""
        iterator = iter(items)
        while True:
            before = time.monotonic()
            try:
                item = next(iterator)
            except StopIteration:
                return
            self.waited += time.monotonic() - before
            yield item

    def waited_share(self) -> float:
        """Share of the time between the start and the last lap that was spent waiting."""
        return self.waited / max(self.last - self.start, 1e-9)


def peak_memory() -> float:
    """Most memory held so far, 10^9 bytes: of the GPU where there is one, else of this process."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e9
    # Linux counts in units of 1024 bytes, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
