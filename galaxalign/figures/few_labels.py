"""How well runs classify with fewer labels: every seed, and the mean over seeds."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from galaxalign.figures.style import BLACK, GREY, MARKERS, PAGE, SERIES, styled

# Runs of a sweep, and runs beside them that no label trained, are apart at a glance.
SWEPT = [color for color in SERIES if color not in (BLACK, GREY)]
BESIDE = [BLACK, GREY]
DASHES = [(0, (5, 2)), (0, (1.5, 1.5)), (0, (5, 2, 1, 2))]
# Width that the runs of one number of labels share, where these numbers are 1 apart.
SPREAD = 0.4


def read_seeds(path: Path) -> pd.DataFrame:
    """The table of every trained run of the sweeps; numbers of labels are text, one of them "all"."""
    return pd.read_csv(path, sep="\t", dtype={"labels": str, "run": str, "name": str})


@styled
def few_labels(seeds: pd.DataFrame) -> Figure:
    """Macro-F1 against labelled galaxies a class, a line a run through the mean over seeds, a point a seed.

    A run of no sweep is a dashed line across, with its marker at the labels it had.  Runs stand beside each
    other at each number of labels so that their seeds can be told apart.

    Parameters
    ----------
    seeds : columns run, labels, seed, name, trained_on and macro_f1, a row a trained run.
    """
    places = {labels: place for place, labels in enumerate(sorted(seeds["labels"].unique(), key=_number))}
    beside = seeds["name"] == seeds["run"]
    swept, others = (list(dict.fromkeys(seeds["run"][rows])) for rows in (~beside, beside))
    figure = Figure(figsize=(PAGE, max(3.4, 0.8 + 0.2 * len([*swept, *others]))), layout="constrained")
    panel = figure.subplots()
    shifts = np.linspace(-SPREAD / 2, SPREAD / 2, len(swept)) if len(swept) > 1 else np.zeros(1)
    for index, run in enumerate(swept):
        rows = seeds[~beside & (seeds["run"] == run)]
        _line(panel, rows, rows["labels"].map(places) + shifts[index], **_look(index))
    for index, run in enumerate(others):
        row = seeds[beside & (seeds["run"] == run)].iloc[0]
        color, dashes = BESIDE[index % len(BESIDE)], DASHES[index % len(DASHES)]
        marker = MARKERS[(len(swept) + index) % len(MARKERS)]
        panel.axhline(row["macro_f1"], color=color, linestyle=dashes, linewidth=0.9, zorder=1)
        panel.plot(places[row["labels"]], row["macro_f1"], color=color, marker=marker, markersize=5, zorder=3)
        panel.plot([], [], color=color, linestyle=dashes, marker=marker, label=f"{run} ({_given(row['labels'])})")
    panel.set_xticks(list(places.values()), [_tick(labels, seeds) for labels in places])
    panel.set_xlim(-0.5, len(places) - 0.5)
    panel.tick_params(axis="x", length=0)
    panel.set_xlabel("Labelled training galaxies of each class")
    panel.set_ylabel("Macro-F1 on the judged galaxies")
    panel.grid(axis="y", color="0.9", linewidth=0.5)
    panel.set_axisbelow(True)
    for place in range(1, len(places)):
        panel.axvline(place - 0.5, color="0.9", linewidth=0.5, zorder=0)
    figure.legend(loc="outside right upper", handlelength=3.2)
    return figure


def _line(panel: Axes, rows: pd.DataFrame, x: "pd.Series[float]", **look: Any) -> None:
    """A run's seeds as faint points, and its mean over seeds as a line with markers."""
    ends = {key: look[key] for key in ("color", "marker")}
    panel.plot(x, rows["macro_f1"], linestyle="", markersize=2.6, alpha=0.5, markeredgewidth=0, zorder=2, **ends)
    mean = rows["macro_f1"].groupby(x).mean()
    panel.plot(mean.index, mean, markersize=5, markeredgewidth=0.9, label=rows["run"].iloc[0], zorder=4, **look)


def _look(index: int) -> dict[str, Any]:
    """Colour and marker of a swept run; where colours come round again the markers are open and lines broken."""
    color, again = SWEPT[index % len(SWEPT)], index >= len(SWEPT)
    return {
        "color": color,
        "marker": MARKERS[index % len(MARKERS)],
        "markerfacecolor": "white" if again else color,
        "linestyle": "-." if again else "-",
    }


def _number(labels: str) -> float:
    """Order of numbers of labels: all is the largest."""
    return float("inf") if labels == "all" else float(labels)


def _given(labels: str) -> str:
    return "untrained" if labels == "all" else f"{labels} labels"


def _tick(labels: str, seeds: pd.DataFrame) -> str:
    trained_on = seeds.loc[seeds["labels"] == labels, "trained_on"].max()
    return f"{labels}\n({trained_on} in all)" if trained_on else labels
