"""Measure one run."""

from pathlib import Path
from typing import TYPE_CHECKING

from galaxalign.evaluate.evaluation import EvaluationSettings, write_metrics
from galaxalign.logs import log_to

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with log_to(snakemake.log[0]):
        write_metrics(
            embeddings=Path(snakemake.input.embeddings),
            settings=EvaluationSettings(**snakemake.params.settings),
            metrics=Path(snakemake.output.metrics),
        )
