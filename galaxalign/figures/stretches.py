"""One image drawn by every function from flux to colour, to choose from."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from galaxalign.data.pictures import Picture
from galaxalign.data.rgb import Stretch
from galaxalign.figures.plates import SPACE, frame, inches, name_below, plate, show
from galaxalign.figures.style import BLUE, GREY, MEDIUM, PAGE, SMALL, shorten, styled, wrap


@styled
def stretch_sheet(
    *,
    source: str,
    pictures: Sequence[tuple[Stretch, Picture]],
    planes: Sequence[tuple[str, NDArray[np.uint8]]],
    chosen: str,
) -> Figure:
    """A row of the image by every function, the chosen one framed, and a row of its bands, each by itself.

    Parameters
    ----------
    source : the image's name.
    pictures : what each function made; empty for an image that is a picture already.
    planes : name and grey picture, uint8 (S, S), of each band; or of the picture itself (S, S, 3).
    chosen : the configuration's function.
    """
    columns = max(len(pictures), len(planes), 3)
    rows = 2 if pictures else 1
    figure, panels = plate(rows, columns, width=PAGE, top=0.25, below=0.46)
    figure.text(0.01, 1 - 0.1 / figure.get_figheight(), shorten(source, PAGE - 0.2, MEDIUM), va="top", fontsize=MEDIUM)
    for panel, (stretch, picture) in zip(panels[0], pictures, strict=False):
        show(panel, picture.pixels)
        numbers = ", ".join(f"{key} {value:g}" for key, value in stretch.numbers.items())
        name_below(panel, f"{stretch.name}{' (chosen)' if stretch.name == chosen else ''}")
        words = numbers if not picture.flag else f"{numbers}; flag {picture.flag}"
        name_below(panel, wrap(words, inches(panel) - SPACE, SMALL, lines=4), color=GREY, drop=2 + 1.2 * SMALL)
        if stretch.name == chosen:
            frame(panel, BLUE)
    for panel, (name, plane) in zip(panels[-1], planes, strict=False):
        show(panel, plane)
        words = wrap(name, inches(panel) - SPACE, SMALL, lines=4)
        name_below(panel, words)
    return figure
