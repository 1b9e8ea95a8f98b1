"""Read the images of one shard of a data set."""

from pathlib import Path
from typing import TYPE_CHECKING

from galaxalign.data.pictures import ImageRecipe
from galaxalign.data.shards import build_shard
from galaxalign.logs import log_to

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with log_to(snakemake.log[0]):
        build_shard(
            manifest=Path(snakemake.input.manifest),
            shard=Path(snakemake.output.shard),
            shard_size=snakemake.params.shard_size,
            recipe=ImageRecipe.from_dict(snakemake.params.settings),
            max_blank=snakemake.params.max_blank,
            workers=snakemake.threads,
        )
