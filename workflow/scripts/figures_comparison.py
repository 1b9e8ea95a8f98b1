"""Draw all runs side by side."""

from pathlib import Path
from typing import TYPE_CHECKING

from galaxalign.evaluate.tables import read_metrics
from galaxalign.figures.comparison import comparison
from galaxalign.figures.style import save
from galaxalign.logs import log_to

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with log_to(snakemake.log[0]):
        save(
            comparison(read_metrics(snakemake.input.metrics)),
            png=Path(snakemake.output.png),
            pdf=Path(snakemake.output.pdf),
            caption=Path(snakemake.input.caption),
        )
