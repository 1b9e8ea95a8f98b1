"""What one training step sees: galaxies of the store, rendered galaxies and views of the symbols."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from queue import Queue
from threading import Thread

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from galaxalign.align.augmentation import Augmentation, augment
from galaxalign.align.randomness import Purpose, generator_for
from galaxalign.align.recipe import Recipe
from galaxalign.data.store import Store

# In a batch, the row of a galaxy that is not in the store but rendered.
RENDERED = -1
# Batches read ahead of the one in work.
AHEAD = 3


class Galaxies:
    """Labelled pictures of a store, held in memory where they fit.

    Attributes
    ----------
    labels : (N,) class of each.
    rows : (N,) their rows in the store.
    held : bytes of pictures in memory.
    """

    def __init__(self, store: Store, rows: NDArray[np.int64], memory: float) -> None:
        """`memory` is the number of bytes that the pictures may take."""
        self.rows = rows
        self.labels = torch.from_numpy(store.label[rows].astype(np.int64))
        self._store = store
        needed = len(rows) * store.recipe.size**2 * 3
        self._pictures = torch.from_numpy(store.pictures(rows)) if needed <= memory else None
        self.held = needed if needed <= memory else 0

    def __len__(self) -> int:
        """How many."""
        return len(self.rows)

    def pictures(self, indices: Tensor) -> Tensor:
        """Pictures uint8 (n, H, W, 3) of the given galaxies, row 0 at the top."""
        if self._pictures is not None:
            return self._pictures[indices]
        return torch.from_numpy(self._store.pictures(self.rows[indices.numpy()]))


@dataclass(frozen=True)
class Batch:
    """Galaxies of one step, (n,) each: their place among the training galaxies or `RENDERED`, their classes, and
    whether their mirror image is shown, whose class `labels` then says.
    """

    indices: Tensor
    labels: Tensor
    mirrored: Tensor

    def pieces(self, count: int) -> list["Batch"]:
        """The batch in so many parts of about the same size."""
        columns = (self.indices, self.labels, self.mirrored)
        parts = zip(*(column.tensor_split(count) for column in columns), strict=True)
        return [Batch(*part) for part in parts]


@dataclass(frozen=True)
class SymbolViews:
    """Variants of each symbol, uint8 (S, K, H, W), with the symbols' classes (S,)."""

    views: Tensor
    classes: Tensor

    def to(self, device: torch.device) -> "SymbolViews":
        """The same on another device."""
        return SymbolViews(self.views.to(device), self.classes.to(device))

    def draw(
        self, count: int, size: int, settings: Augmentation, *, flip: bool, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """`count` views of every symbol at random angles: float (S * count, 3, size, size), classes (S * count,)."""
        symbols, variants = self.views.shape[:2]
        device = self.views.device
        # A position angle tells nothing of a symbol, whatever is done to galaxies.
        turned = Augmentation(
            rotate=True, flip=True, zoom=settings.zoom, shift=settings.shift, brightness=0.0, noise=settings.noise
        )
        chosen = torch.randint(variants, (symbols, count), generator=generator, device=device)
        views = self.views[torch.arange(symbols, device=device)[:, None], chosen].flatten(0, 1)
        pictures = augment(views[..., None], size, turned, flip=flip, generator=generator)
        return pictures, self.classes.repeat_interleave(count)


def few_labels(labels: Tensor, per_class: int | str, seed: int) -> Tensor:
    """Indices of the training galaxies that a run may use: all, or `per_class` of each class, by seed."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(labels), generator=generator)
    if per_class == "all":
        return order.sort().values
    kept = [order[labels[order] == label][: int(per_class)] for label in labels.unique() if label >= 0]
    return torch.cat([order[:0], *kept]).sort().values


def epoch_galaxies(labelled: int, recipe: Recipe) -> int:
    """Galaxies that an epoch shows."""
    return labelled if recipe.epoch_size == "all" else int(recipe.epoch_size)


def epoch_length(labelled: int, recipe: Recipe) -> int:
    """Steps of an epoch: as many as its galaxies fill."""
    return math.ceil(epoch_galaxies(labelled, recipe) / recipe.batch_size)


def epoch_batches(labels: Tensor, classes: int, recipe: Recipe, generator: torch.Generator) -> list[Batch]:
    """The batches of one epoch.

    The share `living.share` of each batch is rendered, every class as often; the rest is drawn by `sampling`:

    natural: every galaxy as often, in a new order each time round.  balanced, sqrt: drawn with replacement,
    classes weighted by their count to the power -1 or -1/2.

    Parameters
    ----------
    labels
        (N,) class of each training galaxy; -1 where votes speak instead.
    classes
        Their number.
    """
    steps = epoch_length(len(labels), recipe)
    galaxies = epoch_galaxies(len(labels), recipe)
    # A step of one or two galaxies would be one on noise: batches have even sizes.
    rendered = round(recipe.living.share * galaxies) if len(labels) else galaxies
    real = sampled(labels, recipe.sampling, galaxies - rendered, generator)
    made = torch.randint(classes, (rendered,), generator=generator)
    batches = []
    for chosen, drawn in zip(real.tensor_split(steps), made.tensor_split(steps), strict=True):
        mixed = torch.randperm(len(chosen) + len(drawn), generator=generator)
        indices = torch.cat([chosen, torch.full_like(drawn, RENDERED)])[mixed]
        upright = torch.zeros(len(mixed), dtype=torch.bool)
        batches.append(Batch(indices, torch.cat([labels[chosen], drawn])[mixed], upright))
    return batches


def mirrored(batch: Batch, mirror: Tensor, generator: torch.Generator) -> Batch:
    """The batch with half of its real galaxies mirrored, and as the class that their mirror image belongs to.

    Parameters
    ----------
    mirror
        (C,) class of the mirror image of each class.
    """
    turned = (torch.rand(len(batch.indices), generator=generator) < 0.5) & (batch.indices != RENDERED)
    return Batch(batch.indices, torch.where(turned, mirror[batch.labels], batch.labels), turned)


def sampled(labels: Tensor, sampling: str, count: int, generator: torch.Generator) -> Tensor:
    """Indices of `count` galaxies, see `epoch_batches`."""
    if count == 0:
        return torch.empty(0, dtype=torch.long)
    if sampling == "natural":
        rounds = math.ceil(count / len(labels))
        return torch.cat([torch.randperm(len(labels), generator=generator) for _ in range(rounds)])[:count]
    power = {"balanced": -1.0, "sqrt": -0.5}[sampling]
    numbers = labels - labels.min()
    weights = torch.bincount(numbers).clamp(min=1).double().pow(power)[numbers]
    return torch.multinomial(weights, count, replacement=True, generator=generator)


def read_ahead(
    galaxies: Galaxies, batches: list[list[Batch]], *, pin: bool
) -> Iterator[tuple[list[Batch], list[Tensor]]]:
    """Each step's pieces with the pictures of their real galaxies, read while the step before is at work.

    Pictures are uint8 (n, H, W, 3), in pinned memory where `pin`.
    """
    queue: Queue[tuple[list[Batch], list[Tensor]] | BaseException] = Queue(AHEAD)

    def read() -> None:
        try:
            for pieces in batches:
                pictures = [galaxies.pictures(piece.indices[piece.indices != RENDERED]) for piece in pieces]
                queue.put((pieces, [part.pin_memory() for part in pictures] if pin else pictures))
        except BaseException as error:  # it is raised where the pictures are waited for
            queue.put(error)

    Thread(target=read, daemon=True).start()
    for _ in batches:
        item = queue.get()
        if isinstance(item, BaseException):
            raise item
        yield item


def order_of(seed: int, stage: int, epoch: int) -> torch.Generator:
    """The generator that orders an epoch."""
    return generator_for("cpu", Purpose.ORDER, seed, stage, epoch)
