"""Draw the plate of all symbols."""

from pathlib import Path
from typing import TYPE_CHECKING

from galaxalign.figures.style import save
from galaxalign.figures.symbols import symbol_plate
from galaxalign.logs import log_to

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with log_to(snakemake.log[0]):
        save(
            symbol_plate(),
            png=Path(snakemake.output.png),
            pdf=Path(snakemake.output.pdf),
            caption=Path(snakemake.input.caption),
        )
