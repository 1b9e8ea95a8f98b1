"""Draw the learning curves of all runs."""

from pathlib import Path
from typing import TYPE_CHECKING

from galaxalign.figures.learning import learning_curves, read_histories
from galaxalign.figures.style import save
from galaxalign.logs import log_to

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with log_to(snakemake.log[0]):
        save(
            learning_curves(read_histories(snakemake.params.runs, snakemake.input.shared, snakemake.input.symbol)),
            png=Path(snakemake.output.png),
            pdf=Path(snakemake.output.pdf),
            caption=Path(snakemake.input.caption),
        )
