"""Put the metrics of all runs into tables."""

from pathlib import Path
from typing import TYPE_CHECKING

from galaxalign.evaluate.tables import write_tables
from galaxalign.logs import log_to

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with log_to(snakemake.log[0]):
        write_tables(
            [Path(path) for path in snakemake.input.metrics],
            metrics=Path(snakemake.output.metrics),
            summary_table=Path(snakemake.output.summary),
        )
