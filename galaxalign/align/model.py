"""The tri-modal model: a tower for images, one for symbols, one for texts."""

import copy
import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from galaxalign.align.backbones import Backbone, TextTower
from galaxalign.align.norms import folded_once, freeze_norms, unfold_norms

# Published bounds of a = exp(logit_scale).
LARGEST_SCALE = 100.0


class Head(nn.Module):
    """A linear classifier (D -> C) of embeddings, of unit length where it was fitted to them."""

    def __init__(self, width: int, classes: int, *, unit: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(width, classes)
        self.unit = unit

    @classmethod
    def of(cls, weights: NDArray[np.float64], bias: NDArray[np.float64]) -> "Head":
        """The head that gives unit-length embeddings u the logits W u + b, of W (C, D) and b (C,)."""
        head = cls(weights.shape[1], len(weights), unit=True)
        with torch.no_grad():
            head.linear.weight.copy_(torch.from_numpy(weights))
            head.linear.bias.copy_(torch.from_numpy(bias))
        return head

    def forward(self, features: Tensor) -> Tensor:
        """Logits (N, C) of embeddings (N, D), not normalised."""
        logits: Tensor = self.linear(F.normalize(features, dim=-1) if self.unit else features)
        return logits


class TriModalModel(nn.Module):
    """Towers f (images), h (symbols) and g (texts) of arXiv 2411.19475 with the learned scale a.

    In stage 1 symbols pass the image tower; `own_symbol_tower` begins stage 2 with a copy of it.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: Backbone, *, temperature: float, dropout: float) -> None:
        super().__init__()
        self.image = backbone.visual
        self.symbol: nn.Module | None = None
        self.text: TextTower | None = backbone.text
        self.head: Head | None = None
        self.width, self.symbol_size = backbone.width, backbone.symbol_size
        self.dropout = nn.Dropout(dropout)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / temperature)))
        self.register_buffer("mean", torch.tensor(backbone.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(backbone.std).view(1, 3, 1, 1), persistent=False)

    @property
    def scale(self) -> Tensor:
        """a, clamped to [1, 100]."""
        return self.logit_scale.clamp(0.0, math.log(LARGEST_SCALE)).exp()

    def bound_scale(self) -> None:
        """Bring a learned scale back into its bounds, beyond which it would have no gradient to return by."""
        with torch.no_grad():
            self.logit_scale.clamp_(0.0, math.log(LARGEST_SCALE))

    def own_symbol_tower(self) -> None:
        """Give symbols a tower of their own that starts as a copy of the image tower."""
        self.symbol = copy.deepcopy(self.image)

    def freeze_norms(self, size: int) -> None:
        """Fold the frozen batch norms of the towers that see pictures of `size` pixels."""
        for tower in (self.image, self.symbol):
            if tower is not None:
                freeze_norms(tower, size)

    def free_norms(self) -> None:
        """Take back what `freeze_norms` folded, so that statistics follow the batches."""
        for tower in (self.image, self.symbol):
            if tower is not None:
                unfold_norms(tower)

    def forward(
        self, pictures: Tensor, views: Tensor | None, texts: Tensor | None, text_seed: int = 0
    ) -> dict[str, Tensor]:
        """One pass of everything that a training step embeds.

        Parameters
        ----------
        pictures : galaxies (N, 3, H, W) between 0 and 1.
        views : symbols (M, 3, h, w), likewise; None where no loss needs them.
        texts : what the text trunk gave (T, F) where it is locked, else token ids (T, L); None likewise.
        text_seed : of the dropout of the text tower.

        Returns
        -------
        By name: images (N, D), symbols (M, D) and texts (T, D) of unit length, scale (), logits (N, C) of the head.
        """
        if views is not None and self.symbol is None and views.shape[1:] == pictures.shape[1:]:
            # One pass for all pictures of the shared tower.
            features, drawn = self.features(torch.cat([pictures, views])).split([len(pictures), len(views)])
        elif views is not None and self.symbol is None:
            with folded_once(self.image):
                features, drawn = self.features(pictures), self.features(views)
        else:
            features = self.features(pictures)
            drawn = self.features(views, self.symbol) if views is not None else None
        features = self.dropout(features)
        outputs = {"images": F.normalize(features.float(), dim=-1), "scale": self.scale}
        if drawn is not None:
            outputs["symbols"] = F.normalize(drawn.float(), dim=-1)
        if texts is not None and self.text is not None:
            if texts.dtype == torch.long:
                torch.manual_seed(text_seed)
                embedded = self.text(texts)
            else:
                embedded = self.text.projection(texts)
            outputs["texts"] = F.normalize(embedded.float(), dim=-1)
        if self.head is not None:
            outputs["logits"] = self.head(features.float())
        return outputs

    def features(self, pictures: Tensor, tower: nn.Module | None = None) -> Tensor:
        """Embeddings (N, D), not normalised, of pictures (N, 3, H, W) between 0 and 1 by the image tower or another."""
        inputs = ((pictures - self.mean) / self.std).to(memory_format=torch.channels_last)
        features: Tensor = (self.image if tower is None else tower)(inputs)
        return features

    def encode_symbols(self, pictures: Tensor) -> Tensor:
        """Unit-length embeddings (M, D) of symbol pictures (M, 3, H, W) between 0 and 1."""
        return F.normalize(self.features(pictures, self.symbol), dim=-1)

    def encode_texts(self, texts: list[str]) -> Tensor:
        """Unit-length embeddings (T, D) of texts; the model must have a text tower."""
        if self.text is None:
            raise ValueError("this model was trained without texts")
        return F.normalize(self.text(self.text.tokens(texts).to(self.logit_scale.device)), dim=-1)
