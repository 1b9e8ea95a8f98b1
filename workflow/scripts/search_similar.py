"""Find the nearest galaxies to galaxies, symbols and texts."""

from pathlib import Path
from typing import TYPE_CHECKING

from galaxalign.logs import log_to
from galaxalign.search.similarity import Queries, find_similar

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with log_to(snakemake.log[0]):
        find_similar(
            model=Path(snakemake.input.model),
            images=Path(snakemake.input.images),
            embeddings=Path(snakemake.input.embeddings),
            queries=Queries(**{key: tuple(values) for key, values in snakemake.params.queries.items()}),
            count=snakemake.params.nearest,
            table=Path(snakemake.output.table),
        )
