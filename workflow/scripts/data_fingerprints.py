"""Take the fingerprints of a data set's pictures."""

from pathlib import Path
from typing import TYPE_CHECKING

from galaxalign.data.fingerprints import write_fingerprints
from galaxalign.data.pictures import ImageRecipe
from galaxalign.logs import log_to
from galaxalign.symbols.sheet import read_sheet

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with log_to(snakemake.log[0]):
        write_fingerprints(
            source=snakemake.params.source,
            inputs=[Path(path) for path in snakemake.input.files],
            sheet=read_sheet(Path(snakemake.input.sheet)),
            recipe=ImageRecipe.from_dict(snakemake.params.settings),
            max_blank=snakemake.params.settings["max_blank"],
            workers=snakemake.threads,
            fingerprints=Path(snakemake.output.fingerprints),
        )
