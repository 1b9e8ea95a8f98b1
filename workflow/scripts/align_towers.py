"""Build the towers that a run asks for, and write what they are."""

from pathlib import Path
from typing import TYPE_CHECKING

from galaxalign.align.facts import write_facts
from galaxalign.align.towers import BackboneSettings
from galaxalign.logs import log_to

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with log_to(snakemake.log[0]):
        asked = snakemake.params.asked
        write_facts(
            BackboneSettings(**asked["backbone"]), with_text=asked["with_text"], facts=Path(snakemake.output.facts)
        )
