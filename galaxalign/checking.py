"""The configuration, checked as a whole before any work: against its schema, and for what a schema cannot say."""

import math
import os
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from galaxalign.data.fractions import check_fractions
from galaxalign.data.sources import check_source
from galaxalign.errors import GalaxAlignError, nearest
from galaxalign.recipe_checking import check_recipe, check_start
from galaxalign.schema_checking import check_against
from galaxalign.settings import (
    Settings,
    colour_bands,
    dataset_settings,
    epochs_of,
    expand,
    labelled,
    recipe_settings,
    sees_labels,
    swept_runs,
    unrolled,
)
from galaxalign.symbols.library import SYMBOLS
from galaxalign.symbols.sheet import ClassSheet, read_sheet

SHEETS = Path("config/morphology")


def check(config: Settings, schema_path: Path, *, sources: bool = True) -> Settings:
    """The configuration, checked as a whole, with environment variables replaced and sweeps unrolled.

    Parameters
    ----------
    config
        As Snakemake merged it from the default and the overlays.
    schema_path
        The JSON schema, whose ``$defs`` describe a complete `data` section and recipe.
    sources
        Whether the files that data sets are read from must be there.

    Raises
    ------
    GalaxAlignError
        One sentence that names the first wrong key and the cure.
    """
    schema = yaml.safe_load(schema_path.read_text())
    _check_plain(config, "")
    config = {key: value if key == "datasets" and not sources else expand(value, key) for key, value in config.items()}
    check_against(config, schema, schema, "")
    config = unrolled(config)
    for key in ("predictions", "similar"):
        # As Snakemake calls what a run makes.
        config[key] = config[key] | {"model": os.path.normpath(config[key]["model"])}
    for name in config["datasets"]:
        complete = dataset_settings(config, name)["data"]
        check_against(complete, schema["$defs"]["data"], schema, f"datasets.{name}.data")
        check_fractions(complete["split"]["fractions"], f"datasets.{name}.data.split.fractions")
    for name in config["runs"]:
        recipe = recipe_settings(config, name)
        check_against(recipe, schema["$defs"]["recipe"], schema, f"runs.{name}")
        check_recipe(recipe, f"runs.{name}")
        check_start(config, name)
    _check_names(config)
    used = {*config["active"]["datasets"], *config["predictions"]["datasets"], config["similar"]["dataset"]}
    sheets = {name: read_sheet(SHEETS / f"{config['datasets'][name]['morphology']}.yaml") for name in sorted(used)}
    for name in config["active"]["datasets"]:
        _check_votes(config, name, sheets[name])
    for name in sorted(used) if sources else ():
        data = dataset_settings(config, name)["data"]
        check_source(name, config["datasets"][name]["source"], colour_bands(data), data["fits"]["band_axis"])
    return config


def check_judged(config: Settings) -> None:
    """No active run learns from labels, or is judged by a probe, that an active data set does not have.

    Its pictures may be made, and other models applied to it, all the same: only who asks for everything asks this.

    Raises
    ------
    GalaxAlignError
        One does; which, and the cure.
    """
    for dataset in filter(lambda name: labelled(config, name), config["active"]["datasets"]):
        _check_fractions_judged(config, dataset)
    for dataset, run in product(config["active"]["datasets"], config["active"]["runs"]):
        needs = sees_labels(config, run) or recipe_settings(config, run)["classifier"] == "probe"
        if needs and not labelled(config, dataset):
            raise GalaxAlignError(
                f"'runs.{run}' learns from labels, which the active data set {dataset!r} (labels: none) does not have: "
                "leave in active.runs those with labels_per_class: 0, such as living, or give the data set labels"
            )


def _check_fractions_judged(config: Settings, dataset: str) -> None:
    """There are galaxies in the splits that runs are judged by, unless the catalogue says which."""
    (source,) = config["datasets"][dataset]["source"].values()
    fractions, split = dataset_settings(config, dataset)["data"]["split"]["fractions"], config["evaluate"]["split"]
    if "split" in source.get("columns", {}):
        return
    if fractions[split] == 0:
        raise GalaxAlignError(
            f"'evaluate.split' is {split}, of which the active data set {dataset!r} has no galaxy: raise its "
            f"data.split.fractions.{split}, or judge by another split"
        )
    probed = [run for run in config["active"]["runs"] if recipe_settings(config, run)["classifier"] == "probe"]
    if fractions["validation"] == 0 and probed and len(config["evaluate"]["probe"]) > 1:
        raise GalaxAlignError(
            f"'evaluate.probe' has several strengths, of which 'runs.{probed[0]}' chooses on validation galaxies, but "
            f"the active data set {dataset!r} has none: raise its data.split.fractions.validation, or give one strength"
        )


