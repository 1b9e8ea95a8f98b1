"""Runs beside each other: what each method of each run reaches, with its interval."""

from collections.abc import Sequence
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from galaxalign.figures.style import BLACK, GREY, MARKERS, PAGE, SERIES, styled

METHODS = ("text", "symbol", "fused", "head", "probe")
QUERIES = ("galaxy", "symbol", "text")
# A text or symbol looks the same whether it classifies or searches.
LOOKS = dict(zip((*METHODS, "galaxy"), zip((*SERIES[:5], BLACK), MARKERS, strict=False), strict=True))
# Distance between the methods of a run, where runs are 1 apart.
STEP = 0.17
Number = dict[str, float]


@styled
def comparison(runs: Sequence[dict[str, Any]]) -> Figure:
    """Accuracy and macro-F1 of each method, and mAP@k of each kind of query, run by run, with 95 % intervals.

    A larger, framed marker is the method that the run's recipe classifies by; the dotted line is the
    accuracy of always naming the class that is largest among the judged galaxies.

    Parameters
    ----------
    runs : their metrics.
    """
    figure = Figure(figsize=(PAGE, 1.3 + 0.62 * len(runs)), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    # Nobody searched where no class has two judged galaxies.
    names = [name for metrics in runs for found in metrics["retrieval"].values() for name in found or ()]
    depth = max((int(name.split("@")[1]) for name in names), default=0)
    for panel, measure, title in zip(panels, ("accuracy", "macro_f1"), ("Accuracy", "Macro-F1"), strict=False):
        for place, metrics in enumerate(runs):
            numbers = {name: measured[measure] for name, measured in metrics["classification"].items()}
            _dots(panel, place, METHODS, numbers, chosen=metrics["classifier"])
        panel.set_xlabel(title)
    for place, metrics in enumerate(runs):
        numbers = {query: found[f"mAP@{depth}"] for query, found in metrics["retrieval"].items() if found}
        _dots(panels[2], place, QUERIES, numbers, chosen="")
    panels[2].set_xlabel(f"Search, mAP@{depth}" if depth else "Search")
    panels[0].axvline(_largest_class(runs[0]), color=GREY, linestyle=":", linewidth=0.8, zorder=0)
    panels[0].set_yticks(range(len(runs)), [metrics["run"] for metrics in runs])
    panels[0].set_ylim(len(runs) - 0.5, -0.5)
    for panel in panels:
        panel.set_xlim(0, 1)
        panel.tick_params(axis="y", length=0)
        panel.grid(axis="x", color="0.9", linewidth=0.5)
        panel.set_axisbelow(True)
        for place in range(1, len(runs)):
            panel.axhline(place - 0.5, color="0.8", linewidth=0.5)
    _legend(figure, panels[0], METHODS, "classified by", "outside upper left")
    _legend(figure, panels[2], QUERIES, "searched by", "outside upper right")
    return figure


def _dots(panel: Axes, place: int, order: Sequence[str], numbers: dict[str, Number], *, chosen: str) -> None:
    """Each method's value and interval, one under the other around a run's place."""
    present = [name for name in order if name in numbers]
    for index, name in enumerate(present):
        number = numbers[name]
        y = place + STEP * (index - (len(present) - 1) / 2)
        color, marker = LOOKS[name]
        panel.plot([number["low"], number["high"]], [y, y], color=color, linewidth=1.2, clip_on=False)
        big = name == chosen
        panel.plot(
            *(number["value"], y),
            marker=marker,
            color=color,
            markersize=6 if big else 4,
            markeredgecolor="black" if big else color,
            markeredgewidth=0.9,
            # At 0 and 1 half of it lies beyond the frame.
            clip_on=False,
        )


def _legend(
    figure: Figure,
    panel: Axes,
    order: Sequence[str],
    title: str,
    where: Literal["outside upper left", "outside upper right"],
) -> None:
    handles = [
        panel.plot([], [], color=LOOKS[name][0], marker=LOOKS[name][1], linewidth=1.2, label=name)[0] for name in order
    ]
    figure.legend(handles=handles, loc=where, ncols=len(order), title=title, columnspacing=1.0, handlelength=1.4)


def _largest_class(metrics: dict[str, Any]) -> float:
    counts = metrics["counts"][metrics["split"]].values()
    return float(max(counts) / sum(counts))
