"""Read the images of a data set into its store."""

from pathlib import Path
from typing import TYPE_CHECKING

from galaxalign.data.building import build_store
from galaxalign.data.pictures import ImageRecipe
from galaxalign.logs import log_to
from galaxalign.symbols.sheet import read_sheet

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with log_to(snakemake.log[0]):
        sheet = read_sheet(Path(snakemake.input.sheet))
        build_store(
            manifest=Path(snakemake.input.manifest),
            shards=[Path(shard) for shard in snakemake.input.shards],
            classes=sheet.labels,
            names=sheet.names,
            recipe=ImageRecipe.from_dict(snakemake.params.settings),
            max_blank=snakemake.params.max_blank,
            max_rejected=snakemake.params.max_rejected,
            dataset=snakemake.wildcards.get("dataset"),
            workers=snakemake.threads,
            images=Path(snakemake.output.images),
            rejects=Path(snakemake.output.rejects),
            rejects_if_failed=Path(snakemake.log[0]).with_suffix(".rejects.tsv"),
        )
