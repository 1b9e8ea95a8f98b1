"""How a model does on the validation galaxies by its recipe's own classifier."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from galaxalign.align.batches import Galaxies
from galaxalign.align.classification import ClassPrompts, class_scores
from galaxalign.align.inference import BATCH, embed_all
from galaxalign.align.model import TriModalModel
from galaxalign.align.recipe import Recipe
from galaxalign.evaluate.metrics import accuracy, confusion, macro_f1


def validation_scores(
    model: TriModalModel, recipe: Recipe, prompts: ClassPrompts, galaxies: Galaxies, angles: int
) -> NDArray[np.float64] | None:
    """Scores (N, C) of the recipe's own classifier; None for a probe, without galaxies, or where a later stage brings
    the texts that it needs.

    Before a head is fitted they are those of the fused prototypes.  Galaxies are seen at so many position angles.
    """
    if recipe.classifier == "probe" or len(galaxies) == 0:
        return None
    if recipe.classifier == "head" and model.head is None:
        recipe = replace(recipe, classifier="fused")
    if recipe.classifier in ("text", "fused") and model.text is None:
        return None
    embeddings, logits = embed_all(model, galaxy_batches(galaxies), recipe.backbone.size, angles)
    return class_scores(model, recipe, prompts, embeddings, logits)


def validate(model: TriModalModel, recipe: Recipe, prompts: ClassPrompts, galaxies: Galaxies) -> dict[str, float]:
    """Accuracy and macro-F1 on the validation galaxies, where there are any, at one position angle, for speed."""
    scores = validation_scores(model, recipe, prompts, galaxies, angles=1)
    if scores is None:
        return {}
    matrix = confusion(galaxies.labels.numpy(), scores.argmax(1), prompts.classes)
    return {"validation_accuracy": float(accuracy(matrix)), "validation_macro_f1": float(macro_f1(matrix))}


def galaxy_batches(galaxies: Galaxies, chosen: Tensor | None = None) -> Iterator[NDArray[np.uint8]]:
    """Pictures (N, H, W, 3) a batch at a time, of all galaxies or of those at the places `chosen`."""
    for indices in (torch.arange(len(galaxies)) if chosen is None else chosen).split(BATCH):
        yield galaxies.pictures(indices).numpy()
