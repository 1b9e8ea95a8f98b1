"""Draw galaxies of each class."""

from pathlib import Path
from typing import TYPE_CHECKING

from galaxalign.data.store import read_store
from galaxalign.figures.galaxies import galaxy_plate
from galaxalign.figures.style import save
from galaxalign.logs import log_to

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with log_to(snakemake.log[0]):
        save(
            galaxy_plate(read_store(Path(snakemake.input.images)), seed=snakemake.params.seed),
            png=Path(snakemake.output.png),
            pdf=Path(snakemake.output.pdf),
            caption=Path(snakemake.input.caption),
        )
