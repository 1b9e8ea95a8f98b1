"""Stage 1 of a run: align galaxies, symbols and texts with one visual tower."""

from pathlib import Path
from typing import TYPE_CHECKING

from galaxalign.align.inputs import Source
from galaxalign.align.recipe import Recipe
from galaxalign.align.stages import align_shared
from galaxalign.logs import log_to

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with log_to(snakemake.log[0]):
        align_shared(
            Source(
                images=Path(snakemake.input.images),
                symbols=Path(snakemake.input.symbols),
                look=Path(snakemake.input.look) if snakemake.input.look else None,
                start=Path(snakemake.input.start) if snakemake.input.start else None,
                dataset=snakemake.wildcards.get("dataset"),
                code=snakemake.params.code,
                threads=snakemake.threads,
                memory=float(snakemake.resources.get("mem_mb")) * 1e6 / 2,
            ),
            Recipe.from_dict(snakemake.params.recipe),
            model=Path(snakemake.output.model),
            history=Path(snakemake.output.history),
            steps=Path(snakemake.output.steps),
        )
