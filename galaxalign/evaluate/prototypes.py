"""Classes as directions in the common space: scores of galaxies by text, by symbol, and fused.

With u, v, w the unit-length embeddings of galaxies, symbols and texts and a = exp(logit_scale):

* the texts of a class are paraphrases: w_c is their mean, made unit length again, the score a u.w_c;
* the symbols of a class are alternatives: the score is log(mean over them of exp(a u.v));
* fused: b (text score) + (1 - b) (symbol score), which for one symbol a class is a u.(b w_c + (1 - b) v_c).
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

Vectors = NDArray[np.float32]
Scores = NDArray[np.float64]


def text_prototypes(embedding: Vectors, label: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """w (C, D) of text embeddings (T, D) whose classes are `label` (T,); every class has a text."""
    sums = np.zeros((classes, embedding.shape[1]))
    np.add.at(sums, label, embedding.astype(np.float64))
    return np.asarray(sums / np.linalg.norm(sums, axis=1, keepdims=True))


def text_scores(galaxies: Vectors, prototypes: NDArray[np.float64], scale: float) -> Scores:
    """a u.w_c (N, C)."""
    return scale * galaxies.astype(np.float64) @ prototypes.T


def symbol_scores(
    galaxies: Vectors, symbols: Vectors, label: NDArray[np.int64], *, classes: int, scale: float
) -> Scores:
    """Log of the mean (N, C) over each class's symbols of exp(a u.v); -inf for a class without symbols.

    Parameters
    ----------
    galaxies, symbols : (N, D) and (S, D), unit length.
    label : (S,) class of each symbol.
    """
    similarity = scale * galaxies.astype(np.float64) @ symbols.astype(np.float64).T
    scores = np.full((len(galaxies), classes), -np.inf)
    for index in np.unique(label):
        own = similarity[:, label == index]
        scores[:, index] = logsumexp(own, axis=1) - np.log(own.shape[1])
    return scores


def fused_scores(text: Scores, symbol: Scores, fusion: float) -> Scores:
    """Text scores with the share `fusion` and symbol scores with the rest, both (N, C)."""
    return fusion * text + (1 - fusion) * symbol
