"""How runs learned, epoch by epoch."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from galaxalign.figures.style import MARKERS, PAGE, SERIES, SMALL, styled


def read_history(paths: Sequence[Path]) -> pd.DataFrame:
    """The stages of one run after each other, epochs counted on: column `total_epoch`, from 1."""
    history = pd.concat([pd.read_csv(path, sep="\t") for path in paths], ignore_index=True)
    return history.assign(total_epoch=range(1, len(history) + 1))


def read_histories(
    runs: Sequence[str], first: Sequence[str | Path], second: Sequence[str | Path]
) -> dict[str, pd.DataFrame]:
    """History of each run, from the files of its two stages, in the same order."""
    files = zip(runs, first, second, strict=True)
    return {run: read_history([Path(shared), Path(symbol)]) for run, shared, symbol in files}


@styled
def learning_curves(histories: Mapping[str, pd.DataFrame]) -> Figure:
    """Training loss and validation macro-F1 of each run; a larger, hollow marker is the first epoch of a stage."""
    figure = Figure(figsize=(PAGE, 2.7), layout="constrained")
    panels = figure.subplots(1, 2, sharex=True)
    columns = {"loss": "Training loss (nats)", "validation_macro_f1": "Validation macro-F1"}
    for panel, (column, title) in zip(panels, columns.items(), strict=True):
        for index, (run, history) in enumerate(histories.items()):
            if history.empty:
                continue
            color, marker = SERIES[index % len(SERIES)], MARKERS[index % len(MARKERS)]
            panel.plot(history["total_epoch"], history[column], color=color, marker=marker, markersize=3, label=run)
            begins = history[history["stage"] != history["stage"].shift()]
            panel.plot(
                *(begins["total_epoch"], begins[column]),
                color=color,
                marker=marker,
                markersize=6.5,
                markerfacecolor="white",
                linestyle="none",
            )
        panel.set(xlabel="Epoch", ylabel=title)
        panel.xaxis.get_major_locator().set_params(integer=True)
    panels[1].set_ylim(0, 1)
    panels[0].set_ylim(bottom=0)
    if any(not history.empty for history in histories.values()):
        panels[1].legend(loc="best")
    else:
        panels[0].text(0.5, 0.5, "no run was trained", ha="center", transform=panels[0].transAxes, fontsize=SMALL)
    return figure
