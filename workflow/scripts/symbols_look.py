"""Measure what the pictures of a data set look like, without a label."""

from pathlib import Path
from typing import TYPE_CHECKING

from galaxalign.logs import log_to
from galaxalign.symbols.matching import write_look

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with log_to(snakemake.log[0]):
        write_look(images=Path(snakemake.input.images), look=Path(snakemake.output.look))
