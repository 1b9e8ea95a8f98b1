"""Write the manifest of a data set."""

from pathlib import Path
from typing import TYPE_CHECKING

from galaxalign.data.manifest import SplitRule, write_manifest
from galaxalign.logs import log_to
from galaxalign.symbols.sheet import read_sheet

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with log_to(snakemake.log[0]):
        write_manifest(
            source=snakemake.params.source,
            inputs=[Path(path) for path in snakemake.input.files],
            sheet=read_sheet(Path(snakemake.input.sheet)),
            split=SplitRule(**snakemake.params.split),
            bands=snakemake.params.bands,
            max_rejected=snakemake.params.max_rejected,
            fingerprints=Path(snakemake.input.fingerprints) if snakemake.params.split["duplicates"] else None,
            manifest=Path(snakemake.output.manifest),
            rejects_if_failed=Path(snakemake.log[0]).with_suffix(".rejects.tsv"),
        )
