"""The sweeps of a configuration where there is no Snakemake: train, embed and compare every run that is not there yet.

python -m benchmarks.few_labels --configfile config/gz2.yaml config/few_labels.yaml

Needs what `snakemake results/DATASET/{images.h5,symbols.h5,look.json}` makes, and writes what the rules of training,
`embeddings` and `sweep` write.  A run that was broken off goes on, those with embeddings are left as they are.
"""

import logging
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks.measuring import ROOT
from galaxalign.align.__main__ import train
from galaxalign.align.recipe import Recipe
from galaxalign.checking import check
from galaxalign.embed.embedding import embed_dataset
from galaxalign.evaluate.evaluation import EvaluationSettings
from galaxalign.evaluate.sweeps import SweptRun, write_sweep
from galaxalign.settings import (
    CONFIG,
    SCHEMA,
    Settings,
    read_config,
    recipe_settings,
    swept_runs,
    unlabelled_runs,
)


def run_sweeps(config: Settings, dataset: str, results: Path, overlays: list[Path]) -> None:
    """Train and embed every run of the sweeps of `config` on one data set, and compare them."""
    folder, members = results / dataset, [*swept_runs(config), *unlabelled_runs(config)]
    for run in dict.fromkeys(name for member in members for name in with_starts(config, member["name"])):
        if (folder / run / "embeddings.h5").is_file():
            continue
        train(folder, run, recipe_settings(config, run), overlays)
        embed_dataset(
            model=folder / run / "model.pt",
            images=folder / "images.h5",
            symbols=folder / "symbols.h5",
            dataset=dataset,
            run=run,
            recipe=Recipe.from_dict(recipe_settings(config, run)),
            threads=torch.get_num_threads(),
            embeddings=folder / run / "embeddings.h5",
        )
    tables = results / "tables" / dataset
    tables.mkdir(parents=True, exist_ok=True)
    write_sweep(
        [SweptRun(**member) for member in members],
        [folder / member["name"] / "embeddings.h5" for member in members],
        EvaluationSettings(**config["evaluate"]),
        table=tables / "few_labels.tsv",
        seeds=tables / "few_labels_seeds.tsv",
    )


def with_starts(config: Settings, run: str) -> Iterator[str]:
    """A run after those that it starts from."""
    start = recipe_settings(config, run)["start"]
    if start != "none":
        yield from with_starts(config, start)
    yield run


def main() -> None:
    """Read the configuration and run its sweeps on each active data set."""
    parser = ArgumentParser(prog="python -m benchmarks.few_labels", description="Run sweeps without Snakemake.")
    parser.add_argument("--configfile", type=Path, nargs="+", required=True, help=f"overlays over {CONFIG}")
    parser.add_argument("--results", type=Path, default=ROOT / "results", help="where DATASET/images.h5 lies")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    config = check(read_config(given.configfile), SCHEMA, sources=False)
    for dataset in config["active"]["datasets"]:
        run_sweeps(config, dataset, given.results, given.configfile)


if __name__ == "__main__":
    main()
