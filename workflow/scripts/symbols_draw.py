"""The symbols of a class sheet, drawn for training and to look at."""

from pathlib import Path
from typing import TYPE_CHECKING

from galaxalign.logs import log_to
from galaxalign.symbols.store import write_symbols

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with log_to(snakemake.log[0]):
        write_symbols(
            sheet=Path(snakemake.input.sheet),
            size=snakemake.params.size,
            variants=snakemake.params.symbols["variants"],
            seed=snakemake.params.symbols["seed"],
            code=snakemake.params.code,
            symbols=Path(snakemake.output.symbols),
            drawings=Path(snakemake.output.drawings),
        )