def _check_plain(value: Any, where: str) -> None:
    """Keys are text, and numbers are numbers, everywhere in a value."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise GalaxAlignError(
                    f"'{where or 'the configuration'}' has the key {key!r}, which is no text: quote it"
                )
            _check_plain(item, f"{where}.{key}".lstrip("."))
    elif isinstance(value, list):
        for item in value:
            _check_plain(item, where)
    elif isinstance(value, float) and not math.isfinite(value):
        raise GalaxAlignError(f"'{where}' is {value}: give a number")


def _check_names(config: Settings) -> None:
    """Names that point to entries elsewhere in the configuration, or to files, exist."""
    for key, name, known in _references(config):
        if name not in known:
            raise GalaxAlignError(f"'{key}' is {name!r}: {nearest(name, known)}")
    for key in ("predictions", "similar"):
        _check_model(f"{key}.model", config[key]["model"], datasets=config["datasets"], runs=config["runs"])
    for name, entry in config["datasets"].items():
        sheet = SHEETS / f"{entry['morphology']}.yaml"
        if not sheet.is_file():
            known = sorted(path.stem for path in sheet.parent.glob("*.yaml"))
            raise GalaxAlignError(
                f"'datasets.{name}.morphology' is {entry['morphology']!r}: there is no {sheet}; "
                f"{nearest(entry['morphology'], known)}"
            )


def _check_votes(config: Settings, dataset: str, sheet: ClassSheet) -> None:
    """A data set has the votes that a run learns from, and its class sheet what the run tells the classes by."""
    (source,) = config["datasets"][dataset]["source"].values()
    for run in [*config["active"]["runs"], *(member["name"] for member in swept_runs(config))]:
        recipe = recipe_settings(config, run)
        if recipe["targets"] == "votes" and epochs_of(recipe) and not (sheet.tree and "votes" in source):
            missing = "its source has no `votes`" if sheet.tree else "its class sheet has no `tree`"
            raise GalaxAlignError(
                f"'runs.{run}.targets' is votes, but of the active data set {dataset!r} {missing}: give it one, or "
                "choose other targets"
            )
        unseen = next(_unseen(sheet), None)
        if recipe["targets"] == "votes" and recipe["classifier"] == "symbol" and unseen:
            raise GalaxAlignError(
                f"'runs.{run}.classifier' is symbol, but of the active data set {dataset!r} the class {unseen[0]!r} "
                f"needs the answer {unseen[1]!r}, which has no symbol: choose fused or text, or give the answer one in "
                "its decision tree"
            )


def _unseen(sheet: ClassSheet) -> Iterator[tuple[str, str]]:
    """Classes by their labels, each with an answer of its rule that no symbol shows."""
    shown = {answer.name for answer in sheet.tree.answers if answer.symbols} if sheet.tree else set()
    yield from (
        (entry.label, step.answer) for entry in sheet.classes for step in entry.votes if step.answer not in shown
    )


def _check_model(key: str, path: str, *, datasets: Settings, runs: Settings) -> None:
    """A model is a file that is there, or one that a run of the configuration makes."""
    if not is_model_of_run(path, datasets=datasets, runs=runs) and not Path(path).is_file():
        raise GalaxAlignError(
            f"'{key}' is {path!r}: there is no such file, and no data set and run that make it; "
            "correct the path, or name results/DATASET/RUN/model.pt"
        )


def is_model_of_run(path: str, *, datasets: Settings, runs: Settings) -> bool:
    """Whether a path is that of a model which a run of the configuration makes."""
    parts = Path(path).parts
    return len(parts) == 4 and parts[::3] == ("results", "model.pt") and parts[1] in datasets and parts[2] in runs


def _references(config: Settings) -> Iterator[tuple[str, str, list[str]]]:
    datasets, runs = list(config["datasets"]), list(config["runs"])
    for name in config["active"]["datasets"]:
        yield "active.datasets", name, datasets
    for name in config["active"]["runs"]:
        yield "active.runs", name, runs
    if any(labelled(config, name) for name in config["active"]["datasets"] if name in datasets):
        yield "figures.run", config["figures"]["run"], config["active"]["runs"]
    for name in config["predictions"]["datasets"]:
        yield "predictions.datasets", name, datasets
    yield "similar.dataset", config["similar"]["dataset"], datasets
    for name in config["similar"]["symbols"]:
        yield "similar.symbols", name, list(SYMBOLS)
