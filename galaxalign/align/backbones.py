"""Pre-trained image and text towers, by the name in a recipe.

Three kinds: towers whose weights come as Python packages (`lite0-minilm` ...), any open_clip model, and any
image tower of timm with weights on this machine (`timm/NAME`).
"""

import importlib
import re
import sys

import torch

from galaxalign.align.clip import clip_backbone
from galaxalign.align.embedded import embedded_backbone
from galaxalign.align.encoders import timm_backbone
from galaxalign.align.names import IMAGE_TOWERS, TIMM
from galaxalign.align.towers import Backbone, BackboneSettings, TextTower, layer_depths
from galaxalign.errors import GalaxAlignError, nearest

__all__ = ["Backbone", "BackboneSettings", "TextTower", "build_backbone", "declare_torchvision", "layer_depths"]

# Schemas of torchvision's native operators that were declared here; they live as long as these objects.
_declared: list[torch.library.Library] = []


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
        The name, the tag or the weights file is not known or not at hand, does not fit, or the towers do not
        take pictures of that size.
    """
    declare_torchvision()
    import open_clip

    _silence()
    if settings.name in IMAGE_TOWERS:
        return embedded_backbone(settings, with_text=with_text, weights=weights)
    if settings.name.startswith(TIMM):
        return timm_backbone(settings, with_text=with_text, weights=weights)
    models = open_clip.list_models()
    if settings.name in models:
        return clip_backbone(settings, with_text=with_text, weights=weights)
    raise GalaxAlignError(f"backbone.name is {settings.name!r}: {nearest(settings.name, [*IMAGE_TOWERS, *models])}")


def _silence() -> None:
    """Keep transformers' loading bars and reports of unused weights out of the logs."""
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
