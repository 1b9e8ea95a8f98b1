"""Symbols brought to life: each beside galaxies rendered from its geometry and galaxies of its class."""

import numpy as np
import torch
from matplotlib.figure import Figure

from galaxalign.data.store import Store
from galaxalign.data.survey import render_examples
from galaxalign.figures.galaxies import examples_of
from galaxalign.figures.plates import name_above, name_row, plate, show
from galaxalign.figures.style import MEDIUM, PAGE, SMALL, styled, wrap
from galaxalign.symbols.library import SYMBOLS
from galaxalign.symbols.living import LivingSymbols
from galaxalign.symbols.matching import SurveyLook
from galaxalign.symbols.store import DrawnSymbols

EXAMPLES = 6
# Side of a rendered picture: 160 pixels of 0.262 arcsec, a cutout of the simulated survey.
PIXELS = 160
LEFT = 1.0


@styled
def living_symbols(symbols: DrawnSymbols, store: Store, look: SurveyLook | None, *, seed: int) -> Figure:
    """One row a symbol of the vocabulary: its drawing, six renderings, six galaxies of the data set.

    Parameters
    ----------
    symbols, store : of one data set.
    look : what the survey looks like: galaxies are rendered as training is shown them.  None renders them as the
        simulated survey sees them, in colour by the store's own recipe.
    seed : of the renderings and of the choice of galaxies.
    """
    starts = [1, 1 + EXAMPLES]
    figure, panels = plate(len(symbols.names), 1 + 2 * EXAMPLES, width=PAGE, left=LEFT, top=0.2, gaps=starts)
    unlabelled = not ((store.label >= 0) & (store.flag == "")).any()
    observed = "Galaxies of the data set" + (", of any class" if unlabelled else "")
    for column, words in zip(starts, ("Rendered from the symbol", observed), strict=True):
        name_above(panels[0, column], words, size=MEDIUM)
    generator = np.random.default_rng(seed)
    living = LivingSymbols(symbols.sheet, look, store.recipe.size) if look is not None else None
    chosen = [examples_of(store, index, generator) for index in range(len(store.classes))]
    if unlabelled:
        chosen = np.array_split(examples_of(store, -1, generator), len(store.classes))
    rows = zip(symbols.names, symbols.classes, symbols.images, panels, strict=True)
    for place, (name, label, drawing, row) in enumerate(rows):
        alone = list(symbols.classes).count(label) == 1
        parts = [store.names[label]] if alone else [store.names[label], f"({SYMBOLS[name].title})"]
        name_row(row[0], "\n".join(wrap(part, LEFT - 0.08, SMALL) for part in parts))
        show(row[0], drawing)
        if living is None:
            rendered = render_examples(SYMBOLS[name], EXAMPLES, seed + place, PIXELS, store.recipe.stretch)
        else:
            rendered = living.draw_symbols([name] * EXAMPLES, torch.Generator().manual_seed(seed + place)).numpy()
        # A class with several symbols shows other galaxies beside each.
        real, chosen[label] = chosen[label][:EXAMPLES], chosen[label][EXAMPLES:]
        for panel, picture in zip(row[1 : 1 + EXAMPLES], rendered, strict=True):
            show(panel, picture)
        for panel, picture in zip(row[1 + EXAMPLES :], store.pictures(real), strict=False):
            show(panel, picture)
    return figure
