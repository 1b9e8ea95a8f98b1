"""One file that holds all a model needs to be used later."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from galaxalign.align.backbones import build_backbone
from galaxalign.align.files import save_whole
from galaxalign.align.model import Head, TriModalModel
from galaxalign.align.recipe import Recipe
from galaxalign.data.pictures import ImageRecipe
from galaxalign.errors import GalaxAlignError
from galaxalign.symbols.library import SYMBOLS
from galaxalign.symbols.sheet import ClassSheet

FORMAT = "galaxalign-model-2"


@dataclass(frozen=True)
class Checkpoint:
    """A model and what it was made by.

    Attributes
    ----------
    model : the towers with their weights, in evaluation mode.
    recipe : how it was trained.
    sheet : its vocabulary, a class sheet as plain values.
    image : the image recipe of its store: size, crop, bands and how flux became colour.
    aligned : whether images and texts shared one space before any fine-tuning.
    calibration : temperature of the scores of its classifier, fitted on validation; 1 where there was nothing to fit.
    stage : the last stage that it went through.
    dataset : the data set that it was trained on.
    code : digest of the code that trained it.
    made_from : marks of the files that it was made from, see `stages.Source.marks`.
    """

    model: TriModalModel
    recipe: Recipe
    sheet: dict[str, Any]
    image: dict[str, Any]
    aligned: bool
    calibration: float
    stage: str
    dataset: str
    code: str
    made_from: list[str]

    @property
    def trained(self) -> list[str]:
        """The modalities that share the images' space: `text`, `symbol`."""
        epochs = sum(stage.epochs for stage in self.recipe.stages.values())
        modalities = []
        if self.model.text is not None and (self.aligned or (epochs and self.recipe.uses("text"))):
            modalities.append("text")
        # Without training, symbols pass the very tower that images do.
        if self.recipe.uses("symbol"):
            modalities.append("symbol")
        return modalities


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a model so that `path` is never half-written."""
    model = checkpoint.model
    content = {
        "format": FORMAT,
        "recipe": checkpoint.recipe.to_dict(),
        "sheet": checkpoint.sheet,
        "image": checkpoint.image,
        "preprocess": {
            "size": checkpoint.recipe.backbone.size,
            "mean": checkpoint.model.mean.flatten().tolist(),
            "std": checkpoint.model.std.flatten().tolist(),
        },
        "aligned": checkpoint.aligned,
        "calibration": checkpoint.calibration,
        "stage": checkpoint.stage,
        "dataset": checkpoint.dataset,
        "code": checkpoint.code,
        "made_from": checkpoint.made_from,
        "has": {"text": model.text is not None, "symbol": model.symbol is not None},
        "head": None if model.head is None else {"unit": model.head.unit},
        "weights": model.state_dict(),
    }
    save_whole(path, content)


def load_checkpoint(path: Path) -> Checkpoint:
    """The model in `path`, on the CPU.

    Raises
    ------
    GalaxAlignError
        The file is missing, not a model of this project, of another version, or its weights do not fit its recipe or
        are not finite.
    """
    if not path.is_file():
        raise GalaxAlignError(f"{path}: there is no such model; train it first, or correct the path")
    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:
        raise GalaxAlignError(f"{path} cannot be read as a model ({type(error).__name__}); train it again") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise GalaxAlignError(f"{path} is not a GalaxAlign model of format {FORMAT}; name a model.pt of this workflow")
    try:
        recipe, weights = Recipe.from_dict(content["recipe"]), content["weights"]
        with_text, with_symbol, head = content["has"]["text"], content["has"]["symbol"], content["head"]
        names = ("sheet", "image", "aligned", "calibration", "stage", "dataset", "code", "made_from")
        kept = {name: content[name] for name in names}
        sheet = ClassSheet.from_dict(kept["sheet"])
        ImageRecipe.from_dict(kept["image"])
    except (TypeError, LookupError, ValueError, AttributeError) as error:
        raise GalaxAlignError(f"{path} is of another version ({error}); train it again") from error
    unknown = [symbol for symbol in sheet.symbols if symbol not in SYMBOLS]
    if unknown:
        raise GalaxAlignError(f"{path} is of another version (there is no symbol {unknown[0]!r}); train it again")
    if not all(torch.isfinite(values).all() for values in weights.values()):
        raise GalaxAlignError(f"{path} has weights that are not finite; train it again")
    backbone = build_backbone(recipe.backbone, with_text=with_text, weights=False)
    model = TriModalModel(backbone, temperature=recipe.temperature.start, dropout=recipe.dropout)
    if head is not None:
        model.head = Head(backbone.width, len(sheet.classes), unit=head["unit"])
    if with_symbol:
        model.own_symbol_tower()
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise GalaxAlignError(
            f"{path}: the weights do not fit the backbone {recipe.backbone.name}; train the model again"
        ) from error
    if recipe.norm_layers == "frozen":
        model.freeze_norms(recipe.backbone.size)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Checkpoint(model=model.eval(), recipe=recipe, **kept)
