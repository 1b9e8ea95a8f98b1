"""Draw what runs reach with few labels."""

from pathlib import Path
from typing import TYPE_CHECKING

from galaxalign.figures.few_labels import few_labels, read_seeds
from galaxalign.figures.style import save
from galaxalign.logs import log_to

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with log_to(snakemake.log[0]):
        save(
            few_labels(read_seeds(Path(snakemake.input.seeds))),
            png=Path(snakemake.output.png),
            pdf=Path(snakemake.output.pdf),
            caption=Path(snakemake.input.caption),
        )
