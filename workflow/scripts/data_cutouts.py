"""Fetch cutouts of the galaxies of a catalogue."""

from pathlib import Path
from typing import TYPE_CHECKING

from galaxalign.data.cutouts import fetch_cutouts
from galaxalign.data.service import Service
from galaxalign.logs import log_to

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with log_to(snakemake.log[0]):
        fetch_cutouts(
            catalogue=Path(snakemake.input.catalogue),
            columns=snakemake.params.settings["columns"],
            service=Service.from_dict(snakemake.params.settings),
            max_rejected=snakemake.params.max_rejected,
            pause=1.0,
            folder=Path(snakemake.output.cutouts),
            failures=Path(snakemake.output.failures),
            failures_if_failed=Path(snakemake.log[0]).with_suffix(".failures.tsv"),
        )
