"""One style for every figure, and the one way to save it.

Sizes are those of print: a figure as wide as a page is meant to be placed unscaled.
"""

import re
import textwrap
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

# Inches.
PAGE = 7.1
# Of the PNG, and of pictures inside the PDF.
DPI, PRINT_DPI = 200, 300

# Points; the smallest is the smallest allowed anywhere in a figure.
SMALL, MEDIUM, LARGE = 7.0, 8.0, 9.0

# Lines of a name of a row or column, in heights of a line.
CLOSE = 0.9

# Okabe and Ito (2008), for runs and methods: apart in every common colour blindness.
BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, BLACK, GREY = "#E69F00", "#56B4E9", "#000000", "#7F7F7F"
SERIES = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK, GREY)
# Petroff (2021, arXiv 2107.02270), for classes, of which there are more.
CLASSES = (
    *("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6"),
    *("#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd"),
)
# Colour is never the only difference; 7 markers and 10 colours repeat together after 70 classes.
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
RIGHT, WRONG = BLUE, VERMILION

STYLE: dict[Any, Any] = {
    # STIX comes with matplotlib, so that a figure looks the same on every machine.
    "font.family": "STIXGeneral",
    # Words are words: ids and names of files may have dollars.
    "text.parse_math": False,
    "font.size": MEDIUM,
    "axes.titlesize": LARGE,
    "axes.labelsize": LARGE,
    "xtick.labelsize": MEDIUM,
    "ytick.labelsize": MEDIUM,
    "legend.fontsize": MEDIUM,
    "axes.linewidth": 0.6,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "legend.frameon": False,
    "axes.grid": False,
    # Letters where the font wants them, not where pixels are: even spacing at small sizes.
    "text.hinting": "none",
    "pdf.fonttype": 42,
    "figure.facecolor": "white",
}
styled = matplotlib.rc_context(STYLE)

# Mean widths of a letter of prose and of a digit or letter of a name, over the size of the type.
LETTER, DIGIT = 0.44, 0.52
# Stands for the words or letters of a text that is cut to fit.
LEFT_OUT = "\N{HORIZONTAL ELLIPSIS}"


def wrap(text: str, inches: float, points: float, lines: int | None = None) -> str:
    """`text` in lines that fit a width, in type of a size; what is longer than so many lines is cut with a mark."""
    letters = max(4, int(inches * 72 / (points * LETTER)))
    return "\n".join(textwrap.wrap(text, letters, max_lines=lines, placeholder=f" {LEFT_OUT}"))


def shorten(name: str, inches: float, points: float = SMALL) -> str:
    """The end of a name that fits a width: what tells files of one folder apart stands there."""
    letters = max(4, int(inches * 72 / (points * DIGIT)))
    # The mark is as wide as two digits.
    return name if len(name) <= letters else LEFT_OUT + name[2 - letters :]


def class_color(index: int) -> str:
    """Colour of the class with this index."""
    return CLASSES[index % len(CLASSES)]


def class_marker(index: int) -> str:
    """Marker of the class with this index."""
    return MARKERS[index % len(MARKERS)]


def read_caption(path: Path) -> str:
    """The words of a caption in reStructuredText, on one line and without marks.

    Comments and Jinja expressions have no place in captions and are not understood.
    """
    text = re.sub(r":\w+:`([^`]*)`", r"\1", path.read_text())
    return " ".join(re.sub(r"[`*]+", "", text).split())


def sentence(words: str) -> Figure:
    """A figure that says why it shows nothing."""
    figure = Figure(figsize=(PAGE, 0.6))
    figure.text(0.5, 0.5, words, ha="center", va="center")
    return figure


def save(figure: Figure, *, png: Path, pdf: Path, caption: Path) -> None:
    """Write a figure as PNG and PDF with its caption inside; the same figure gives the same bytes."""
    words = read_caption(caption)
    with matplotlib.rc_context(STYLE):
        figure.savefig(png, dpi=DPI, metadata={"Description": words, "Software": None})
        figure.savefig(pdf, dpi=PRINT_DPI, metadata={"Subject": words, "CreationDate": None})
