"""Render a simulated survey as FITS cutouts with a catalogue."""

from pathlib import Path
from typing import TYPE_CHECKING

from galaxalign.data.survey import simulate_survey
from galaxalign.logs import log_to

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with log_to(snakemake.log[0]):
        simulate_survey(
            sheet=Path(snakemake.input.sheet),
            **snakemake.params.settings,
            folder=Path(snakemake.output.images),
            catalogue=Path(snakemake.output.catalog),
        )
