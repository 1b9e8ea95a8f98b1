"""What a model says of galaxies by its own classifier: text, symbol, fused or head."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from galaxalign.align.inference import embed_symbols, embed_texts
from galaxalign.align.model import TriModalModel
from galaxalign.align.recipe import Recipe
from galaxalign.evaluate.prototypes import fused_scores, symbol_scores, text_prototypes, text_scores


@dataclass(frozen=True)
class ClassPrompts:
    """What each class is told and shown with.

    Attributes
    ----------
    classes : number of classes.
    texts, text_classes : every text, and the index (T,) of its class.
    drawings, symbol_classes : every symbol, uint8 (S, H, W, 3), and the index (S,) of its class.
    """

    classes: int
    texts: list[str]
    text_classes: NDArray[np.int64]
    drawings: NDArray[np.uint8]
    symbol_classes: NDArray[np.int64]


def class_scores(
    model: TriModalModel,
    recipe: Recipe,
    prompts: ClassPrompts,
    galaxies: NDArray[np.float32],
    logits: NDArray[np.float32] | None,
) -> NDArray[np.float64]:
    """Scores (N, C) by the recipe's classifier; their softmax is the probability of each class.

    Parameters
    ----------
    galaxies
        Unit-length embeddings (N, D).
    logits
        (N, C) of the linear head, where the model has one.

    Raises
    ------
    ValueError
        The recipe has no classifier of its own (`probe`), or the model lacks the parts it needs.
    """
    scale = model.scale.item()

    def by_text() -> NDArray[np.float64]:
        prototypes = text_prototypes(embed_texts(model, prompts.texts), prompts.text_classes, prompts.classes)
        return text_scores(galaxies, prototypes, scale)

    def by_symbol() -> NDArray[np.float64]:
        symbols = embed_symbols(model, prompts.drawings, recipe.backbone.size)
        return symbol_scores(galaxies, symbols, prompts.symbol_classes, classes=prompts.classes, scale=scale)

    match recipe.classifier:
        case "head" if logits is not None:
            return logits.astype(np.float64)
        case "text":
            return by_text()
        case "symbol":
            return by_symbol()
        case "fused":
            return fused_scores(by_text(), by_symbol(), recipe.fusion)
        case _:
            raise ValueError(f"classifier {recipe.classifier} is not part of the model")


def texts_of(classes: list[list[str]]) -> tuple[list[str], NDArray[np.int64]]:
    """Every text (T,) and the index (T,) of its class, from the texts of each class."""
    pairs = [(text, index) for index, texts in enumerate(classes) for text in texts]
    return [text for text, _ in pairs], np.array([index for _, index in pairs], dtype=np.int64)
