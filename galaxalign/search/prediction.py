"""What a trained model says of galaxies it has never seen."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import softmax

from galaxalign.align.checkpoint import Checkpoint, load_checkpoint
from galaxalign.align.classification import ClassPrompts, class_scores, texts_of, tree_prompts
from galaxalign.data.pictures import ImageRecipe
from galaxalign.data.store import read_store
from galaxalign.embed.embedding import read_galaxy_embeddings
from galaxalign.errors import GalaxAlignError
from galaxalign.symbols.drawing import draw
from galaxalign.symbols.library import SYMBOLS
from galaxalign.symbols.sheet import ClassSheet

logger = logging.getLogger(__name__)


def image_recipe_of(model: Path) -> ImageRecipe:
    """How the pictures were made that a model was trained on; others must be made the same way.

    Raises `GalaxAlignError` where the model went through stage 1 alone.
    """
    checkpoint = load_checkpoint(model)
    if checkpoint.stage != "symbol":
        raise GalaxAlignError(f"{model} is what stage 1 left, not a finished model: name the model.pt beside it")
    return ImageRecipe.from_dict(checkpoint.image)


def draw_symbols(names: list[str], size: int) -> NDArray[np.uint8]:
    """Symbols by name, uint8 (S, size, size, 3), white on black."""
    drawings = [draw(SYMBOLS[name].geometry, size) for name in names]
    return np.repeat(np.stack(drawings)[..., None], 3, axis=-1)


def prompts_of(checkpoint: Checkpoint) -> ClassPrompts:
    """Texts and symbols of a model's own vocabulary, from the model alone."""
    sheet, size = ClassSheet.from_dict(checkpoint.sheet), checkpoint.image["size"]
    texts, text_classes = texts_of([list(entry.texts) for entry in sheet.classes])
    pairs = [(symbol, index) for index, entry in enumerate(sheet.classes) for symbol in entry.symbols]
    tree = None
    if checkpoint.recipe.targets == "votes" and sheet.tree is not None:
        tree = tree_prompts(sheet, draw_symbols(list(sheet.tree.symbols), size))
    return ClassPrompts(
        classes=len(sheet.classes),
        texts=texts,
        text_classes=text_classes,
        drawings=draw_symbols([symbol for symbol, _ in pairs], size),
        symbol_classes=np.array([index for _, index in pairs], dtype=np.int64),
        tree=tree,
    )


def predict(*, model: Path, images: Path, embeddings: Path, parquet: Path, csv: Path) -> None:
    """Write id, position, probability of each class, predicted class and flag of every galaxy of a store.

    Probabilities are calibrated by the temperature that was fitted on the model's validation galaxies.

    A flagged galaxy has no prediction: its probabilities are empty and `reason` says why.

    Raises
    ------
    GalaxAlignError
        The model has no classifier of its own, or the store was made by another image recipe.
    """
    checkpoint, store = load_checkpoint(model), read_store(images)
    if checkpoint.recipe.classifier == "probe":
        raise GalaxAlignError(
            f"{model} has no classifier of its own (its recipe says probe): apply a run whose classifier is text, "
            "symbol, fused or head"
        )
    if not store.recipe.looks_like(ImageRecipe.from_dict(checkpoint.image)):
        raise GalaxAlignError(f"{images} was made by another image recipe than {model}: delete it and run again")
    galaxies, logits = read_galaxy_embeddings(embeddings)
    scores = class_scores(checkpoint.model, checkpoint.recipe, prompts_of(checkpoint), galaxies, logits)
    probabilities = softmax(scores / checkpoint.calibration, axis=1)
    labels = [entry["label"] for entry in checkpoint.sheet["classes"]]
    good = store.flag == ""
    table = pd.DataFrame({"id": store.id.astype(object), "ra": store.ra, "dec": store.dec})
    for index, label in enumerate(labels):
        table[f"probability_{label}"] = np.where(good, probabilities[:, index], np.nan)
    best = scores.argmax(1)
    table["predicted"] = [labels[index] if use else None for index, use in zip(best, good, strict=True)]
    table["flag"], table["reason"] = store.flag.astype(object), store.reason.astype(object)
    table.to_parquet(parquet, index=False)
    table.to_csv(csv, index=False, float_format="%.10g")
    logger.info("%d galaxies classified, %d flagged", good.sum(), (~good).sum())
