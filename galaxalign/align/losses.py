"""The losses of tri-modal alignment.

Notation of arXiv 2411.19475: U, V, W hold unit-length embeddings of galaxies, symbols and texts, one a
row, and a = exp(logit_scale).  L(A, B) = 1/2 [CE(a A B^T, targets) + CE(a B A^T, targets)].

Texts and symbols belong to classes.  With `targets: class` each distinct text and symbol is one row, and
galaxies of one class share it; with `targets: identity`, the published form, every galaxy of the batch
carries its own text and symbol and all others are negatives, those of its own class too.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Weights:
    """Weights of the losses of one stage: L(U, W), L(V, W), L(U, V), and cross-entropy on a linear head."""

    image_text: float
    symbol_text: float
    image_symbol: float
    classifier: float


def class_contrast(a: Tensor, b: Tensor, class_a: Tensor, class_b: Tensor, scale: Tensor) -> Tensor:
    """L(A, B) with class targets.

    From A to B each row of A looks for its class: -log of the probability that softmax over the rows of B
    gives to those of its class together; with one row a class this is the C-way cross-entropy.  From B to A
    each row of B has many positives, 1[c_i = c_j] / n_c, among the rows of A; rows of B whose class the
    batch lacks have none and are left out of the mean.

    Parameters
    ----------
    a, b : (N, D) and (M, D), unit length. Every class of `class_a` occurs in `class_b`.
    class_a, class_b : (N,) and (M,) class indices.
    scale : a, a scalar.
    """
    logits = scale * a @ b.T
    same = class_a[:, None] == class_b[None, :]
    forward = (torch.logsumexp(logits, 1) - torch.logsumexp(logits.masked_fill(~same, -torch.inf), 1)).mean()
    positives = same.sum(0)
    targets = (same.to(logits.dtype) / positives.clamp(min=1)).T
    backward = -(targets * F.log_softmax(logits.T, 1)).sum(1)
    return (forward + backward[positives > 0].mean()) / 2


def identity_contrast(a: Tensor, b: Tensor, scale: Tensor) -> Tensor:
    """L(A, B) with identity targets: row i of A, (N, D), belongs to row i of B, (N, D), alone."""
    logits = scale * a @ b.T
    targets = torch.arange(len(a), device=a.device)
    return (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets)) / 2


def prototypes(embeddings: Tensor, classes: Tensor, count: int) -> Tensor:
    """The normalised mean (C, D) of the unit-length embeddings (T, D) of each class: its text ensemble."""
    sums = torch.zeros(count, embeddings.shape[1], dtype=embeddings.dtype, device=embeddings.device)
    return F.normalize(sums.index_add(0, classes, embeddings), dim=-1)


def alignment_losses(
    *,
    weights: Weights,
    targets: str,
    scale: Tensor,
    labels: Tensor,
    images: Tensor,
    texts: Tensor | None,
    symbols: Tensor | None,
    symbol_classes: Tensor,
    symbol_choice: Tensor,
    head_logits: Tensor | None,
) -> dict[str, Tensor]:
    """Each loss that has a weight, by name; the sum of weight times loss is what a stage minimises.

    Parameters
    ----------
    labels : (N,) class of each galaxy.
    images : U (N, D), unit length.
    texts : W (C, D), one prototype a class; None where no loss needs it.
    symbols : V (M, D), every view of every symbol in this step; None where no loss needs it.
    symbol_classes : (M,) class of each view.
    symbol_choice : (N,) for each galaxy, the row of V that is its own symbol under identity targets.
    head_logits : (N, C) of the linear head; None where there is none.
    """
    losses: dict[str, Tensor] = {}
    every_class = torch.arange(len(texts), device=images.device) if texts is not None else None
    if targets == "identity":
        own_texts = texts[labels] if texts is not None else None
        own_symbols = symbols[symbol_choice] if symbols is not None else None
        if weights.image_text and own_texts is not None:
            losses["image_text"] = identity_contrast(images, own_texts, scale)
        if weights.symbol_text and own_symbols is not None and own_texts is not None:
            losses["symbol_text"] = identity_contrast(own_symbols, own_texts, scale)
        if weights.image_symbol and own_symbols is not None:
            losses["image_symbol"] = identity_contrast(images, own_symbols, scale)
    else:
        if weights.image_text and texts is not None and every_class is not None:
            losses["image_text"] = class_contrast(images, texts, labels, every_class, scale)
        if weights.symbol_text and symbols is not None and texts is not None and every_class is not None:
            losses["symbol_text"] = class_contrast(symbols, texts, symbol_classes, every_class, scale)
        if weights.image_symbol and symbols is not None:
            losses["image_symbol"] = class_contrast(images, symbols, labels, symbol_classes, scale)
    if weights.classifier and head_logits is not None:
        losses["classifier"] = F.cross_entropy(head_logits, labels)
    return losses
