"""Draw how many galaxies each class got."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from galaxalign.figures.labels import label_counts
from galaxalign.figures.style import save
from galaxalign.logs import log_to
from galaxalign.symbols.sheet import read_sheet

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with log_to(snakemake.log[0]):
        save(
            label_counts(pd.read_csv(snakemake.input.table, sep="\t"), read_sheet(Path(snakemake.input.sheet)).names),
            png=Path(snakemake.output.png),
            pdf=Path(snakemake.output.pdf),
            caption=Path(snakemake.input.caption),
        )
