"""What every backbone is made of: a tower for images, a tower for texts, and the depth of their layers."""

import logging
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from galaxalign.errors import GalaxAlignError

logger = logging.getLogger(__name__)

# Numbered parts of a network, outermost first: blocks.3., stages.0., resblocks.11., layer.5., layer4.
NUMBERED = re.compile(r"(?:^|\.)(?:blocks?|stages?|resblocks|layers?)\.?(\d+)\.")
# Sides of symbols are multiples of it, pixels, as of the strides of most convolutional towers.
STEP = 16
# Projections that some models list before their blocks.
PROJECTIONS = {"proj", "text_projection"}


@dataclass(frozen=True)
class BackboneSettings:
    """Which towers, with which weights, at which sizes of pictures; see `recipe.backbone` in the configuration."""

    name: str
    pretrained: str
    size: int
    symbol_scale: float


class TextTower(nn.Module):
    """A text tower in two parts, so that a locked trunk is passed once and its projection every step."""

    def __init__(self, trunk: nn.Module, projection: nn.Module, tokenizer: Any) -> None:
        super().__init__()
        self.trunk = trunk
        self.projection = projection
        self.tokenizer = tokenizer

    def tokens(self, texts: list[str]) -> Tensor:
        """Token ids (T, L) of texts; of those that need more than L tokens the log tells."""
        ids: Tensor = self.tokenizer(texts)
        length = ids.shape[1]
        # The last token of a text that was cut is the one that ends all texts; with room for another it is not.
        roomier = self.tokenizer(texts, context_length=length + 1)[:, :length]
        for row in (ids != roomier).any(1).nonzero()[:1]:
            _tell_of_cut(texts[int(row)], length)
        return ids

    def forward(self, tokens: Tensor) -> Tensor:
        """Embeddings (T, D), not normalised, of token ids (T, L)."""
        embeddings: Tensor = self.projection(self.trunk(tokens))
        return embeddings


@lru_cache(maxsize=1024)
def _tell_of_cut(text: str, length: int) -> None:
    """Warn, once a process, of a text whose end a tower does not read."""
    logger.warning("of the text %r the first %d tokens count, the rest is not read: shorten it", text, length)


