"""The last linear step from embeddings to classes, fitted to labelled galaxies and drawn towards the prototypes."""

import logging

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp

from galaxalign.align.inference import embed_all, embed_symbols, embed_texts
from galaxalign.align.material import Material
from galaxalign.align.model import Head, TriModalModel
from galaxalign.align.recipe import Recipe
from galaxalign.align.validation import galaxy_batches
from galaxalign.evaluate.metrics import confusion, macro_f1
from galaxalign.evaluate.prototypes import text_prototypes

logger = logging.getLogger(__name__)

# How strongly the weights are drawn where there are so many galaxies, or more.
DRAW, MANY = 1e-4, 500
LARGEST_ITERATIONS = 1000
# A head is fitted to so many galaxies at most: more would only take memory.
MOST_FITTED = 50_000


def fitted_head(towers: TriModalModel, recipe: Recipe, material: Material) -> Head:
    """The linear head of the galaxies trained on, drawn towards the fused prototypes; those, unless it does better.

    Which does better is judged by macro-F1 on validation, of equals the prototypes.
    """
    prompts = material.vocabulary.prompts
    symbols = embed_symbols(towers, prompts.drawings)
    by_symbol = text_prototypes(symbols, prompts.symbol_classes, prompts.classes)
    by_text = text_prototypes(embed_texts(towers, prompts.texts), prompts.text_classes, prompts.classes)
    prototypes = towers.scale.item() * (recipe.fusion * by_text + (1 - recipe.fusion) * by_symbol)
    # A class's symbols are alternatives: as many of them as there are add to its score by text and their mean.
    alternatives = (1 - recipe.fusion) * np.log(np.bincount(prompts.symbol_classes, minlength=prompts.classes))
    kept = Head.of(prototypes, alternatives)
    known = (material.train.labels >= 0).nonzero().flatten()
    if len(known) and len(material.validation):
        order = torch.randperm(len(known), generator=torch.Generator().manual_seed(recipe.seed))
        used = known[order[:MOST_FITTED].sort().values]
        seen = recipe.backbone.size, recipe.position_angles
        embeddings, _ = embed_all(towers, galaxy_batches(material.train, used), *seen)
        fitted = Head.of(*fit_head(embeddings, material.train.labels[used].numpy(), prototypes, alternatives))
        judged, _ = embed_all(towers, galaxy_batches(material.validation), *seen)
        labels, scores = material.validation.labels.numpy(), []
        for head in (kept, fitted):
            with torch.inference_mode():
                predicted = head(torch.from_numpy(judged)).argmax(1).numpy()
            scores.append(float(macro_f1(confusion(labels, predicted, prompts.classes))))
        logger.info("validation macro-F1 of prototypes %.3f, of a head fitted from them %.3f", *scores)
        kept = fitted if scores[1] > scores[0] else kept
    return kept


def fit_head(
    embeddings: NDArray[np.floating],
    labels: NDArray[np.integer],
    prototypes: NDArray[np.floating],
    offsets: NDArray[np.floating],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights and biases that tell labelled galaxies apart and stay near what the prototypes say.

    What is least is the mean cross-entropy of softmax(W u + b), a galaxy of a class of n counted 1 / sqrt(n), plus
    k/2 (|W - P|^2 + |b - o|^2).  k is 1e-4, and for N < 500 galaxies (500 / N)^2 times as much: few galaxies are
    remembered by the towers that were trained on them, and are little evidence against the prototypes.  The function is
    convex and has one minimum.  Classes without a galaxy keep their prototypes and are not compared with.

    Parameters
    ----------
    embeddings : (N, D), unit length.
    labels : (N,) class index.
    prototypes, offsets : P (C, D) and o (C,), such that P u + o are scores.

    Returns
    -------
    W (C, D) and b (C,).
    """
    weights, bias = np.array(prototypes, np.float64), np.array(offsets, np.float64)
    present, own, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if len(present) < 2:
        return weights, bias
    vectors = np.concatenate([embeddings, np.ones((len(labels), 1))], axis=1, dtype=np.float64)
    begin = vectors[:, :-1] @ weights[present].T + bias[present]
    share = 1 / np.sqrt(counts[own])
    share /= share.sum()
    rows, strength = np.arange(len(labels)), DRAW * max(1.0, MANY / len(labels)) ** 2

    def measured(change: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logs = begin + vectors @ change.reshape(len(present), -1).T
        logs -= logsumexp(logs, axis=1, keepdims=True)
        loss = -float(share @ logs[rows, own]) + strength / 2 * float(change @ change)
        excess = np.exp(logs)
        excess[rows, own] -= 1
        return loss, ((share[:, None] * excess).T @ vectors).ravel() + strength * change

    nothing = np.zeros(len(present) * vectors.shape[1])
    found = minimize(measured, nothing, jac=True, method="L-BFGS-B", options={"maxiter": LARGEST_ITERATIONS})
    if not found.success:
        logger.warning("the head's fit to %d galaxies ended before its minimum: %s", len(labels), found.message)
    change = found.x.reshape(len(present), -1)
    weights[present] += change[:, :-1]
    bias[present] += change[:, -1]
    return weights, bias
