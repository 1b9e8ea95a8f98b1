"""Which classes are taken for which."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from galaxalign.figures.style import CLOSE, MEDIUM, PAGE, SMALL, shorten, styled, wrap

ACROSS = 3
# Inches: between panels, for a title, the largest panel, the longest name, a letter and a line of it, an axis label.
SPACE, TITLE, LARGEST, LONGEST, LETTER, LINE, AXIS = 0.08, 0.28, 3.4, 1.05, 0.044, 0.115, 0.25
# Above this share a cell is dark enough for white numbers.
DARK = 0.55


@styled
def confusion_matrices(runs: Sequence[dict[str, Any]]) -> Figure:
    """One panel a run: per cent of each true class (row) by predicted class, with the run's own classifier.

    Parameters
    ----------
    runs : their metrics.
    """
    across, names = min(ACROSS, len(runs)), runs[0]["names"]
    words = [wrap(name, LONGEST, SMALL) for name in names]
    room = AXIS + LETTER * max(len(line) for word in words for line in word.split("\n"))
    # Names of more lines need higher rows, hence larger panels.
    needed = len(names) * LINE * max(word.count("\n") + 1 for word in words)
    while across > 1 and (PAGE - room) / across - SPACE < needed:
        across -= 1
    down = -(-len(runs) // across)
    side = min((PAGE - room) / across - SPACE, max(LARGEST, needed))
    width = room + across * (side + SPACE)
    height = down * (side + TITLE) + room
    figure = Figure(figsize=(width, height))
    for place, metrics in enumerate(runs):
        row, column = divmod(place, across)
        x, y = room + column * (side + SPACE), room + (down - 1 - row) * (side + TITLE)
        panel = figure.add_axes((x / width, y / height, side / width, side / height))
        _matrix(panel, metrics, side)
        panel.set_yticks(
            range(len(names)), words if column == 0 else [""] * len(names), fontsize=SMALL, linespacing=CLOSE
        )
        # The lowest panel of each column carries the names.
        lowest = place + across >= len(runs)
        panel.set_xticks(range(len(names)), words if lowest else [""] * len(names), fontsize=SMALL, linespacing=CLOSE)
        panel.tick_params(axis="x", rotation=90)
    figure.text((room + width) / 2 / width, 0.04 / height, "Predicted class", ha="center", va="bottom")
    figure.text(*(0.04 / width, (room + height) / 2 / height, "True class"), ha="left", va="center", rotation=90)
    return figure


def _matrix(panel: Axes, metrics: dict[str, Any], side: float) -> None:
    measured = metrics["classification"][metrics["classifier"]]
    counts = np.array(measured["confusion"])
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    panel.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in zip(*np.nonzero(counts), strict=True):
        share = shares[row, column]
        panel.text(
            *(column, row, f"{100 * share:.0f}"),
            ha="center",
            va="center",
            fontsize=SMALL,
            color="white" if share > DARK else "black",
        )
    accuracy = measured["accuracy"]["value"]
    result = f" ({metrics['classifier']}): {100 * accuracy:.1f} %"
    name = shorten(metrics["run"], side - LETTER * len(result) * MEDIUM / SMALL, MEDIUM)
    panel.set_title(name + result, fontsize=MEDIUM, pad=3)
    panel.tick_params(length=0)
