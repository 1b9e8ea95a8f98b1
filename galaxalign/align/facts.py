"""What the towers of a recipe are, told by building them."""

import json
from dataclasses import asdict
from pathlib import Path

from torch import nn

from galaxalign.align.backbones import BackboneSettings, build_backbone
from galaxalign.files import whole_file


def write_facts(settings: BackboneSettings, *, with_text: bool, facts: Path) -> None:
    """Build the towers with their weights, and write to the JSON file `facts` what they are.

    Beside the settings it holds `embedding`, D; `symbol_size`, pixels; and `parameters` of the towers `image` and,
    where it was asked for, `text`.

    Raises
    ------
    GalaxAlignError
        They cannot be built, see `build_backbone`.
    """
    backbone = build_backbone(settings, with_text=with_text)
    towers = {"image": backbone.visual, **({"text": backbone.text} if backbone.text is not None else {})}
    found = {
        **asdict(settings),
        "embedding": backbone.width,
        "symbol_size": backbone.symbol_size,
        "parameters": {name: _parameters(tower) for name, tower in towers.items()},
    }
    with whole_file(facts) as aside:
        aside.write_text(json.dumps(found, indent=2) + "\n")


def _parameters(tower: nn.Module) -> int:
    return sum(weights.numel() for weights in tower.parameters())
