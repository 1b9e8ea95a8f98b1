"""Towers of open_clip's models: by name and tag from a model hub, or from a checkpoint on this machine."""

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from galaxalign.align.towers import (
    Backbone,
    BackboneSettings,
    TextTower,
    check_widths,
    measured_symbol_size,
    measured_width,
)
from galaxalign.errors import GalaxAlignError, nearest

# Seconds that the model hub has to answer before it counts as out of reach.
PATIENCE = 5.0


class ClipText(nn.Module):
    """The text side of an open_clip model as one trunk: token ids (T, L) to (T, D)."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        # Kept in the state, but no parameters: no loss here reaches them.
        for name in ("logit_scale", "logit_bias"):
            value = getattr(model, name, None)
            if value is not None:
                delattr(model, name)
                model.register_buffer(name, value.detach())
        self.model: Any = model

    def forward(self, tokens: Tensor) -> Tensor:
        """Embeddings, not normalised."""
        embeddings: Tensor = self.model.encode_text(tokens)
        return embeddings


def clip_backbone(settings: BackboneSettings, *, with_text: bool, weights: bool) -> Backbone:
    """Towers of an open_clip model; see `build_backbone`."""
    import open_clip

    name, source = settings.name, settings.pretrained
    tags = open_clip.list_pretrained_tags_by_model(name)
    if weights and source == "embedded":
        raise GalaxAlignError(
            f"backbone.pretrained is embedded, but {name} is not: it takes none, the path of a checkpoint, "
            f"or a tag: {', '.join(tags) or 'there is none'}"
        )
    if weights and source not in {"none", *tags} and not Path(source).is_file():
        raise GalaxAlignError(
            f"backbone.pretrained is {source!r}: no such file, and no such tag of {name}; "
            f"{nearest(source, [*tags, 'none'])}"
        )
    load = weights and source != "none"
    preprocess = preprocess_of(name, source)
    text_settings = open_clip.get_model_config(name)["text_cfg"]
    if (load and source in tags) or any(key.startswith("hf_") for key in text_settings):
        _look_for_hub()
    tokenizer = _tokenizer(name) if with_text else None
    try:
        with _quiet():
            model: Any = open_clip.create_model(
                name,
                pretrained=source if load else None,
                force_quick_gelu=preprocess["quick_gelu"],
                force_image_size=settings.size,
                pretrained_text=False,
                weights_only=True,
            )
    except Exception as error:
        raise GalaxAlignError(
            f"backbone {name} with weights {source!r} cannot be loaded ({type(error).__name__}: {_brief(error)}); "
            "give the path of a local checkpoint of this very model, and the backbone.size that it was trained with"
            + (", or run it once where the model hub can be reached" if source in tags else "")
        ) from error
    visual = model.visual
    text = None
    if with_text:
        # The model keeps its text side only; the visual tower is held once, by its own name.
        model.visual = nn.Identity()
        text = TextTower(ClipText(model), nn.Identity(), tokenizer)
    backbone = Backbone(
        visual=visual,
        text=text,
        width=measured_width(visual, settings),
        symbol_size=measured_symbol_size(visual, settings),
        mean=preprocess["mean"],
        std=preprocess["std"],
        aligned=load,
    )
    return check_widths(backbone, settings)


def preprocess_of(name: str, source: str) -> dict[str, Any]:
    """Mean, standard deviation and activation that the weights were trained with, whether they are loaded or not.

    A tag has its own.  A checkpoint on this machine or random weights take the mean and standard deviation
    that most of the model's tags have; open_clip itself would give SigLIP's towers those of CLIP.
    """
    import open_clip

    tags = open_clip.list_pretrained_tags_by_model(name)
    default = {"mean": open_clip.OPENAI_DATASET_MEAN, "std": open_clip.OPENAI_DATASET_STD}
    known = {tag: default | (open_clip.get_pretrained_cfg(name, tag) or {}) for tag in tags}
    pairs = Counter((tuple(entry["mean"]), tuple(entry["std"])) for entry in known.values())
    if source in known:
        mean, std = tuple(known[source]["mean"]), tuple(known[source]["std"])
    else:
        mean, std = pairs.most_common(1)[0][0] if pairs else (tuple(default["mean"]), tuple(default["std"]))
    return {"mean": mean, "std": std, "quick_gelu": bool(known.get(source, {}).get("quick_gelu"))}


def _look_for_hub() -> None:
    """Tell the hub's client to use what is on this machine where the hub does not answer.

    It would try for most of a minute for every file; files that were fetched before are found either way.
    """
    from huggingface_hub import constants, get_session

    if constants.HF_HUB_OFFLINE:
        return
    try:
        get_session().head(constants.ENDPOINT, timeout=PATIENCE)
    except Exception:
        logging.getLogger(__name__).info("%s does not answer: only files on this machine are used", constants.ENDPOINT)
        constants.HF_HUB_OFFLINE = True


def _tokenizer(name: str) -> Any:
    import open_clip

    try:
        return open_clip.get_tokenizer(name)
    except Exception as error:
        raise GalaxAlignError(
            f"the tokenizer of {name} comes from a model hub and is not on this machine: run it once where the hub can "
            "be reached, train on images alone, or choose a model with a tokenizer of its own, such as ViT-B-16"
        ) from error


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep open_clip's warning of random weights out of the logs: a checkpoint is to fill them."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)
