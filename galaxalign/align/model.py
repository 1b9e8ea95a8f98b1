"""The tri-modal model: a tower for images, one for symbols, one for texts."""

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from galaxalign.align.backbones import Backbone, TextTower

# Published bounds of a = exp(logit_scale).
LARGEST_SCALE = 100.0


class TriModalModel(nn.Module):
    """Towers f (images), h (symbols) and g (texts) of arXiv 2411.19475 with the learned scale a.

    In stage 1 symbols pass the image tower; `own_symbol_tower` begins stage 2 with a copy of it.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: Backbone, *, classes: int, temperature: float, head: bool) -> None:
        super().__init__()
        self.image = backbone.visual
        self.symbol: nn.Module | None = None
        self.text: TextTower | None = backbone.text
        self.head: nn.Linear | None = nn.Linear(backbone.width, classes) if head else None
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / temperature)))
        self.register_buffer("mean", torch.tensor(backbone.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(backbone.std).view(1, 3, 1, 1), persistent=False)

    @property
    def scale(self) -> Tensor:
        """a, clamped to [1, 100]."""
        return self.logit_scale.clamp(0.0, math.log(LARGEST_SCALE)).exp()

    def own_symbol_tower(self) -> None:
        """Give symbols a tower of their own that starts as a copy of the image tower."""
        self.symbol = copy.deepcopy(self.image)

    def features(self, pictures: Tensor) -> Tensor:
        """Embeddings (N, D) of galaxies, not normalised, from pictures (N, 3, H, W) between 0 and 1."""
        features: Tensor = self.image(((pictures - self.mean) / self.std).to(memory_format=torch.channels_last))
        return features

    def encode_symbols(self, pictures: Tensor) -> Tensor:
        """Unit-length embeddings (M, D) of symbol pictures (M, 3, H, W) between 0 and 1."""
        tower = self.symbol if self.symbol is not None else self.image
        inputs = ((pictures - self.mean) / self.std).to(memory_format=torch.channels_last)
        return F.normalize(tower(inputs), dim=-1)

    def encode_texts(self, texts: list[str]) -> Tensor:
        """Unit-length embeddings (T, D) of texts; the model must have a text tower."""
        if self.text is None:
            raise ValueError("this model was trained without texts")
        return F.normalize(self.text(self.text.tokens(texts).to(self.logit_scale.device)), dim=-1)
