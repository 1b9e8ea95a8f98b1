"""Render the simulated survey."""

from pathlib import Path
from typing import TYPE_CHECKING

from galaxalign.data.survey import simulate_survey
from galaxalign.logs import log_to

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with log_to(snakemake.log[0]):
        folder = Path(snakemake.output.images)
        folder.mkdir()
        simulate_survey(
            sheet=Path(snakemake.input.sheet),
            **snakemake.params.settings,
            folder=folder,
            catalogue=Path(snakemake.output.catalog),
        )
