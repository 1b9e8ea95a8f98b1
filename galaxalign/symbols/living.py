"""Symbols brought to life: galaxies rendered from the geometry of a class's symbols, as a survey would show them.

A picture is made in five steps: a shape of the class; an appearance in the survey, drawn from what was measured
of its pictures and widened; the flux of the galaxy, its field and neighbours; the air; the stretch, the sky and its
noise.  Nothing of it needs a label, and there is no end to it.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from galaxalign.symbols.appearance import Band, Observation
from galaxalign.symbols.camera import EDGE, SHARPEST, photograph
from galaxalign.symbols.geometry import Geometry
from galaxalign.symbols.library import SYMBOLS
from galaxalign.symbols.looks import ZERO, Table, draw_appearances, draw_table
from galaxalign.symbols.matching import SurveyLook, measure
from galaxalign.symbols.rendering import each, render
from galaxalign.symbols.sheet import ClassSheet

# Lengths are in stored pixels: one "arcsec" a pixel. The survey's own air is added afterwards.
_BANDS = tuple(
    Band(name=name, wavelength=wavelength, psf_fwhm=SHARPEST, sky=0.0, gain=math.inf)
    for name, wavelength in (("red", 750.0), ("green", 620.0), ("blue", 480.0))
)
# Stars and small galaxies of the field for each one that is bright enough to be counted as a neighbour, and the
# magnitude of the faintest over that of a flux of 1.
STARS, GALAXIES, FAINTEST = 2.0, 1.5, 2.5
# Galaxies of each symbol that its size in the survey's pictures is found from, and how often it is corrected.
TRIED, ROUNDS = 16, 2


class LivingSymbols:
    """Galaxies of the classes of a sheet, in the pictures of a survey.

    Parameters
    ----------
    sheet
        The vocabulary; a galaxy of a class is one of the class's symbols.
    look
        What the survey's pictures look like; None for pictures that match none.
    size
        Pixels a side.
    """

    def __init__(self, sheet: ClassSheet, look: SurveyLook | None, size: int) -> None:
        self.sheet, self.look, self.size = sheet, look, size
        self._sizes = dict.fromkeys((name for entry in sheet.classes for name in entry.symbols), 1.0)
        for _ in range(ROUNDS if look is not None else 0):
            self._sizes = {name: size * self._smallness(name) for name, size in self._sizes.items()}

    def _smallness(self, name: str) -> float:
        """How much larger than now a symbol's galaxies must be drawn to look as large as the survey's."""
        chance, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
        names = [name] * TRIED
        shapes = [SYMBOLS[name].vary(chance) for _ in names]
        table = self._table(names, shapes, chance)
        pictures = self._made(shapes, table, chance, generator).numpy()
        seen = np.array([measure(picture)["radius"] for picture in pictures])
        return float(np.clip(np.exp(np.median(np.log(table["radius"] / seen))), 0.5, 2.0))

    def draw(self, classes: Tensor, generator: torch.Generator) -> Tensor:
        """Galaxies of the classes given.

        Parameters
        ----------
        classes
            (N,) int64, places in the sheet's classes.
        generator
            Decides everything that is left to chance; the work is done on its device.

        Returns
        -------
        uint8 (N, size, size, 3), row 0 at the top, red first.
        """
        chance = _chance(generator)
        choices = [self.sheet.classes[index].symbols for index in classes.tolist()]
        return self._drawn([symbols[int(chance.integers(len(symbols)))] for symbols in choices], chance, generator)

    def draw_symbols(self, names: Sequence[str], generator: torch.Generator) -> Tensor:
        """Galaxies of symbols of the sheet by name, (N, size, size, 3) as those of `draw`."""
        return self._drawn(names, _chance(generator), generator)

    def _drawn(self, names: Sequence[str], chance: np.random.Generator, generator: torch.Generator) -> Tensor:
        if not names:
            return torch.empty((0, self.size, self.size, 3), dtype=torch.uint8, device=generator.device)
        shapes = [SYMBOLS[name].vary(chance) for name in names]
        return self._made(shapes, self._table(names, shapes, chance), chance, generator)

    def _made(
        self, shapes: Sequence[Geometry], table: Table, chance: np.random.Generator, generator: torch.Generator
    ) -> Tensor:
        looks = draw_appearances(shapes, table, chance)
        device, count = generator.device, len(shapes)
        # The edge is cut off, and with it what comes in at the other border.
        flux = render(shapes, looks, self._field(table), generator, self.size + 2 * EDGE, margin=0.0)
        pictures = torch.empty((count, self.size, self.size, 3), dtype=torch.uint8, device=device)

        def take(batch: list[int], seed: int) -> None:
            rows = {name: values[batch] for name, values in table.items()}
            pictures[batch] = photograph(flux[batch].flip(-2), rows, torch.Generator(device).manual_seed(seed))

        each(take, list(range(count)), generator)
        return pictures

    def _table(self, names: Sequence[str], shapes: Sequence[Geometry], chance: np.random.Generator) -> Table:
        return draw_table(shapes, [self._sizes[name] for name in names], self.look, self.size, chance)

    def _field(self, table: Table) -> Observation:
        """A camera without noise; as many stars and small galaxies beside each galaxy as the survey shows."""
        area = ((self.size + 2 * EDGE) / 60) ** 2
        density = float(np.mean(table["neighbours"])) / area
        return Observation(
            bands=_BANDS,
            pixel_scale=1.0,
            psf_beta=3.0,
            seeing_scatter=0.0,
            sky_correlation=0.0,
            background=0.0,
            stars=STARS * density,
            galaxies=GALAXIES * density,
            limit=ZERO + FAINTEST,
        )


def _chance(generator: torch.Generator) -> np.random.Generator:
    """What numpy draws, from the generator that decides everything."""
    seed = int(torch.randint(2**62, (1,), generator=generator, device=generator.device))
    return np.random.default_rng(seed)
