"""Galaxies a second that the pen renders: the mixture of Galaxy10 as the simulated survey sees it."""

import os
import time

import numpy as np
import torch

from benchmarks.material import CLASSES
from benchmarks.measuring import Measured, options, write
from galaxalign.data.survey import BRIGHT_GALAXIES, LEGACY_SURVEY, class_numbers
from galaxalign.symbols.appearance import Appearance
from galaxalign.symbols.geometry import Geometry
from galaxalign.symbols.library import SYMBOLS
from galaxalign.symbols.rendering import render
from galaxalign.symbols.sheet import ClassSheet, read_sheet

# Pixels a side, galaxies a batch, and batches of a repetition.
SIZE, BATCH, BATCHES = 112, 64, 4


def main() -> None:
    """Measure and write."""
    given = options(__doc__, [BATCH])
    torch.set_num_threads(os.cpu_count() or 1)
    sheet, numbers = read_sheet(CLASSES), np.random.default_rng(0)
    generator = torch.Generator().manual_seed(0)
    measured = []
    for batch in given.batches:
        batches = [_batch(sheet, batch, numbers) for _ in range(BATCHES)]
        # The first one pays for what later ones use again.
        _rate(batches[:1], generator)
        rates = [_rate(batches, generator) for _ in range(given.repetitions)]
        measured.append(Measured("Galaxies a second", f"batch {batch}", "1/s", rates, None))
    settings = {"pictures": "the mixture of Galaxy10's classes", "size": SIZE}
    write(given.results / "rendering.json", measured, settings=settings, skipped={})


def _batch(sheet: ClassSheet, count: int, numbers: np.random.Generator) -> tuple[list[Geometry], list[Appearance]]:
    """Shapes and looks of a batch, classes as frequent as in the mixture."""
    shares = class_numbers(sheet, 100 * BATCH)
    classes = numbers.choice(len(shares), count, p=shares / shares.sum())
    shapes = [SYMBOLS[str(numbers.choice(sheet.classes[index].symbols))].vary(numbers) for index in classes]
    return shapes, [BRIGHT_GALAXIES.draw(shape, numbers) for shape in shapes]


def _rate(batches: list[tuple[list[Geometry], list[Appearance]]], generator: torch.Generator) -> float:
    start = time.perf_counter()
    for shapes, looks in batches:
        render(shapes, looks, LEGACY_SURVEY, generator, SIZE)
    return sum(len(shapes) for shapes, _ in batches) / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
