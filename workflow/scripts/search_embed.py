"""Embed the galaxies of a data set by a model that may have been trained on another."""

from pathlib import Path
from typing import TYPE_CHECKING

from galaxalign.embed.embedding import embed_galaxies
from galaxalign.logs import log_to

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with log_to(snakemake.log[0]):
        embed_galaxies(
            model=Path(snakemake.input.model),
            images=Path(snakemake.input.images),
            threads=snakemake.threads,
            embeddings=Path(snakemake.output.embeddings),
        )
