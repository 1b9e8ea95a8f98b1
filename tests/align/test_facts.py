"""What the towers of a recipe are, told by building them."""

import json

import pytest
import torch

from galaxalign.align.backbones import BackboneSettings
from galaxalign.align.facts import write_facts
from galaxalign.errors import GalaxAlignError


def test_facts_are_those_of_the_towers_themselves(tmp_path):
    settings = BackboneSettings(name="timm/test_efficientnet", pretrained="none", size=64, symbol_scale=0.57)
    write_facts(settings, with_text=False, facts=tmp_path / "facts.json")
    facts = json.loads((tmp_path / "facts.json").read_text())
    import timm

    tower = timm.create_model("test_efficientnet", num_classes=0)
    assert facts["parameters"] == {"image": sum(weights.numel() for weights in tower.parameters())}
    assert facts["embedding"] == tower.num_features
    assert (facts["name"], facts["size"], facts["symbol_size"]) == ("timm/test_efficientnet", 64, 32)


def test_towers_with_texts_count_them_too(tmp_path):
    settings = BackboneSettings(name="lite0-minilm", pretrained="embedded", size=112, symbol_scale=0.57)
    write_facts(settings, with_text=True, facts=tmp_path / "facts.json")
    facts = json.loads((tmp_path / "facts.json").read_text())
    millions = {name: round(count / 1e6, 1) for name, count in facts["parameters"].items()}
    # MiniLM without its unused pooler, 22.6 million, and a new projection to 1,280 numbers.
    assert millions == {"image": 3.4, "text": 23.1}


def test_what_does_not_fit_leaves_no_facts(tmp_path):
    torch.save({"stem.weight": torch.ones(1)}, tmp_path / "w.pt")
    settings = BackboneSettings(name="timm/test_convnext", pretrained=str(tmp_path / "w.pt"), size=64, symbol_scale=1.0)
    with pytest.raises(GalaxAlignError, match=r"no weight 'stem\.0\.weight'"):
        write_facts(settings, with_text=False, facts=tmp_path / "facts.json")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["w.pt"]
