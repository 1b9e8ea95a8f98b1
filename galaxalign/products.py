"""What the workflow made, and where to look, in a few lines for the terminal."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd


def report_of(results: Path, datasets: Sequence[str], runs: Sequence[str]) -> str:
    """Names the products that are there, with the accuracy of each run by its own classifier.

    Parameters
    ----------
    results
        Folder of everything made.
    datasets, runs
        Those that were asked for.
    """
    lines = []
    summary = results / "tables/summary.tsv"
    if summary.is_file():
        lines += [pd.read_csv(summary, sep="\t").to_string(index=False), ""]
    lines.append(f"figures      {results}/figures/  (PNG and PDF)")
    lines.append(f"numbers      {results}/tables/summary.tsv, metrics.tsv")
    lines += [
        f"model        {path}" for d in datasets for r in runs[-1:] if (path := results / d / r / "model.pt").is_file()
    ]
    lines.append("report       snakemake --report report.html")
    lines.append("use it       snakemake predictions --cores all    snakemake similar --cores all")
    return "\n".join(lines)
