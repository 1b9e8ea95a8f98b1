"""Metrics of many runs as two tables: every number a row, and a summary to read."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

COLUMNS = ["dataset", "run", "task", "method", "metric", "value", "low", "high", "n"]

Metrics = dict[str, Any]


def read_metrics(paths: Iterable[str | Path]) -> list[Metrics]:
    """The metrics of each run."""
    return [json.loads(Path(path).read_text()) for path in paths]


def tidy(runs: Sequence[Metrics]) -> pd.DataFrame:
    """One row a number: dataset, run, task, method, metric, value, low, high, n.

    The method of a classification is what classified; that of a retrieval is the kind of query.  Recall
    of one class is the metric ``recall/LABEL``.
    """
    return pd.DataFrame([row for metrics in runs for row in _rows(metrics)], columns=COLUMNS)


def _rows(metrics: Metrics) -> Iterator[dict[str, Any]]:
    for method, measured in metrics["classification"].items():
        numbers = {
            "accuracy": measured["accuracy"],
            "macro_f1": measured["macro_f1"],
            **{f"recall/{label}": number for label, number in measured["recall"].items()},
        }
        yield from _named(metrics, "classification", method, numbers)
    for query, numbers in metrics["retrieval"].items():
        yield from _named(metrics, "retrieval", query, numbers)


def _named(metrics: Metrics, task: str, method: str, numbers: Metrics) -> Iterator[dict[str, Any]]:
    for metric, number in numbers.items():
        where = {"dataset": metrics["dataset"], "run": metrics["run"], "task": task, "method": method}
        yield {**where, "metric": metric, **number}


def summary(runs: Sequence[Metrics]) -> pd.DataFrame:
    """One row a run and method: accuracy and macro-F1, or P@k and mAP@k, as "value [low, high]".

    A star marks the method that the run's recipe classifies by.
    """
    rows = []
    for metrics in runs:
        where = {"data set": metrics["dataset"], "run": metrics["run"]}
        for method, measured in metrics["classification"].items():
            star = " *" if method == metrics["classifier"] else ""
            numbers = {"accuracy": measured["accuracy"], "macro-F1": measured["macro_f1"]}
            shown = {metric: _shown(number) for metric, number in numbers.items()}
            rows.append({**where, "task": "classify", "by": method + star, **shown})
        for query, numbers in metrics["retrieval"].items():
            shown = {metric: _shown(number) for metric, number in numbers.items() if metric != "mAP@1"}
            rows.append({**where, "task": "search", "by": query, **shown})
    return pd.DataFrame(rows).fillna("")


def _shown(number: dict[str, float]) -> str:
    return f"{number['value']:.3f} [{number['low']:.3f}, {number['high']:.3f}]"


def write_tables(runs: Iterable[Path], *, metrics: Path, summary_table: Path) -> None:
    """Write `tidy` and `summary` of the runs' metrics, tab-separated."""
    read = read_metrics(runs)
    tidy(read).to_csv(metrics, sep="\t", index=False, float_format="%.6g")
    summary(read).to_csv(summary_table, sep="\t", index=False)
