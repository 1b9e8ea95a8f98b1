"""Image towers of timm with weights on this machine, such as Zoobot's encoders, beside the MiniLM text tower."""

import difflib
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from galaxalign.align.embedded import minilm
from galaxalign.align.names import TIMM
from galaxalign.align.towers import Backbone, BackboneSettings, measured_symbol_size, measured_width, read_weights
from galaxalign.errors import GalaxAlignError

# Names under which trainers keep an image tower in their models.
WRAPPERS = {"encoder", "model", "module", "visual", "trunk"}


def timm_backbone(settings: BackboneSettings, *, with_text: bool, weights: bool) -> Backbone:
    """Towers of a name that begins with `TIMM`; see `build_backbone`."""
    import timm

    name = settings.name.removeprefix(TIMM)
    if not timm.is_model(name):
        close = difflib.get_close_matches(name, timm.list_models(), n=1)
        hint = f"did you mean '{TIMM}{close[0]}'?" if close else "timm.list_models() names them"
        raise GalaxAlignError(f"backbone.name is {settings.name!r}: timm has no such model; {hint}")
    try:
        visual: Any = timm.create_model(name, num_classes=0)
    except Exception as error:
        raise GalaxAlignError(f"backbone.name is {settings.name!r}: timm cannot build it ({error})") from error
    pretrained = weights and settings.pretrained != "none"
    if weights and settings.pretrained == "embedded":
        raise GalaxAlignError(
            f"backbone.pretrained is embedded, but {settings.name} is not: give the path of a checkpoint, or none"
        )
    if pretrained:
        load_tower(visual, Path(settings.pretrained), settings.name)
    if hasattr(visual, "set_input_size"):
        visual.set_input_size(img_size=settings.size)
    width = measured_width(visual, settings)
    return Backbone(
        visual=visual,
        text=minilm(width, pretrained=pretrained) if with_text else None,
        width=width,
        symbol_size=measured_symbol_size(visual, settings),
        mean=tuple(visual.pretrained_cfg["mean"]),
        std=tuple(visual.pretrained_cfg["std"]),
        aligned=False,
    )


def load_tower(tower: nn.Module, path: Path, name: str) -> None:
    """Fill timm's tower from a checkpoint of it, or of a larger model that it is a part of.

    Other parts of the larger model and the tower's classifier are left out; all else must match.

    Raises
    ------
    GalaxAlignError
        The file does not hold exactly this tower; the first weight that is wrong is named.
    """
    theirs = read_weights(path)
    own = tower.state_dict()
    inside = _inside(theirs, next(iter(own)), path, name)
    config: Any = getattr(tower, "pretrained_cfg", {})
    classifier = config.get("classifier") or ()
    heads = tuple(f"{head}." for head in ((classifier,) if isinstance(classifier, str) else classifier))
    given = {key: value for key, value in inside.items() if key in own or not key.startswith(heads or ("\0",))}
    cure = f"give a checkpoint of {name}, or correct backbone.name"
    for key, tensor in own.items():
        if key.endswith("num_batches_tracked"):
            given.setdefault(key, tensor)
        if key not in given:
            raise GalaxAlignError(f"{path} has no weight {key!r}; {cure}")
        if given[key].shape != tensor.shape:
            raise GalaxAlignError(
                f"{path}: {key} has shape {tuple(given[key].shape)}, not {tuple(tensor.shape)}; {cure}"
            )
    for key in given:
        if key not in own:
            raise GalaxAlignError(f"{path} has a weight {key!r}, which {name} has not; {cure}")
    broken = next((key for key, tensor in given.items() if not bool(tensor.isfinite().all())), None)
    if broken:
        raise GalaxAlignError(f"{path}: {broken} holds numbers that are not finite; {cure}")
    tower.load_state_dict(given)


def _inside(theirs: dict[str, Tensor], first: str, path: Path, name: str) -> dict[str, Tensor]:
    """The tensors of the part that holds the tower's first weight, by their names in it."""
    prefixes = [key.removesuffix(first) for key in theirs if key == first or key.endswith(f".{first}")]
    known = [prefix for prefix in prefixes if WRAPPERS.issuperset(prefix.split(".")[:-1])]
    if len(known) != 1:
        found = f"several weights {first!r}" if known else f"no weight {first!r}"
        raise GalaxAlignError(
            f"{path} has {found}; give a checkpoint of {name}, the tower's weights alone or under one of "
            f"{', '.join(sorted(WRAPPERS))}"
        )
    return {key.removeprefix(known[0]): value for key, value in theirs.items() if key.startswith(known[0])}
