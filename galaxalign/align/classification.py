"""What a model says of galaxies by its own classifier: text, symbol, fused or head."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from galaxalign.align.inference import embed_symbols, embed_texts
from galaxalign.align.model import TriModalModel
from galaxalign.align.recipe import Recipe
from galaxalign.errors import GalaxAlignError
from galaxalign.evaluate.prototypes import (
    class_scores_by_answers,
    fused_scores,
    symbol_scores,
    text_prototypes,
    text_scores,
)
from galaxalign.symbols.sheet import ClassSheet

# From embeddings (N, D) and logits (N, C) of the linear head, where there is one, to scores (N, C).
Scorer = Callable[[NDArray[np.float32], NDArray[np.float32] | None], NDArray[np.float64]]


@dataclass(frozen=True)
class TreePrompts:
    """What each answer of a decision tree is told and shown with.

    Attributes
    ----------
    texts, text_answers : every text, and the index (T,) of its answer.
    drawings : every symbol once, uint8 (S, H, W, 3).
    shown : whether a symbol shows an answer, (A, S).
    questions : index (A,) of the question of each answer.
    paths : whether the rule of a class names an answer, (C, A).
    symbol_mass, class_mass : shares (S, A) and (C, A) of volunteers who give each answer to what a symbol shows, and to
        a galaxy of which only the class is known; not a number where that does not tell.
    """

    texts: list[str]
    text_answers: NDArray[np.int64]
    drawings: NDArray[np.uint8]
    shown: NDArray[np.bool_]
    questions: NDArray[np.int64]
    paths: NDArray[np.bool_]
    symbol_mass: NDArray[np.float64]
    class_mass: NDArray[np.float64]


@dataclass(frozen=True)
class ClassPrompts:
    """What each class is told and shown with.

    Attributes
    ----------
    classes : number of classes.
    texts, text_classes : every text, and the index (T,) of its class.
    drawings, symbol_classes : every symbol, uint8 (S, H, W, 3), and the index (S,) of its class.
    tree : the answers by which a model that learned from votes knows the classes; None for other models.
    """

    classes: int
    texts: list[str]
    text_classes: NDArray[np.int64]
    drawings: NDArray[np.uint8]
    symbol_classes: NDArray[np.int64]
    tree: TreePrompts | None = None


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
    return class_scorer(model, recipe, prompts)(galaxies, logits)


def class_scorer(model: TriModalModel, recipe: Recipe, prompts: ClassPrompts) -> Scorer:
    """`class_scores` of any galaxies, a block of them after another; texts and symbols are embedded once."""
    if recipe.targets == "votes" and recipe.classifier in ("text", "symbol", "fused"):
        return _scorer_by_answers(model, recipe, prompts)
    scale = model.scale.item()
    if recipe.classifier in ("text", "fused"):
        prototypes = text_prototypes(embed_texts(model, prompts.texts), prompts.text_classes, prompts.classes)
    if recipe.classifier in ("symbol", "fused"):
        symbols = embed_symbols(model, prompts.drawings)

    def by_text(galaxies: NDArray[np.float32]) -> NDArray[np.float64]:
        return text_scores(galaxies, prototypes, scale)

    def by_symbol(galaxies: NDArray[np.float32]) -> NDArray[np.float64]:
        return symbol_scores(galaxies, symbols, prompts.symbol_classes, classes=prompts.classes, scale=scale)

    def scores(galaxies: NDArray[np.float32], logits: NDArray[np.float32] | None) -> NDArray[np.float64]:
        match recipe.classifier:
            case "head" if logits is not None:
                return logits.astype(np.float64)
            case "text":
                return by_text(galaxies)
            case "symbol":
                return by_symbol(galaxies)
            case "fused":
                return fused_scores(by_text(galaxies), by_symbol(galaxies), recipe.fusion)
            case _:
                raise ValueError(f"classifier {recipe.classifier} is not part of the model")

    return scores


def _scorer_by_answers(model: TriModalModel, recipe: Recipe, prompts: ClassPrompts) -> Scorer:
    tree = prompts.tree
    if tree is None:
        raise ValueError("a model that learned from votes needs the answers of the decision tree")
    by_text, by_symbol = recipe.classifier != "symbol", recipe.classifier != "text"
    by_answers = partial(
        class_scores_by_answers,
        texts=embed_texts(model, tree.texts) if by_text else None,
        text_answers=tree.text_answers,
        symbols=embed_symbols(model, tree.drawings) if by_symbol else None,
        shown=tree.shown,
        questions=tree.questions,
        paths=tree.paths,
        scale=model.scale.item(),
        fusion=recipe.fusion,
    )
    return lambda galaxies, logits: by_answers(galaxies)[recipe.classifier]


def tree_prompts(sheet: ClassSheet, drawings: NDArray[np.uint8]) -> TreePrompts:
    """The answers of a sheet's decision tree, with `drawings` uint8 (S, H, W, 3) of `sheet.tree.symbols`.

    Raises
    ------
    GalaxAlignError
        The sheet has no tree, or a class has no vote rule by which to know it.
    """
    if sheet.tree is None:
        raise GalaxAlignError(
            f"class sheet {sheet.name} has no `tree`, whose answers `targets: votes` learns: add it with the `votes` "
            "of each class, or choose other targets"
        )
    ruleless = [entry.label for entry in sheet.classes if not entry.votes]
    if ruleless:
        raise GalaxAlignError(
            f"class {ruleless[0]!r} of class sheet {sheet.name} has no `votes`, by which a model that learned from "
            "votes would know it: add its steps, or choose other targets"
        )
    texts, text_answers = texts_of([list(answer.texts) for answer in sheet.tree.answers])
    rules = [{step.answer for step in entry.votes} for entry in sheet.classes]
    paths = np.array([[name in rule for name in sheet.tree.names] for rule in rules])
    return TreePrompts(
        texts=texts,
        text_answers=text_answers,
        drawings=drawings,
        shown=sheet.tree.shown,
        questions=sheet.tree.question_of,
        paths=paths,
        symbol_mass=sheet.tree.walked(sheet.tree.shown.T),
        class_mass=sheet.tree.walked(paths),
    )


def texts_of(classes: list[list[str]]) -> tuple[list[str], NDArray[np.int64]]:
    """Every text (T,) and the index (T,) of its class, from the texts of each class."""
    pairs = [(text, index) for index, texts in enumerate(classes) for text in texts]
    return [text for text, _ in pairs], np.array([index for _, index in pairs], dtype=np.int64)
