"""Galaxies a second that are rendered: by the pen as the simulated survey sees them, and as living symbols to train on.

Classes are as frequent as in Galaxy10.  The pen is given shapes and looks; living symbols choose them, too, and match
what is measured of pictures of the simulated survey.
"""

import os
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from benchmarks.material import CLASSES, CONFIG
from benchmarks.measuring import Measured, alternately, options, write
from galaxalign.data.rgb import Stretch
from galaxalign.data.survey import BRIGHT_GALAXIES, LEGACY_SURVEY, class_numbers, render_examples
from galaxalign.symbols.library import SYMBOLS
from galaxalign.symbols.living import LivingSymbols
from galaxalign.symbols.matching import SurveyLook, measure_look
from galaxalign.symbols.rendering import render
from galaxalign.symbols.sheet import ClassSheet, read_sheet

# Pixels a side, galaxies a batch, and batches of a repetition.
SIZE, BATCH, BATCHES = 112, 64, 4
# Pictures of each symbol that the look of the simulated survey is measured of.
EXAMPLES = 8
# Of each way to render.
TARGETS = {"pen": None, "living symbols": ">= 500"}


def main() -> None:
    """Measure and write."""
    given = options(__doc__, [BATCH])
    torch.set_num_threads(os.cpu_count() or 1)
    sheet = read_sheet(CLASSES)
    living = LivingSymbols(sheet, survey_look(sheet), SIZE)
    measured = []
    for batch in given.batches:
        arms = arms_of(living, batch)
        # The first one pays for what later ones use again.
        alternately(arms, 1)
        for name, found in alternately(arms, given.repetitions).items():
            measured.append(Measured("Galaxies a second", f"{name}, batch {batch}", "1/s", found["1/s"], TARGETS[name]))
    settings = {"pictures": "the mixture of Galaxy10's classes", "size": SIZE}
    write(given.results / "rendering.json", measured, settings=settings, skipped={})


def survey_look(sheet: ClassSheet) -> SurveyLook:
    """What the simulated survey's pictures of the symbols of a sheet look like."""
    stretch = Stretch.from_dict(CONFIG["data"]["stretch"])
    names = [name for entry in sheet.classes for name in entry.symbols]
    pictures = [render_examples(SYMBOLS[name], EXAMPLES, seed, SIZE, stretch) for seed, name in enumerate(names)]
    return measure_look(np.concatenate(pictures))


def arms_of(living: LivingSymbols, batch: int) -> dict[str, Callable[[], dict[str, float]]]:
    """Both ways to render the same classes, each called for its galaxies a second."""
    numbers, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    shares = class_numbers(living.sheet, 100 * BATCH)
    classes = numbers.choice(len(shares), (BATCHES, batch), p=shares / shares.sum())
    names = [[str(numbers.choice(living.sheet.classes[index].symbols)) for index in row] for row in classes]
    shapes = [[SYMBOLS[name].vary(numbers) for name in row] for row in names]
    looks = [[BRIGHT_GALAXIES.draw(shape, numbers) for shape in row] for row in shapes]

    def pen(row: int) -> None:
        render(shapes[row], looks[row], LEGACY_SURVEY, generator, SIZE)

    def living_symbols(row: int) -> None:
        living.draw(torch.from_numpy(classes[row]), generator)

    return {name: partial(_rate, draw, batch) for name, draw in zip(TARGETS, (pen, living_symbols), strict=True)}


def _rate(draw: Callable[[int], None], batch: int) -> dict[str, float]:
    start = time.perf_counter()
    for row in range(BATCHES):
        draw(row)
    return {"1/s": BATCHES * batch / (time.perf_counter() - start)}


if __name__ == "__main__":
    main()
