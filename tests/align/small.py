"""A recipe that trains in a second, on noise."""

import copy
from pathlib import Path

import yaml

from galaxalign.align.inputs import Source
from galaxalign.align.recipe import Recipe
from galaxalign.align.stages import align_shared, align_symbol
from galaxalign.embed.embedding import embed_dataset
from galaxalign.settings import merge, recipe_settings
from tests.conftest import ROOT

CONFIG = yaml.safe_load((ROOT / "config/config.yaml").read_text())
SHEET = ROOT / "config/morphology/galaxymnist.yaml"
# A model of open_clip's own kind, small enough to be trained within a second.
TINY = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
SMALL = {
    "backbone": {"name": "test-tiny", "pretrained": "none", "size": 32},
    "batch_size": 8,
    "stages": {"shared": {"epochs": 1, "symbol_views": 1}, "symbol": {"epochs": 1}},
}


def recipe(run: str = "galaxalign", **changes) -> Recipe:
    """A run of the default configuration, made small."""
    small = copy.deepcopy(SMALL)
    if run == "image_only":
        small["stages"]["symbol"]["epochs"] = 0
    if run == "frozen":
        small["stages"] = {}
    return Recipe.from_dict(merge(merge(recipe_settings(CONFIG, run), small), changes))


def source(inputs: tuple[Path, Path], **changes) -> Source:
    """The noise, read whole."""
    common = {"look": None, "start": None, "dataset": "noise", "code": "abc", "threads": 2, "memory": 1e9}
    return Source(images=inputs[0], symbols=inputs[1], **{**common, **changes})


def train_shared(inputs: tuple[Path, Path], folder: Path, chosen: Recipe, **changes) -> Path:
    """Stage 1 into a folder; its model."""
    folder.mkdir(exist_ok=True)
    files = {"model": folder / "shared.pt", "history": folder / "shared.tsv", "steps": folder / "shared_steps.tsv"}
    align_shared(source(inputs, **changes), chosen, **files)
    return folder / "shared.pt"


def train_symbol(inputs: tuple[Path, Path], folder: Path, chosen: Recipe, shared: Path, **changes) -> Path:
    """Stage 2 into a folder, from the model of stage 1; the finished model."""
    folder.mkdir(exist_ok=True)
    files = {"model": folder / "model.pt", "history": folder / "model.tsv", "steps": folder / "model_steps.tsv"}
    align_symbol(source(inputs, **changes), chosen, shared=shared, **files)
    return folder / "model.pt"


def train(inputs: tuple[Path, Path], folder: Path, chosen: Recipe, **changes) -> Path:
    """Both stages into a folder; the finished model."""
    return train_symbol(inputs, folder, chosen, train_shared(inputs, folder, chosen, **changes), **changes)


def embed(inputs: tuple[Path, Path], model: Path, chosen: Recipe, embeddings: Path) -> None:
    """The noise as a model sees it, into a file."""
    embed_dataset(
        model=model,
        images=inputs[0],
        symbols=inputs[1],
        dataset="noise",
        run="galaxalign",
        recipe=chosen,
        threads=2,
        embeddings=embeddings,
    )
