"""What makes a run's recipe sound, beyond what a schema can say."""

from pathlib import Path

from galaxalign.align.names import check_name
from galaxalign.errors import GalaxAlignError, nearest
from galaxalign.settings import Settings, epochs_of, recipe_settings, sees_labels


def check_recipe(recipe: Settings, where: str) -> None:
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
    if recipe["interpolate"] != [1.0] and epochs and recipe["classifier"] == "probe":
        raise GalaxAlignError(
            f"'{where}.interpolate' is {recipe['interpolate']}, but a probe judges nothing before a run is trained: "
            "set it to [1.0], or choose another classifier"
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
    first = stages["shared"]
    apart = recipe["backbone"]["symbol_scale"] != 1 and first["epochs"]
    if recipe["norm_layers"] == "trained" and apart and _weights_symbols(first):
        raise GalaxAlignError(
            f"'{where}.norm_layers' are trained, but galaxies and symbols of other sizes pass the one tower of stage "
            "shared apart, and statistics of both mix: set backbone.symbol_scale to 1.0, or norm_layers to frozen"
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
    classifier = recipe["classifier"]
    texts, symbols = ["image_text"], ["symbol_text", "image_symbol"]
    needs = {"text": [texts], "symbol": [symbols], "fused": [texts, symbols]}
    for names in needs.get(classifier, []) if epochs else []:
        if not any(weights[name] for name in names):
            raise GalaxAlignError(
                f"'{where}.classifier' is {classifier}, but no stage trains it: give one of stages.*.weights."
                f"{'|'.join(names)} a value above 0, or choose head or probe"
            )
    first, last = stages["shared"], stages["symbol"]
    moved = last["epochs"] and _weights_images(last) and "image" not in last["lock"]
    left = first["epochs"] and first["weights"]["classifier"] and not last["weights"]["classifier"]
    if classifier == "head" and moved and left:
        raise GalaxAlignError(
            f"'{where}.classifier' is head, which stage shared trains and stage symbol leaves behind as it trains the "
            "image tower: give stages.symbol.weights.classifier a value above 0, or that of stage shared 0, so that a "
            "head is fitted in the end"
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


def check_start(config: Settings, run: str) -> None:
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
    _check_one_space(config, passed)
    labels = recipe_settings(config, run)["labels_per_class"]
    for start in passed[1:]:
        if labels != "all" and sees_labels(config, start):
            raise GalaxAlignError(
                f"'runs.{run}' has labels_per_class: {labels}, but starts from {start!r}, which is trained with labels "
                "of its own: give that one labels_per_class: 0, or this one all"
            )


def _check_one_space(config: Settings, passed: list[str]) -> None:
    """Images and texts lie in one space where a run that trains nothing classifies by texts."""
    recipe = recipe_settings(config, passed[0])
    backbone, classifier = recipe["backbone"], recipe["classifier"]
    apart = backbone["pretrained"] in ("embedded", "none") or backbone["name"].startswith("timm/")
    if not apart or epochs_of(recipe) or classifier not in ("text", "fused", "head"):
        return
    stages = (stage for run in passed for stage in recipe_settings(config, run)["stages"].values())
    if not any(stage["epochs"] and _weights_texts(stage) for stage in stages):
        raise GalaxAlignError(
            f"'runs.{passed[0]}.classifier' is {classifier}, but nothing is trained, and the towers of "
            f"{backbone['name']} share no space before: train, take an open_clip model, or choose symbol or probe"
        )


def _weights_texts(stage: Settings) -> bool:
    return bool(stage["weights"]["image_text"] or stage["weights"]["symbol_text"])


def _weights_symbols(stage: Settings) -> bool:
    return bool(stage["weights"]["symbol_text"] or stage["weights"]["image_symbol"])


def _weights_images(stage: Settings) -> bool:
    return bool(stage["weights"]["image_text"] or stage["weights"]["image_symbol"])
