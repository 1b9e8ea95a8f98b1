"""Draw the pairs of galaxies in different splits that are most alike."""

from pathlib import Path
from typing import TYPE_CHECKING

from galaxalign.data.leaks import read_leaks
from galaxalign.data.store import read_store
from galaxalign.figures.leaks import leak_plate
from galaxalign.figures.style import save
from galaxalign.logs import log_to

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with log_to(snakemake.log[0]):
        save(
            leak_plate(
                read_store(Path(snakemake.input.images)),
                read_leaks(Path(snakemake.input.table)),
            ),
            png=Path(snakemake.output.png),
            pdf=Path(snakemake.output.pdf),
            caption=Path(snakemake.input.caption),
        )
