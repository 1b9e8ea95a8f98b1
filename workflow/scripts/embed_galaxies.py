"""Embed galaxies, symbols and texts by the model of a run."""

from pathlib import Path
from typing import TYPE_CHECKING

from galaxalign.align.recipe import Recipe
from galaxalign.embed.embedding import embed_dataset
from galaxalign.logs import log_to

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with log_to(snakemake.log[0]):
        embed_dataset(
            model=Path(snakemake.input.model),
            images=Path(snakemake.input.images),
            symbols=Path(snakemake.input.symbols),
            dataset=snakemake.wildcards.get("dataset"),
            run=snakemake.wildcards.get("run"),
            recipe=Recipe.from_dict(snakemake.params.recipe),
            threads=snakemake.threads,
            embeddings=Path(snakemake.output.embeddings),
        )
