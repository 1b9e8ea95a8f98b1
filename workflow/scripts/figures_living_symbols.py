"""Draw the symbols of a data set beside rendered and observed galaxies."""

from pathlib import Path
from typing import TYPE_CHECKING

from galaxalign.data.store import read_store
from galaxalign.figures.living import living_symbols
from galaxalign.figures.style import save
from galaxalign.logs import log_to
from galaxalign.symbols.matching import read_look
from galaxalign.symbols.store import read_symbols

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with log_to(snakemake.log[0]):
        save(
            living_symbols(
                read_symbols(Path(snakemake.input.symbols)),
                read_store(Path(snakemake.input.images)),
                read_look(Path(snakemake.input.look)) if snakemake.input.look else None,
                seed=snakemake.params.seed,
            ),
            png=Path(snakemake.output.png),
            pdf=Path(snakemake.output.pdf),
            caption=Path(snakemake.input.caption),
        )
