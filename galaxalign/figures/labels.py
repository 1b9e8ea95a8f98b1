"""How many galaxies each class got and what becomes of them, and where the rules of classes conflict."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from galaxalign.data.labels import FATES, NO_CLASS
from galaxalign.figures.style import BLUE, CLOSE, MEDIUM, ORANGE, PAGE, SKY, SMALL, VERMILION, styled, wrap

# Inches: room for names and of it what parts them from the bars, of a row, beside a panel, of a letter of a name, and
# the narrowest bars.
NAMES, GAP, ROW, EDGE, LETTER, NARROWEST = 1.15, 0.12, 0.24, 0.2, 0.046, 2.2
COLOURS = dict(zip(FATES, (BLUE, SKY, ORANGE, "#D9D9D9", VERMILION), strict=True))
# Colour is not the only difference.
HATCHES = dict(zip(FATES, ("", "////", "....", "", "xxxx"), strict=True))
# Above this share of the darkest cell numbers are white.
DARK = 0.55


@styled
def label_counts(table: pd.DataFrame, names: Sequence[str]) -> Figure:
    """Bars of galaxies by class and split; and where labels come from rules, which of them hold together.

    Parameters
    ----------
    table
        As `data.labels.label_table` makes it.
    names
        Display names of the classes, in order.
    """
    rows, classes = len(table), len(names)
    conflicts = int(table["conflicts"].sum())
    words = [wrap(name, NAMES - GAP, SMALL, lines=2) for name in [*names, NO_CLASS]]
    longest = LETTER * max(len(line) for word in words for line in word.split("\n"))
    under = longest + 0.4 if conflicts else 0.5
    height = under + ROW * rows + 0.35
    matrix = min(ROW * classes, PAGE - NAMES - NARROWEST - 2 * EDGE) if conflicts else 0.0
    figure = Figure(figsize=(PAGE, height))
    wide = PAGE - NAMES - EDGE - (matrix + EDGE if conflicts else 0)
    bars = figure.add_axes((NAMES / PAGE, under / height, wide / PAGE, ROW * rows / height))
    _bars(bars, table, words)
    if conflicts:
        left, bottom = PAGE - matrix - EDGE / 2, under + ROW
        cells = figure.add_axes((left / PAGE, bottom / height, matrix / PAGE, ROW * classes / height))
        # Columns may be narrower than two lines.
        narrow = matrix < ROW * classes
        _matrix(cells, table, [wrap(name, NAMES - GAP, SMALL, lines=1) for name in names] if narrow else words[:-1])
        total = int(table["galaxies"].sum())
        cells.set_xlabel(f"Rule that holds too\n({conflicts} of {total} galaxies)", fontsize=MEDIUM)
    return figure


def _bars(panel: Axes, table: pd.DataFrame, words: Sequence[str]) -> None:
    rows = np.arange(len(table))
    start = np.zeros(len(table))
    for fate in FATES:
        counts = table[fate].to_numpy(float)
        if counts.any():
            panel.barh(
                rows,
                counts,
                left=start,
                height=0.72,
                color=COLOURS[fate],
                hatch=HATCHES[fate],
                edgecolor="white",
                linewidth=0.4,
                label=fate,
            )
        start += counts
    for row, total in enumerate(start):
        panel.annotate(
            f"{total:.0f}", (total, row), xytext=(3, 0), textcoords="offset points", va="center", fontsize=SMALL
        )
    panel.set_yticks(rows, words, fontsize=SMALL, linespacing=CLOSE)
    panel.set_ylim(len(table) - 0.5, -0.5)
    panel.set_xlim(0, start.max() * 1.12 + 1)
    panel.tick_params(axis="y", length=0)
    panel.spines[["top", "right"]].set_visible(False)
    panel.set_xlabel("Galaxies")
    panel.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        ncols=len(FATES),
        fontsize=SMALL,
        borderpad=0.1,
        columnspacing=1.0,
        handlelength=1.4,
        handletextpad=0.4,
    )


def _matrix(panel: Axes, table: pd.DataFrame, words: Sequence[str]) -> None:
    """Galaxies of each class (row) for which the rule of another (column) holds too."""
    counts = table[[name for name in table.columns if name.startswith("also ")]].to_numpy(int)[:-1]
    panel.imshow(counts, cmap="Greys", vmin=0, vmax=counts.max(), aspect="auto")
    for row, column in zip(*np.nonzero(counts), strict=True):
        dark = counts[row, column] > DARK * counts.max()
        panel.text(
            column,
            row,
            str(counts[row, column]),
            ha="center",
            va="center",
            fontsize=SMALL,
            color="white" if dark else "black",
        )
    panel.set_xticks(range(len(words)), words, fontsize=SMALL, linespacing=CLOSE, rotation=90)
    panel.set_yticks(range(len(words)), [""] * len(words))
    panel.tick_params(length=0)
    panel.set_xticks(np.arange(0.5, len(words) - 1), minor=True)
    panel.set_yticks(np.arange(0.5, len(words) - 1), minor=True)
    panel.grid(which="minor", color="#D9D9D9", linewidth=0.4)
    panel.tick_params(which="minor", length=0)
