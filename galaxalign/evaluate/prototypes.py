"""Classes as directions in the common space: scores of galaxies by text, by symbol, and fused.

With u, v, w the unit-length embeddings of galaxies, symbols and texts and a = exp(logit_scale):

* the texts of a class are paraphrases: w_c is their mean, made unit length again, the score a u.w_c;
* the symbols of a class are alternatives, whose probabilities add: the score is log(sum over them of exp(a u.v)),
  as in the loss that trained them;
* fused: b (text score) + (1 - b) (symbol score), which for one symbol a class is a u.(b w_c + (1 - b) v_c).

A model that learned from votes knows answers instead of classes.  It gives each answer a probability among the
answers to its question, and a class the probability that a volunteer gives all the answers of its rule.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from galaxalign.blocks import blocks

Vectors = NDArray[np.float32]
Scores = NDArray[np.float64]


def text_prototypes(embedding: Vectors, label: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """w (C, D) of text embeddings (T, D) whose classes are `label` (T,); every class has a text."""
    sums = np.zeros((classes, embedding.shape[1]))
    np.add.at(sums, label, embedding.astype(np.float64))
    return np.asarray(sums / np.linalg.norm(sums, axis=1, keepdims=True))


def _similarities(galaxies: Vectors, others: NDArray[np.float64], scale: float) -> Scores:
    """a u.v (N, M) in double precision, to which a block of galaxies at a time is brought."""
    similarities = np.empty((len(galaxies), len(others)))
    for rows in blocks(len(galaxies)):
        similarities[rows] = scale * galaxies[rows].astype(np.float64) @ others.T
    return similarities


def text_scores(galaxies: Vectors, prototypes: NDArray[np.float64], scale: float) -> Scores:
    """a u.w_c (N, C)."""
    return _similarities(galaxies, prototypes, scale)


def symbol_scores(
    galaxies: Vectors, symbols: Vectors, label: NDArray[np.int64], *, classes: int, scale: float
) -> Scores:
    """Log of the sum (N, C) over each class's symbols of exp(a u.v); -inf for a class without symbols.

    Parameters
    ----------
    galaxies, symbols : (N, D) and (S, D), unit length.
    label : (S,) class of each symbol.
    """
    similarity = _similarities(galaxies, symbols.astype(np.float64), scale)
    scores = np.full((len(galaxies), classes), -np.inf)
    for index in np.unique(label):
        scores[:, index] = logsumexp(similarity[:, label == index], axis=1)
    return scores


def fused_scores(text: Scores, symbol: Scores, fusion: float) -> Scores:
    """Text scores with the share `fusion` and symbol scores with the rest, both (N, C)."""
    return fusion * text + (1 - fusion) * symbol


def shown_scores(galaxies: Vectors, symbols: Vectors, shown: NDArray[np.bool_], scale: float) -> Scores:
    """Log of the sum (N, A) over the symbols that show an answer of exp(a u.v); -inf where none does.

    Parameters
    ----------
    galaxies, symbols : (N, D) and (S, D), unit length.
    shown : (A, S), whether a symbol shows an answer; one symbol may show several.
    """
    similarity = _similarities(galaxies, symbols.astype(np.float64), scale)
    scores = np.full((len(galaxies), len(shown)), -np.inf)
    for answer in np.flatnonzero(shown.any(axis=1)):
        scores[:, answer] = logsumexp(similarity[:, shown[answer]], axis=1)
    return scores


def among_answers(scores: Scores, questions: NDArray[np.int64]) -> Scores:
    """Log-probabilities (N, A) of answers, each among those to its question, from scores (N, A).

    An answer with the score -inf keeps it, as do all answers to a question where no other is left.

    Parameters
    ----------
    questions : (A,) index of the question of each answer.
    """
    logs = np.full_like(scores, -np.inf)
    for question in np.unique(questions):
        own = np.flatnonzero((questions == question) & np.isfinite(scores).all(axis=0))
        if len(own):
            logs[:, own] = scores[:, own] - logsumexp(scores[:, own], axis=1, keepdims=True)
    return logs


def fused_answers(text: Scores, symbol: Scores, questions: NDArray[np.int64], fusion: float) -> Scores:
    """Log-probabilities (N, A) of answers by text, with the share `fusion`, and symbol, both log-probabilities.

    Symbols only tell apart the answers that have one: how likely those are together is for the text to say.
    """
    shown = np.isfinite(symbol).all(axis=0)
    told = symbol.copy()
    for question in np.unique(questions):
        own = questions == question
        told[:, own & ~shown] = text[:, own & ~shown]
        if (own & shown).any():
            told[:, own & shown] += logsumexp(text[:, own & shown], axis=1, keepdims=True)
    return among_answers(fused_scores(text, told, fusion), questions)


def path_scores(answers: Scores, paths: NDArray[np.bool_]) -> Scores:
    """Log-probability (N, C) that a volunteer gives all answers of each class's way down the tree.

    Parameters
    ----------
    answers : (N, A) log-probabilities.
    paths : (C, A), whether a class's rule names an answer.
    """
    return np.stack([answers[:, path].sum(axis=1) for path in paths], axis=1)


def class_scores_by_answers(
    galaxies: Vectors,
    *,
    texts: Vectors | None,
    text_answers: NDArray[np.int64],
    symbols: Vectors | None,
    shown: NDArray[np.bool_],
    questions: NDArray[np.int64],
    paths: NDArray[np.bool_],
    scale: float,
    fusion: float,
) -> Mapping[str, Scores]:
    """Scores (N, C) of classes by ``text``, ``symbol`` and ``fused``, as far as texts and symbols are given.

    Parameters
    ----------
    galaxies : (N, D), unit length.
    texts, text_answers : (T, D) and the index (T,) of the answer of each.
    symbols, shown : (S, D), and whether each shows an answer, (A, S).
    questions : (A,) index of the question of each answer.
    paths : (C, A), whether a class's rule names an answer.
    """
    answers: dict[str, Scores] = {}
    if texts is not None:
        prototypes = text_prototypes(texts, text_answers, len(questions))
        answers["text"] = among_answers(text_scores(galaxies, prototypes, scale), questions)
    if symbols is not None:
        answers["symbol"] = among_answers(shown_scores(galaxies, symbols, shown, scale), questions)
    if len(answers) == 2:
        answers["fused"] = fused_answers(answers["text"], answers["symbol"], questions, fusion)
    return {method: path_scores(logs, paths) for method, logs in answers.items()}
