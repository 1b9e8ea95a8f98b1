"""The configuration, checked as a whole before any work: against its schema, and for what a schema cannot say."""

import math
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from galaxalign.align.names import check_name
from galaxalign.data.fractions import check_fractions
from galaxalign.data.sources import check_source
from galaxalign.errors import GalaxAlignError, nearest
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
# What YAML calls the types of a JSON schema.
YAML = {"object": "map", "array": "list"}


def _is_whole(_: Any, value: Any) -> bool:
    """Whether a value is an integer to Python; JSON schemas call 2.0 one, which counts and indexes nothing."""
    return isinstance(value, int) and not isinstance(value, bool)


Validator = jsonschema.validators.extend(  # type: ignore[no-untyped-call]
    jsonschema.Draft202012Validator,
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_whole),
)


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
    _check_against(config, schema, schema, "")
    config = unrolled(config)
    for name in config["datasets"]:
        complete = dataset_settings(config, name)["data"]
        _check_against(complete, schema["$defs"]["data"], schema, f"datasets.{name}.data")
        check_fractions(complete["split"]["fractions"], f"datasets.{name}.data.split.fractions")
    for name in config["runs"]:
        recipe = recipe_settings(config, name)
        _check_against(recipe, schema["$defs"]["recipe"], schema, f"runs.{name}")
        _check_recipe(recipe, f"runs.{name}")
        _check_start(config, name)
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
    for dataset, run in product(config["active"]["datasets"], config["active"]["runs"]):
        needs = sees_labels(config, run) or recipe_settings(config, run)["classifier"] == "probe"
        if needs and not labelled(config, dataset):
            raise GalaxAlignError(
                f"'runs.{run}' learns from labels, which the active data set {dataset!r} (labels: none) does not have: "
                "leave in active.runs those with labels_per_class: 0, such as living, or give the data set labels"
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


def _check_against(value: Any, part: Settings, schema: Settings, where: str) -> None:
    validator = Validator({**part, "$defs": schema["$defs"]})
    errors = sorted(validator.iter_errors(value), key=lambda error: (list(map(str, error.path)), error.message))
    if errors:
        raise GalaxAlignError(_sentence(_deepest(errors[0]), where))


def _deepest(error: jsonschema.ValidationError) -> jsonschema.ValidationError:
    """Of alternatives that all fail, the complaint of the one that came furthest."""
    while error.context:
        error = max(error.context, key=lambda inner: (len(inner.path), inner.validator != "type"))
    return error


def _sentence(error: Any, where: str) -> str:
    key = ".".join(filter(None, [where, *map(str, error.absolute_path)])) or "the configuration"
    value, rule = error.instance, error.validator_value
    meaning = error.schema.get("description", "") if isinstance(error.schema, dict) else ""
    cure = f" ({meaning.rstrip('.')})" if meaning else ""
    prefix = "" if key == "the configuration" else f"{key}."
    match error.validator:
        case "additionalProperties":
            known = list(error.schema.get("properties", {}))
            unknown = next(name for name in value if name not in known)
            return f"unknown key '{prefix}{unknown}': {nearest(str(unknown), known)}"
        case "required" | "dependentRequired":
            wanted = rule if error.validator == "required" else [name for key in value for name in rule.get(key, [])]
            missing = next(name for name in wanted if name not in value)
            example = "config/README.md" if key.startswith("datasets.") else "config/config.yaml"
            return f"missing key '{prefix}{missing}': add it, {example} shows how{cure}"
        case "enum":
            return f"'{key}' is {value!r}: it must be one of {', '.join(map(str, rule))}{cure}"
        case "type":
            wanted = " or ".join(rule) if isinstance(rule, list) else YAML.get(rule, rule)
            hint = _hint(value) if {"number", "integer"} & set(wanted.split()) else ""
            return f"'{key}' is {value!r}: it must be of type {wanted}{hint}{cure}"
        case "const":
            form = "or of another form that config/README.md names"
            return f"'{key}' is {value!r}: it must be {rule!r}, {form}{_hint(value)}{cure}"
        case "minProperties" | "maxProperties":
            count = "exactly one key" if "maxProperties" in error.schema else "a key"
            return f"'{key}' must have {count}{cure}"
        case _:
            return f"'{key}' is {value!r}: {error.message}{cure}"


def _hint(value: Any) -> str:
    """How to write a number that is text to YAML, or a whole one that is not written as such."""
    try:
        number = float(value) if isinstance(value, str | float) else math.nan
    except ValueError:
        return ""
    if number.is_integer():
        return f"; write {int(number)}" + (" in a configuration file, without quotes" if isinstance(value, str) else "")
    if isinstance(value, str) and math.isfinite(number):
        return (
            "; write it in a configuration file, without quotes and, where it has an exponent, with a decimal point "
            "and a sign: 1.0e-5, 1.0e+3"
        )
    return ""


def _check_recipe(recipe: Settings, where: str) -> None:
    """What a schema cannot say: settings that contradict each other."""
    stages, epochs = recipe["stages"], epochs_of(recipe)
    if recipe["labels_per_class"] == 0 and epochs and (recipe["living"]["share"] < 1 or recipe["epoch_size"] == "all"):
        raise GalaxAlignError(
            f"'{where}.labels_per_class' is 0: give living.share 1.0, so that rendered galaxies are trained on, "
            "and epoch_size their number in an epoch"
        )
    check_name(recipe["backbone"]["name"], f"{where}.backbone.name")
    _check_classifier(recipe, where)
    for name, stage in stages.items():
        if stage["epochs"] and not any(stage["weights"].values()):
            raise GalaxAlignError(
                f"'{where}.stages.{name}.weights' are all 0: nothing would be trained; raise one or set epochs to 0"
            )
    if recipe["patience"] and epochs and recipe["classifier"] == "probe":
        raise GalaxAlignError(
            f"'{where}.patience' is {recipe['patience']}, but a probe judges nothing while a run trains: set it to 0, "
            "or choose another classifier"
        )
    if recipe["accumulate"] > recipe["batch_size"]:
        raise GalaxAlignError(
            f"'{where}.accumulate' is {recipe['accumulate']}, more parts than a batch has galaxies "
            f"({recipe['batch_size']}): lower it, or raise batch_size"
        )
    if recipe["accumulate"] > 1 and recipe["norm_layers"] == "trained":
        raise GalaxAlignError(
            f"'{where}.accumulate' is {recipe['accumulate']}, but norm_layers are trained by the statistics of whole "
            "batches: set accumulate to 1, or norm_layers to frozen"
        )
    source = recipe["backbone"]["pretrained"]
    if ("/" in source or Path(source).suffix) and not Path(source).is_file():
        raise GalaxAlignError(f"'{where}.backbone.pretrained' is {source!r}: there is no such file; correct the path")


def _check_classifier(recipe: Settings, where: str) -> None:
    """What a run classifies by is trained by it."""
    stages, epochs = recipe["stages"], epochs_of(recipe)
    weights = {
        name: max(stage["weights"][name] for stage in stages.values() if stage["epochs"] or not epochs)
        for name in stages["shared"]["weights"]
    }
    classifier, started = recipe["classifier"], recipe["start"] != "none"
    texts, symbols = ["image_text"], ["symbol_text", "image_symbol"]
    needs = {"text": [texts], "symbol": [symbols], "fused": [texts, symbols]}
    for names in needs.get(classifier, []) if epochs else []:
        if not any(weights[name] for name in names):
            raise GalaxAlignError(
                f"'{where}.classifier' is {classifier}, but no stage trains it: give one of stages.*.weights."
                f"{'|'.join(names)} a value above 0, or choose head or probe"
            )
    backbone = recipe["backbone"]
    apart = backbone["pretrained"] in ("embedded", "none") or backbone["name"].startswith("timm/")
    if not epochs and not started and apart and classifier in ("text", "fused", "head"):
        raise GalaxAlignError(
            f"'{where}.classifier' is {classifier}, but nothing is trained, and the towers of {backbone['name']} share "
            "no space before: train, take an open_clip model, or choose symbol or probe"
        )
    aligned = weights["image_text"] and (weights["symbol_text"] or weights["image_symbol"])
    fitted = classifier == "head" and not (epochs and weights["classifier"])
    if fitted and (recipe["targets"] == "votes" or not aligned):
        cure = (
            "train texts and symbols, give stages.*.weights.classifier a value above 0, or choose text, symbol or probe"
        )
        if recipe["targets"] == "votes":
            cure = "votes teach answers, not classes: choose fused"
        raise GalaxAlignError(
            f"'{where}.classifier' is head: one that no stage trains is fitted from the fused prototypes of classes; "
            f"{cure}"
        )


def _check_start(config: Settings, run: str) -> None:
    """The run that a run starts from exists, has the same backbone, has seen no more labels than it may, and does
    not start from it in turn.
    """
    passed = [run]
    while (start := recipe_settings(config, passed[-1])["start"]) != "none":
        key = f"runs.{passed[-1]}.start"
        if start not in config["runs"]:
            raise GalaxAlignError(f"'{key}' is {start!r}: {nearest(start, [*config['runs'], 'none'])}")
        if start in passed:
            raise GalaxAlignError(f"'{key}' is {start!r}: runs start from each other in a circle; set one to none")
        if recipe_settings(config, start)["backbone"] != recipe_settings(config, passed[-1])["backbone"]:
            raise GalaxAlignError(f"'{key}' is {start!r}, which has another backbone: give both runs the same")
        passed.append(start)
    labels = recipe_settings(config, run)["labels_per_class"]
    for start in passed[1:]:
        if labels != "all" and sees_labels(config, start):
            raise GalaxAlignError(
                f"'runs.{run}' has labels_per_class: {labels}, but starts from {start!r}, which is trained with labels "
                "of its own: give that one labels_per_class: 0, or this one all"
            )


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
    parts = Path(path).parts
    known = len(parts) == 4 and parts[::3] == ("results", "model.pt") and parts[1] in datasets and parts[2] in runs
    if not known and not Path(path).is_file():
        raise GalaxAlignError(
            f"'{key}' is {path!r}: there is no such file, and no data set and run that make it; "
            "correct the path, or name results/DATASET/RUN/model.pt"
        )


def _references(config: Settings) -> Iterator[tuple[str, str, list[str]]]:
    datasets, runs = list(config["datasets"]), list(config["runs"])
    for name in config["active"]["datasets"]:
        yield "active.datasets", name, datasets
    for name in config["active"]["runs"]:
        yield "active.runs", name, runs
    yield "figures.run", config["figures"]["run"], config["active"]["runs"]
    for name in config["predictions"]["datasets"]:
        yield "predictions.datasets", name, datasets
    yield "similar.dataset", config["similar"]["dataset"], datasets
    for name in config["similar"]["symbols"]:
        yield "similar.symbols", name, list(SYMBOLS)
