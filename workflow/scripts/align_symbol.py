"""Stage 2 of a run: go on with a tower of its own for the symbols."""

from pathlib import Path
from typing import TYPE_CHECKING

from galaxalign.align.inputs import Source
from galaxalign.align.recipe import Recipe
from galaxalign.align.stages import align_symbol
from galaxalign.logs import log_to

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with log_to(snakemake.log[0]):
        align_symbol(
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
            shared=Path(snakemake.input.shared),
            model=Path(snakemake.output.model),
            history=Path(snakemake.output.history),
            steps=Path(snakemake.output.steps),
        )
