"""Count the galaxies of each class."""

from pathlib import Path
from typing import TYPE_CHECKING

from galaxalign.data.labels import write_labels
from galaxalign.data.store import read_store
from galaxalign.logs import log_to

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with log_to(snakemake.log[0]):
        write_labels(
            read_store(Path(snakemake.input.images)),
            manifest=Path(snakemake.input.manifest),
            table=Path(snakemake.output.table),
        )
