"""Plates of the galaxies of a data set: by class, and those that could not be used."""

import re

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from galaxalign.data.store import Store
from galaxalign.figures.plates import SPACE, inches, name_below, name_row, plate, show
from galaxalign.figures.style import GREY, MEDIUM, PAGE, SMALL, sentence, shorten, styled, wrap

EXAMPLES = 10
# Rejected images that are drawn at most; the table has all.
REJECTS = 28
ACROSS = 7


def examples_of(store: Store, label: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Rows of the good galaxies of a class, in random order."""
    return generator.permutation(np.flatnonzero((store.label == label) & (store.flag == "")))


@styled
def galaxy_plate(store: Store, *, seed: int) -> Figure:
    """Ten galaxies of each class, drawn at random, beside its name and its number by split.

    Where no galaxy has a class, two rows of ten are drawn of all.
    """
    left = 1.5
    good = store.flag == ""
    if not (good & (store.label >= 0)).any():
        return _unlabelled_plate(store, seed)
    figure, panels = plate(len(store.classes), EXAMPLES, width=PAGE, left=left, bottom=0.15)
    generator = np.random.default_rng(seed)
    without = int((good & (store.label < 0)).sum())
    if without:
        figure.text(0.01, 0.01, f"{without} galaxies without a class are not shown", fontsize=SMALL, va="bottom")
    for index, (name, row) in enumerate(zip(store.names, panels, strict=True)):
        examples = store.pictures(examples_of(store, index, generator)[:EXAMPLES])
        for panel, picture in zip(row, examples, strict=False):
            show(panel, picture)
        splits = store.split[good & (store.label == index)]
        counts = [str((splits == split).sum()) for split in ("train", "validation", "test")]
        name_row(row[0], f"{wrap(name, left - 0.1, MEDIUM)}\n{len(splits)}: {' + '.join(counts)}", size=MEDIUM)
    return figure


def _unlabelled_plate(store: Store, seed: int) -> Figure:
    figure, panels = plate(2, EXAMPLES, width=PAGE, bottom=0.15)
    rows = examples_of(store, -1, np.random.default_rng(seed))
    for panel, picture in zip(panels.flat, store.pictures(rows[: panels.size]), strict=False):
        show(panel, picture)
    figure.text(0.01, 0.01, f"{len(rows)} galaxies, none with a class", fontsize=SMALL, va="bottom")
    return figure


@styled
def reject_plate(store: Store) -> Figure:
    """The first rejected images, as far as they could be read, with id, flag and reason."""
    rejected = np.flatnonzero(store.flag != "")
    total = f"{len(rejected)} of {len(store.flag)} images rejected"
    if len(rejected) == 0:
        return sentence(f"no image was rejected ({len(store.flag)} read)")
    shown = rejected[:REJECTS]
    figure, panels = plate(-(-len(shown) // ACROSS), ACROSS, width=PAGE, top=0.25, below=1.0)
    more = f", the first {len(shown)} shown" if len(shown) < len(rejected) else ""
    figure.text(0.01, 1 - 0.1 / figure.get_figheight(), total + more, va="top", fontsize=MEDIUM)
    for panel, row, picture in zip(panels.flat, shown, store.pictures(shown), strict=False):
        show(panel, picture)
        width = inches(panel) - SPACE
        words = [shorten(store.id[row], width), store.flag[row].replace("_", " ")]
        name_below(panel, "\n".join(words))
        # The table of rejects has the folders; here there is room for the reason.
        reason = re.sub(r"\S*/", "", store.reason[row])
        name_below(panel, wrap(reason, width, SMALL, lines=5), color=GREY, drop=2 + 2.3 * SMALL)
    return figure
