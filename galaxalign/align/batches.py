"""What one training step sees: galaxies of the store and views of the symbols."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from galaxalign.align.augmentation import Augmentation, augment


@dataclass(frozen=True)
class LabelledPictures:
    """Pictures uint8 (N, H, W, 3), row 0 at the top, with their classes (N,)."""

    pictures: Tensor
    labels: Tensor


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
            rotate=True, flip=True, zoom=settings.zoom, shift=settings.shift, brightness=0.0, noise=0.0
        )
        chosen = torch.randint(variants, (symbols, count), generator=generator, device=device)
        views = self.views[torch.arange(symbols, device=device)[:, None], chosen].flatten(0, 1)
        pictures = augment(views[..., None].expand(-1, -1, -1, 3), size, turned, flip=flip, generator=generator)
        return pictures, self.classes.repeat_interleave(count)


def few_labels(labels: Tensor, per_class: int | str, seed: int) -> Tensor:
    """Indices of the training galaxies that a run may use: all, or `per_class` of each class, by seed."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(labels), generator=generator)
    if per_class == "all":
        return order.sort().values
    kept = [order[labels[order] == label][: int(per_class)] for label in labels.unique()]
    return torch.cat(kept).sort().values


def sampled_indices(labels: Tensor, sampling: str, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Batches of one epoch, each at most `batch_size` indices; as many as galaxies fill, whatever the sampling.

    natural: every galaxy once.  balanced, sqrt: drawn with replacement, classes weighted by their count to
    the power -1 or -1/2.
    """
    count = len(labels)
    if sampling == "natural":
        order = torch.randperm(count, generator=generator)
    else:
        power = {"balanced": -1.0, "sqrt": -0.5}[sampling]
        weights = torch.bincount(labels).clamp(min=1).double().pow(power)[labels]
        order = torch.multinomial(weights, count, replacement=True, generator=generator)
    # Batches of even size: a last one of one or two galaxies would be a step on noise.
    yield from torch.tensor_split(order, math.ceil(count / batch_size))
