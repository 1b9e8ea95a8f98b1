"""Fetch a published data set."""

from pathlib import Path
from typing import TYPE_CHECKING

from galaxalign.data.download import CHECKSUMS, download
from galaxalign.logs import log_to

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with log_to(snakemake.log[0]):
        download(
            url=snakemake.params.settings["url"],
            checksums={
                name: snakemake.params.settings[name] for name in CHECKSUMS if name in snakemake.params.settings
            },
            path=Path(snakemake.output.file),
            attempts=5,
            pause=2.0,
        )
