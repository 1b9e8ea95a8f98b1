"""Apply a model to the pictures of a data set."""

from pathlib import Path
from typing import TYPE_CHECKING

from galaxalign.logs import log_to
from galaxalign.search.prediction import predict

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with log_to(snakemake.log[0]):
        predict(
            model=Path(snakemake.input.model),
            images=Path(snakemake.input.images),
            embeddings=Path(snakemake.input.embeddings),
            parquet=Path(snakemake.output.parquet),
            csv=Path(snakemake.output.csv),
        )
