"""Draw the galaxies nearest to the user's queries."""

from pathlib import Path
from typing import TYPE_CHECKING

from galaxalign.data.store import read_store
from galaxalign.figures.retrieval import read_similar, similar_grid
from galaxalign.figures.style import save
from galaxalign.logs import log_to

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with log_to(snakemake.log[0]):
        save(
            similar_grid(
                read_similar(Path(snakemake.input.table)),
                read_store(Path(snakemake.input.images)),
            ),
            png=Path(snakemake.output.png),
            pdf=Path(snakemake.output.pdf),
            caption=Path(snakemake.input.caption),
        )
