"""Embeddings by a model as it is: no gradient, no random change; a galaxy means the same at any position angle."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from galaxalign.align.augmentation import resize
from galaxalign.align.model import TriModalModel

BATCH = 64
# So does a symbol, whose embedding is the mean over these many.
SYMBOL_ANGLES = 8


def embed_images(
    model: TriModalModel, batches: Iterator[NDArray[np.uint8]], size: int, angles: int = 1
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32] | None]]:
    """Embed pictures, batch by batch.

    Parameters
    ----------
    batches
        uint8 (N, H, W, 3), row 0 at the top.
    size
        Side of the pictures the towers see, pixels.
    angles
        Position angles that each galaxy is seen at: 1, 2 (half a turn apart) or 4 (a quarter), for which no pixel
        changes.  What the tower says is averaged over them (as Dieleman et al. 2015, MNRAS 450, 1441, average
        predictions).

    Yields
    ------
    Unit-length embeddings (N, D), and logits (N, C) where the model has a linear head.
    """
    model.eval()
    device = model.logit_scale.device
    for batch in batches:
        with torch.inference_mode():
            pictures = resize(torch.from_numpy(batch).to(device), size)
            turned = [model.features(pictures.rot90(turn, (2, 3))) for turn in range(0, 4, 4 // angles)]
            features = torch.stack(turned).mean(0)
            logits = model.head(features).cpu().numpy() if model.head is not None else None
            embeddings: NDArray[np.float32] = F.normalize(features, dim=-1).cpu().numpy()
        yield embeddings, logits


def embed_all(
    model: TriModalModel, batches: Iterator[NDArray[np.uint8]], size: int, angles: int = 1
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """All of `embed_images` at once: embeddings (N, D), and logits (N, C) where the model has a linear head."""
    parts = list(embed_images(model, batches, size, angles))
    logits = [part for _, part in parts if part is not None]
    return np.concatenate([part for part, _ in parts]), np.concatenate(logits) if logits else None


def embed_symbols(model: TriModalModel, drawings: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Unit-length embeddings (S, D) of symbol drawings uint8 (S, H, W, 3), each the mean over position angles."""
    model.eval()
    pictures = resize(torch.from_numpy(drawings).to(model.logit_scale.device), model.symbol_size)
    views = []
    for turn in range(SYMBOL_ANGLES):
        angle = 2 * np.pi * turn / SYMBOL_ANGLES
        rows = [[np.cos(angle), -np.sin(angle), 0.0], [np.sin(angle), np.cos(angle), 0.0]]
        matrix = torch.tensor(rows, dtype=pictures.dtype, device=pictures.device).expand(len(pictures), 2, 3)
        grid = F.affine_grid(matrix, list(pictures.shape), align_corners=False)
        views.append(F.grid_sample(pictures, grid, padding_mode="border", align_corners=False))
    with torch.inference_mode():
        encoded = torch.stack([model.encode_symbols(view) for view in views])
        embeddings: NDArray[np.float32] = F.normalize(encoded.mean(0), dim=-1).cpu().numpy()
    return embeddings


def embed_texts(model: TriModalModel, texts: list[str]) -> NDArray[np.float32]:
    """Unit-length embeddings (T, D) of texts."""
    model.eval()
    with torch.inference_mode():
        embeddings: NDArray[np.float32] = model.encode_texts(texts).cpu().numpy()
    return embeddings


def in_batches(read: Callable[[NDArray[np.int64]], NDArray[np.uint8]], count: int) -> Iterator[NDArray[np.uint8]]:
    """Pictures 0 to `count` of a store, read a batch of rows at a time."""
    for start in range(0, count, BATCH):
        yield read(np.arange(start, min(start + BATCH, count)))
