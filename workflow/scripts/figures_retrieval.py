"""Draw queries and the galaxies nearest to them."""

from pathlib import Path
from typing import TYPE_CHECKING

from galaxalign.data.store import read_store
from galaxalign.evaluate.embeddings import read_embeddings
from galaxalign.figures.retrieval import retrieval_grid
from galaxalign.figures.style import save
from galaxalign.logs import log_to

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with log_to(snakemake.log[0]):
        save(
            retrieval_grid(
                read_embeddings(Path(snakemake.input.embeddings)),
                read_store(Path(snakemake.input.images)),
                split=snakemake.params.split,
                seed=snakemake.params.seed,
            ),
            png=Path(snakemake.output.png),
            pdf=Path(snakemake.output.pdf),
            caption=Path(snakemake.input.caption),
        )
