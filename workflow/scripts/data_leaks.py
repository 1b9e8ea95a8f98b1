"""Report the pairs of galaxies in different splits that are most alike."""

from pathlib import Path
from typing import TYPE_CHECKING

from galaxalign.data.leaks import write_leaks
from galaxalign.data.store import read_store
from galaxalign.logs import log_to

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with log_to(snakemake.log[0]):
        write_leaks(
            read_store(Path(snakemake.input.images)),
            **snakemake.params.split,
            table=Path(snakemake.output.table),
        )
