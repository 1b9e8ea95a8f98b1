"""Write where the tiles of a survey lie."""

from pathlib import Path
from typing import TYPE_CHECKING

from galaxalign.data.fits_layout import Layout
from galaxalign.data.tiles import write_tile_index
from galaxalign.logs import log_to

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with log_to(snakemake.log[0]):
        write_tile_index(
            pattern=snakemake.params.pattern,
            bands=snakemake.params.bands,
            layout=Layout.from_dict(snakemake.params.layout),
            index=Path(snakemake.output.index),
        )
