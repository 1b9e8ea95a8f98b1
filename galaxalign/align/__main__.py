"""Train one run where there is no Snakemake: `python -m galaxalign.align --dataset gz2 --run galaxalign`.

Snakemake makes the stores, here or on another machine; training reads them alone and writes what its rules write.
On several GPUs: `torchrun --nproc-per-node 4 -m -- galaxalign.align --dataset gz2 --run galaxalign`, with that `--`.
"""

import logging
import os
import shlex
from argparse import ArgumentParser
from pathlib import Path

from galaxalign.checking import check
from galaxalign.errors import GalaxAlignError
from galaxalign.logs import log_to
from galaxalign.provenance import code
from galaxalign.settings import CONFIG, SCHEMA, Settings, first_stage, merge, read_config, recipe_settings

logger = logging.getLogger("galaxalign.align")
# Gigabytes: half of what the workflow's rules reserve.
MEMORY = 8.0
ENDS = {"model": ".pt", "history": ".tsv", "steps": "_steps.tsv"}


def read_recipe(dataset: str, run: str, overlays: list[Path]) -> Settings:
    """The complete recipe of a run, from the configuration and its overlays."""
    config = merge(read_config(overlays), {"active": {"datasets": [dataset], "runs": [run]}, "figures": {"run": run}})
    # The stores are there; what they were made from need not be.
    return recipe_settings(check(config, SCHEMA, sources=False), run)


def train(folder: Path, run: str, settings: Settings, overlays: list[Path], memory: float = MEMORY) -> None:
    """Stage 1, then stage 2, from the stores in the folder of the data set into the folder of the run.

    `memory` is the gigabytes that pictures may take.
    """
    living, start = settings["living"], settings["start"]
    look = folder / "look.json" if living["share"] and living["matched"] else None
    model = folder / start / "model.pt" if start != "none" else None
    images, symbols = folder / "images.h5", folder / "symbols.h5"
    missing = [str(path) for path in (images, symbols, look, model) if path and not path.is_file()]
    if missing:
        words = ["snakemake", "--cores", "all", *missing, *(["--configfile", *map(str, overlays)] if overlays else [])]
        raise GalaxAlignError(f"there is no {', '.join(missing)}; make it where Snakemake is: {shlex.join(words)}")
    import torch

    from galaxalign.align.distributed import processes
    from galaxalign.align.inputs import Source
    from galaxalign.align.recipe import Recipe
    from galaxalign.align.stages import align_shared, align_symbol, is_made

    source = Source(
        images=images,
        symbols=symbols,
        look=look,
        start=model,
        dataset=folder.name,
        code=code("align.stages"),
        threads=torch.get_num_threads(),
        memory=memory * 1e9,
    )
    (folder / run).mkdir(exist_ok=True)
    shared, finished = ({key: folder / run / f"{name}{ENDS[key]}" for key in ENDS} for name in ("shared", "model"))
    first, whole = Recipe.from_dict(first_stage(settings)), Recipe.from_dict(settings)
    with processes():
        if is_made(shared["model"], source, first):
            logger.info("%s is there: stage 1 is not trained again", shared["model"])
        else:
            align_shared(source, first, **shared)
        if is_made(finished["model"], source, whole, shared["model"]):
            logger.info("%s is there: nothing is left to do", finished["model"])
        else:
            align_symbol(source, whole, shared=shared["model"], **finished)


if __name__ == "__main__":
    parser = ArgumentParser(prog="python -m galaxalign.align", description="Train one run on stores that are there.")
    for name in ("dataset", "run"):
        parser.add_argument(f"--{name}", required=True, help=f"name of an entry of `{name}s`")
    parser.add_argument("--configfile", type=Path, nargs="+", default=[], help=f"overlays over {CONFIG}")
    parser.add_argument("--results", type=Path, default=Path("results"), help="where DATASET/images.h5 lies")
    parser.add_argument(
        "--memory", type=float, default=MEMORY, help="gigabytes that pictures may take; more are read as training goes"
    )
    chosen = parser.parse_args()
    log = chosen.results / "logs/align" / f"{chosen.dataset}.{chosen.run}.{os.environ.get('RANK', '0')}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log_to(str(log)):
        recipe = read_recipe(chosen.dataset, chosen.run, chosen.configfile)
        train(chosen.results / chosen.dataset, chosen.run, recipe, chosen.configfile, chosen.memory)
