"""The configuration: read from its files, completed, and read by name; `checking` tells whether it is sound.

Nothing here has a default value: `config/config.yaml` has them all, and a data set or a run
that names only what it changes is completed from the sections `data` and `recipe`.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from galaxalign.errors import GalaxAlignError, nearest
from galaxalign.maps import OnceLoader

Settings = dict[str, Any]

CONFIG, SCHEMA = Path("config/config.yaml"), Path("workflow/schemas/config.schema.yaml")

# Queries are words, in which a dollar is a dollar.
VERBATIM = ("similar.galaxies", "similar.texts")


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> Settings:
    """`base` with `changes` over it: maps merge, everything else replaces.

    >>> merge({"split": {"seed": 0, "radius": 60}}, {"split": {"seed": 1}})
    {'split': {'seed': 1, 'radius': 60}}
    """
    merged = dict(base)
    for key, value in changes.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def read_config(overlays: Sequence[Path]) -> Settings:
    """The default configuration with overlays over it, as Snakemake merges them; not checked.

    Raises `GalaxAlignError` where a file is missing or is no map in YAML.
    """
    return reduce(merge, map(_read_yaml, [CONFIG, *overlays]))


def _read_yaml(path: Path) -> Settings:
    if not path.is_file():
        raise GalaxAlignError(f"there is no configuration file {path}: correct the path")
    try:
        settings = yaml.load(path.read_text(), OnceLoader) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise GalaxAlignError(f"{path} cannot be read as YAML ({' '.join(str(error).split())}): mend it") from error
    if not isinstance(settings, dict):
        raise GalaxAlignError(f"{path} holds no keys with values: config/README.md shows how to write it")
    return settings


def dataset_settings(config: Settings, dataset: str) -> Settings:
    """Settings of one data set: morphology, source, and the `data` section with its own changes."""
    entry = config["datasets"][dataset]
    return {**entry, "data": merge(config["data"], entry.get("data", {}))}


def colour_bands(data: Settings) -> list[str]:
    """Bands that a complete `data` section makes its colours of."""
    weights = [(band, weight) for colour in data["stretch"]["colours"].values() for band, weight in colour.items()]
    return sorted({band for band, weight in weights if weight})


def recipe_settings(config: Settings, run: str) -> Settings:
    """The complete recipe of one run."""
    return merge(config["recipe"], config["runs"][run])


def labelled(config: Settings, dataset: str) -> bool:
    """Whether a data set has labels to learn from and to be judged by."""
    (source,) = config["datasets"][dataset]["source"].values()
    return bool(source.get("labels") != "none" and source.get("labelled", True))


def swept_runs(config: Settings) -> list[Settings]:
    """The members of all sweeps: maps of run, labels, seed, name (RUN-LABELS-SEED) and over.

    `over` is the run that gains are measured against, of the same sweep, with as many labels and the same seed;
    none for that run itself.
    """
    return [member for sweep in config["sweeps"] for member in _members(sweep)]


def _members(sweep: Settings) -> Iterator[Settings]:
    for run, labels, seed in product(sweep["runs"], sweep["labels_per_class"], sweep["seeds"]):
        over = "none" if run == sweep["over"] else sweep["over"]
        yield {"run": run, "labels": labels, "seed": seed, "name": f"{run}-{labels}-{seed}", "over": over}


def unlabelled_runs(config: Settings) -> list[Settings]:
    """Active runs to draw sweeps against, as maps like those of `swept_runs`.

    These are the runs that saw no label in training, as none was given or nothing was trained, and are
    in no sweep.
    """
    swept = {member[key] for member in swept_runs(config) for key in ("run", "name")}
    found = []
    for run in config["active"]["runs"]:
        recipe = recipe_settings(config, run)
        if run not in swept and not any(sees_labels(config, one) for one in [run, *_starts(config, run)]):
            labels = recipe["labels_per_class"]
            found.append({"run": run, "labels": labels, "seed": recipe["seed"], "name": run, "over": "none"})
    return found


def sees_labels(config: Settings, run: str) -> bool:
    """Whether the training of a run itself, or the fit of its head, uses labels."""
    recipe = recipe_settings(config, run)
    return recipe["labels_per_class"] != 0 and (epochs_of(recipe) > 0 or recipe["classifier"] == "head")


def epochs_of(recipe: Settings) -> int:
    """Epochs of all stages of a recipe."""
    return sum(stage["epochs"] for stage in recipe["stages"].values())


def uses(recipe: Settings, modality: str) -> bool:
    """Whether any stage with epochs trains on `text` or `symbol`; without epochs, every modality is kept."""
    trained = [stage for stage in recipe["stages"].values() if stage["epochs"]]
    names = {"text": ("image_text", "symbol_text"), "symbol": ("symbol_text", "image_symbol")}[modality]
    return not trained or any(stage["weights"][name] for stage in trained for name in names)


def towers_of(recipe: Settings) -> Settings:
    """The towers that a run asks for: those of one `name` are the same. Maps of name, backbone and with_text."""
    asked = {"backbone": recipe["backbone"], "with_text": uses(recipe, "text")}
    mark = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:8]
    return {"name": f"{recipe['backbone']['name'].replace('/', '-')}-{mark}", **asked}


def _starts(config: Settings, run: str) -> Iterator[str]:
    """The run that a run starts from, the one that this starts from, and so on."""
    while (run := recipe_settings(config, run)["start"]) != "none":
        yield run


def unrolled(config: Settings) -> Settings:
    """`config` with a run for every member of its sweeps; `active.runs` stays, so that figures of runs do too.

    A member starts from the run that its recipe names, with its own seed where the sweeps train that run on no label:
    the spread of the seeds then holds what the luck of a start gives.

    Raises
    ------
    GalaxAlignError
        A sweep names a run that does not exist, or measures gains over a run that is not its own, or two
        runs of one name would differ.
    """
    runs, members = dict(config["runs"]), {member["name"] for member in swept_runs(config)}
    for place, sweep in enumerate(config["sweeps"]):
        for run in sweep["runs"]:
            if run not in config["runs"]:
                raise GalaxAlignError(f"'sweeps.{place}.runs' names {run!r}: {nearest(run, config['runs'])}")
        if sweep["over"] not in [*sweep["runs"], "none"]:
            cure = nearest(sweep["over"], [*sweep["runs"], "none"])
            raise GalaxAlignError(f"'sweeps.{place}.over' is {sweep['over']!r}, no run of this sweep: {cure}")
        fixed = [key for key in ("labels_per_class", "seed") if key in sweep["changes"]]
        if fixed:
            lists = {"labels_per_class": "labels_per_class", "seed": "seeds"}[fixed[0]]
            raise GalaxAlignError(
                f"'sweeps.{place}.changes.{fixed[0]}' is what the sweep itself goes through: say it in "
                f"'sweeps.{place}.{lists}'"
            )
        for member in _members(sweep):
            own = {"labels_per_class": member["labels"], "seed": member["seed"]}
            recipe = merge(merge(config["runs"][member["run"]], sweep["changes"]), own)
            start = _start_of_seed(config, recipe, member["seed"])
            recipe |= {"start": start} if start in members and start != member["name"] else {}
            if runs.setdefault(member["name"], recipe) != recipe:
                raise GalaxAlignError(
                    f"'sweeps.{place}' makes a run {member['name']!r} that differs from another of this name: "
                    "give both the same changes, or one of the runs another name"
                )
    return {**config, "runs": runs}


def _start_of_seed(config: Settings, recipe: Settings, seed: int) -> str | None:
    """The name that the run without labels, from which a recipe starts, has as a member of a sweep with this seed."""
    start = merge(config["recipe"], recipe)["start"]
    unlabelled = start in config["runs"] and recipe_settings(config, start)["labels_per_class"] == 0
    return f"{start}-0-{seed}" if unlabelled else None


def expand(value: Any, key: str = "config") -> Any:
    """`value` with the environment variables and a leading ~/ in its strings replaced, but under the keys VERBATIM.

    Raises
    ------
    GalaxAlignError
        A variable is not set.
    """
    if key in VERBATIM:
        return value
    if isinstance(value, Mapping):
        return {name: expand(item, f"{key}.{name}") for name, item in value.items()}
    if isinstance(value, list):
        return [expand(item, key) for item in value]
    if not isinstance(value, str):
        return value
    expanded = os.path.expandvars(value)
    if expanded.startswith("~/"):
        expanded = str(Path(expanded).expanduser())
    if "$" in expanded:
        raise GalaxAlignError(
            f"{key.removeprefix('config.')}: {value!r} names an environment variable that is not set; export it"
        )
    return expanded


def first_stage(recipe: Settings) -> Settings:
    """What of a recipe decides stage 1, so that a change of what follows does not train it again."""
    after = {"interpolate": [1.0], "position_angles": 1}
    return recipe | {"stages": {"shared": recipe["stages"]["shared"]}} | after
