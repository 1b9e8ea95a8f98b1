"""Plates: rows of small pictures under each other, with words beside them."""

from collections.abc import Collection
from typing import Any

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from galaxalign.figures.style import BLACK, RIGHT, SMALL, WRONG, wrap

# Inches between pictures, and around the plate.
SPACE, EDGE = 0.04, 0.06
# Strokes in the upper left corner of a panel, x and y as shares of its side.
TICK = ([0.05, 0.11, 0.22], [0.86, 0.79, 0.94])
CROSS = ([0.06, 0.20, 0.13, 0.06, 0.20], [0.80, 0.94, 0.87, 0.94, 0.80])


def plate(
    rows: int,
    columns: int,
    *,
    width: float,
    left: float = 0.0,
    top: float = 0.0,
    bottom: float = 0.0,
    below: float = 0.0,
    gaps: Collection[int] = (),
    gap: float = 0.12,
    row_gaps: Collection[int] = (),
) -> tuple[Figure, NDArray[Any]]:
    """A figure of square panels without axes, and its panels (rows, columns).

    Parameters
    ----------
    width : of the figure, inches; its height follows.
    left, top, bottom : room for words at the left of the plate, above and under it, inches.
    below : room under each row, inches.
    gaps, row_gaps : columns and rows that stand apart from the one before.
    gap : how far, inches.
    """
    side = (width - left - 2 * EDGE - gap * len(gaps)) / columns - SPACE
    height = top + bottom + 2 * EDGE + rows * (side + SPACE + below) + gap * len(row_gaps)
    figure = Figure(figsize=(width, height))
    panels = np.empty((rows, columns), dtype=object)
    for row in range(rows):
        y = top + EDGE + row * (side + SPACE + below) + gap * sum(at <= row for at in row_gaps)
        for column in range(columns):
            x = left + EDGE + column * (side + SPACE) + gap * sum(at <= column for at in gaps)
            box = (x / width, 1 - (y + side) / height, side / width, side / height)
            panels[row, column] = figure.add_axes(box)
            panels[row, column].set_axis_off()
    return figure, panels


def show(panel: Axes, picture: NDArray[np.uint8]) -> None:
    """A picture (H, W) or (H, W, 3), row 0 at the top, in a panel of a plate."""
    panel.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="antialiased")


def inches(panel: Axes) -> float:
    """Side of a panel of a plate."""
    width: float = panel.get_position().width * panel.get_figure().get_figwidth()  # type: ignore[union-attr]
    return width


def name_row(panel: Axes, words: str, *, size: float = SMALL) -> None:
    """Words, in lines as they are given, at the left of a row's first panel."""
    _write(panel, words, (0, 0.5), (-5, 0), ha="right", va="center", fontsize=size, linespacing=1.05)


def name_below(panel: Axes, words: str, *, color: str = BLACK, drop: float = 2.0) -> None:
    """Words, in lines as they are given, `drop` points under a panel."""
    _write(
        panel,
        words,
        (0.5, 0),
        (0, -drop),
        ha="center",
        va="top",
        fontsize=SMALL,
        color=color,
        linespacing=1.0,
    )


def name_above(panel: Axes, words: str, *, size: float, center: bool = False) -> None:
    """A heading above the first panel of a group, or above the middle of one."""
    place = (0.5, 1.0) if center else (0.0, 1.0)
    _write(panel, words, place, (0, 3), ha="center" if center else "left", fontsize=size)


def _write(panel: Axes, words: str, place: tuple[float, float], points: tuple[float, float], **style: Any) -> None:
    """Words at a place given in shares of a panel, moved by points."""
    panel.annotate(words, place, xytext=points, xycoords="axes fraction", textcoords="offset points", **style)


def say(panel: Axes, words: str, *, size: float = SMALL) -> None:
    """Words in the place of a picture, as many as it holds."""
    width = inches(panel) - 0.1
    panel.text(
        *(0.5, 0.5, wrap(words, width, size, lines=int(width * 72 / size))),
        ha="center",
        va="center",
        fontsize=size,
        linespacing=1.0,
        transform=panel.transAxes,
    )


def frame(panel: Axes, color: str, *, dashed: bool = False) -> None:
    """A frame around a picture."""
    panel.set_axis_on()
    panel.set_xticks([])
    panel.set_yticks([])
    for spine in panel.spines.values():
        spine.set(color=color, linewidth=1.6, linestyle=(0, (2, 1)) if dashed else "-")


def judge(panel: Axes, right: bool) -> None:
    """A blue frame and a tick, or a broken red frame and a cross."""
    color = RIGHT if right else WRONG
    frame(panel, color, dashed=not right)
    panel.plot(
        *(TICK if right else CROSS),
        color=color,
        linewidth=1.6,
        transform=panel.transAxes,
        path_effects=[patheffects.withStroke(linewidth=3.2, foreground="white")],
        solid_capstyle="round",
        scalex=False,
        scaley=False,
    )
