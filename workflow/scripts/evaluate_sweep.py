"""Compare runs that were repeated with fewer labels and other seeds."""

from pathlib import Path
from typing import TYPE_CHECKING

from galaxalign.evaluate.evaluation import EvaluationSettings
from galaxalign.evaluate.sweeps import SweptRun, write_sweep
from galaxalign.logs import log_to

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with log_to(snakemake.log[0]):
        write_sweep(
            [SweptRun(**member) for member in snakemake.params.members],
            [Path(path) for path in snakemake.input.embeddings],
            EvaluationSettings(**snakemake.params.settings),
            table=Path(snakemake.output.table),
            seeds=Path(snakemake.output.seeds),
        )