class PooledText(nn.Module):
    """A Hugging Face text tower up to its projection: token ids (T, L) to (T, W)."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.transformer: Any = encoder.transformer
        self.pooler: Any = encoder.pooler

    def forward(self, tokens: Tensor) -> Tensor:
        """The pooled last layer; what pads the longest text too is not even passed."""
        there = tokens != self.transformer.config.pad_token_id
        length = int(there.any(0).sum())
        tokens, mask = tokens[:, :length], there[:, :length].long()
        pooled: Tensor = self.pooler(self.transformer(input_ids=tokens, attention_mask=mask), mask)
        return pooled


@dataclass(frozen=True)
class Backbone:
    """Towers ready to be fine-tuned.

    Attributes
    ----------
    visual : pictures (N, 3, H, W), normalised by `mean` and `std`, to embeddings (N, D).
    text : texts to embeddings (T, D); None where it was not asked for.
    width : D.
    symbol_size : side of the symbols that the visual tower sees, pixels.
    mean, std : of the visual tower's own preprocess, for pictures between 0 and 1.
    aligned : whether images and texts share one space before any fine-tuning.
    """

    visual: nn.Module
    text: TextTower | None
    width: int
    symbol_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    aligned: bool


def layer_depths(tower: nn.Module) -> dict[str, int]:
    """Depth of every parameter of a tower, for learning rates that fall from layer to layer.

    Depths follow the outermost numbered parts in the names of the parameters: 0 for what stands before them
    (stem, embeddings of patches, positions and tokens), 1 to n for the parts in order, n + 1 for what stands
    behind them (last norm, pooling, projection).  All are 0 in a tower without numbered parts.

    >>> from torch import nn
    >>> tower = nn.ModuleDict({"stem": nn.Linear(1, 1, bias=False), "norm": nn.LayerNorm(1, bias=False)})
    >>> layer_depths(tower)
    {'stem.weight': 0, 'norm.weight': 0}
    """
    names = [name for name, _ in tower.named_parameters()]
    parts = {name: int(found[1]) for name in names if (found := NUMBERED.search(name))}
    order = {part: depth for depth, part in enumerate(sorted(set(parts.values())), 1)}
    depths: dict[str, int] = {}
    behind = False
    for name in names:
        if name in parts:
            depths[name] = order[parts[name]]
            behind = True
        elif ("embed" in name or "token" in name) and "pool" not in name:
            depths[name] = 0
        else:
            last = behind or name.split(".")[-1] in PROJECTIONS
            depths[name] = len(order) + 1 if parts and last else 0
    return depths


def measured_width(visual: nn.Module, settings: BackboneSettings) -> int:
    """D, by a black picture of the size that the recipe asks for; the tower is left in evaluation mode.

    Raises
    ------
    GalaxAlignError
        The tower does not take pictures of that size, or does not give one embedding a picture.
    """
    size, patch = settings.size, _patch(visual)
    if size % patch:
        fitting = [str(side) for side in (size // patch * patch, -(-size // patch) * patch) if side]
        raise GalaxAlignError(
            f"backbone.size is {size}: {settings.name} takes multiples of {patch} pixels; choose {' or '.join(fitting)}"
        )
    try:
        with torch.no_grad():
            embedding = visual.eval()(torch.zeros(1, 3, size, size))
    except Exception as error:
        raise GalaxAlignError(
            f"backbone.size is {size}: {settings.name} cannot take pictures of that side "
            f"({' '.join(str(error).split())[:120]}); choose the side that it was trained with"
        ) from error
    if not isinstance(embedding, Tensor) or embedding.ndim != 2:
        raise GalaxAlignError(
            f"backbone.name is {settings.name!r}: its image tower does not give one embedding a picture; choose another"
        )
    return embedding.shape[1]


def measured_symbol_size(visual: nn.Module, settings: BackboneSettings) -> int:
    """Side of the symbols that a tower sees: `symbol_scale` of the galaxies', which have theirs measured before.

    A tower that takes pictures of one size alone sees symbols as large as galaxies.
    """
    side = max(1, round(settings.symbol_scale * settings.size / STEP)) * STEP
    if side >= settings.size:
        return settings.size
    try:
        with torch.no_grad():
            visual(torch.zeros(1, 3, side, side))
    # Towers refuse in as many ways as there are kinds.
    except Exception:
        return settings.size
    return side


def _patch(visual: nn.Module) -> int:
    """Pixels that the sides of a picture must be multiples of; 1 for towers that take any."""
    trunk = getattr(visual, "trunk", visual)
    if hasattr(visual, "attnpool"):
        # The modified ResNet pools a grid whose size it keeps from the picture's.
        return 32
    patch: Any = getattr(getattr(trunk, "patch_embed", trunk), "patch_size", 1)
    return int(patch[0] if isinstance(patch, tuple) else patch)


def check_widths(backbone: Backbone, settings: BackboneSettings) -> Backbone:
    """The backbone, whose towers embed in one space.

    Raises
    ------
    GalaxAlignError
        The towers' embeddings have different lengths.
    """
    if backbone.text is not None:
        with torch.no_grad():
            width = backbone.text.eval()(backbone.text.tokens(["a galaxy"])).shape[-1]
        if width != backbone.width:
            raise GalaxAlignError(
                f"backbone.name is {settings.name!r}: images have {backbone.width} and texts {width} numbers; "
                "choose a model whose towers share one space, or correct embed_dim in its configuration"
            )
    return backbone


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors of a checkpoint by name, out of the maps `state_dict` or `model` that trainers wrap them in.

    Raises
    ------
    GalaxAlignError
        The file is not there, or holds something else.
    """
    if not path.is_file():
        raise GalaxAlignError(f"backbone.pretrained is {str(path)!r}: there is no such file; correct the path")
    content: Any
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            content = load_file(path)
        else:
            content = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:
        raise GalaxAlignError(
            f"{path} cannot be read as weights ({type(error).__name__}); save the tensors alone: "
            "torch.save(model.state_dict(), path), or a .safetensors file"
        ) from error
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    items = content.items() if isinstance(content, dict) else ()
    tensors = {name: value for name, value in items if isinstance(value, Tensor)}
    if not tensors:
        raise GalaxAlignError(f"{path} holds no weights; name a checkpoint with a state_dict")
    return tensors
