"""Draw the map of a run's embeddings."""

from pathlib import Path
from typing import TYPE_CHECKING

from galaxalign.evaluate.embeddings import read_embeddings
from galaxalign.figures.map import embedding_map
from galaxalign.figures.style import save
from galaxalign.logs import log_to

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with log_to(snakemake.log[0]):
        save(
            embedding_map(
                read_embeddings(Path(snakemake.input.embeddings)),
                galaxies=snakemake.params.galaxies,
                seed=snakemake.params.seed,
            ),
            png=Path(snakemake.output.png),
            pdf=Path(snakemake.output.pdf),
            caption=Path(snakemake.input.caption),
        )
