"""Plates of the symbols: alone, and beside the galaxies that they stand for."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from galaxalign.figures.plates import inches, name_above, name_below, plate, show
from galaxalign.figures.style import GREY, MEDIUM, PAGE, SMALL, styled, wrap
from galaxalign.symbols.drawing import draw
from galaxalign.symbols.geometry import Symbol
from galaxalign.symbols.library import SYMBOLS

ACROSS = 10
PIXELS = 160
# Questions whose names are not yet words.
TITLES = {"edgeon": "Edge-on", "galaxy_zoo_1": "Galaxy Zoo 1"}


@styled
def symbol_plate() -> Figure:
    """Every symbol under its question of the decision tree, with its title and the name that settings use."""
    lines = _lines(_by_question(), ACROSS)
    figure, panels = plate(len(lines), ACROSS, width=PAGE, top=0.2, below=0.6)
    for row, line in zip(panels, lines, strict=True):
        start = 0
        for question, symbols in line.items():
            own = row[start : start + len(symbols)]
            name_above(own[0], TITLES.get(question, question.replace("_", " ").capitalize()), size=MEDIUM)
            for panel, symbol in zip(own, symbols, strict=True):
                show(panel, draw(symbol.geometry, PIXELS))
                _name(panel, symbol)
            start += len(symbols)
    return figure


def _name(panel: Axes, symbol: Symbol) -> None:
    width = inches(panel)
    title = wrap(symbol.title, width, SMALL)
    # A name has no spaces; it may break after its underlines.
    name = wrap(symbol.name.replace("_", "_ "), width, SMALL).replace("_ ", "_")
    name_below(panel, title)
    name_below(panel, name, color=GREY, drop=3.5 + SMALL * 1.15 * (title.count("\n") + 1))


def _by_question() -> dict[str, list[Symbol]]:
    groups: dict[str, list[Symbol]] = {}
    for symbol in SYMBOLS.values():
        groups.setdefault(symbol.answer.split("/")[0], []).append(symbol)
    return groups


def _lines(groups: dict[str, list[Symbol]], across: int) -> list[dict[str, list[Symbol]]]:
    """Groups set into lines of `across` symbols, each into the first line that has room for it."""
    lines: list[dict[str, list[Symbol]]] = []
    for question, symbols in groups.items():
        for line in lines:
            if sum(map(len, line.values())) + len(symbols) <= across:
                line[question] = symbols
                break
        else:
            lines.append({question: symbols})
    return lines
