"""What the workflow made and where to look, in a few lines for the terminal: `python -m galaxalign.products`."""

import csv
import sys
from pathlib import Path


def report_of(results: Path) -> str:
    """How well each run classifies, and the products that are there.

    Parameters
    ----------
    results
        Folder of everything made.
    """
    lines = []
    table = results / "tables/summary.tsv"
    if table.is_file():
        with table.open() as file:
            rows = [row for row in csv.DictReader(file, delimiter="\t") if row["by"].endswith("*")]
        lines += [f"{'data set':<16}{'run':<20}{'accuracy':<24}macro-F1"]
        lines += [f"{row['data set']:<16}{row['run']:<20}{row['accuracy']:<24}{row['macro-F1']}" for row in rows]
        lines += ["", f"every number  {table}, {results}/tables/metrics.tsv"]
    lines += [f"figures       {path}/" for path in sorted((results / "figures").glob("*/"))]
    lines += [f"model         {path}" for path in sorted(results.glob("*/*/model.pt"))]
    lines += [
        "one page      snakemake --report report.html",
        "next          snakemake predictions --cores all, snakemake similar --cores all  (README.md, config/README.md)",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(report_of(Path("results")) + "\n")
