"""Symbols are line drawings: towers that take any size are shown them smaller than galaxies."""

import numpy as np
import pytest
import torch

from galaxalign.align.backbones import build_backbone
from galaxalign.align.inference import embed_symbols
from galaxalign.align.model import TriModalModel
from tests.align.small import recipe


@pytest.mark.parametrize(
    ("name", "wanted", "size"),
    [("lite0-minilm", 32, 32), ("small-convnext", 32, 32), ("small-vit", 32, 64), ("small-convnext", 128, 64)],
)
def test_towers_of_any_size_see_small_symbols_and_others_see_them_as_large_as_galaxies(name, wanted, size):
    chosen = recipe(backbone={"name": name, "pretrained": "none", "size": 64}, symbol_size=wanted)
    torch.manual_seed(0)
    model = TriModalModel(build_backbone(chosen.backbone, with_text=False), temperature=0.07, dropout=0.0).eval()
    assert model.symbol_size(chosen) == size
    seen = []
    model.image.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[-1]))
    drawings = np.random.default_rng(0).integers(0, 256, (2, 80, 80, 3), dtype=np.uint8)
    embed_symbols(model, drawings, chosen)
    assert set(seen[-8:]) == {size}


def test_galaxies_and_smaller_symbols_pass_the_shared_tower_as_they_would_alone():
    chosen = recipe(backbone={"name": "small-convnext", "pretrained": "none", "size": 64}, symbol_size=32)
    torch.manual_seed(0)
    model = TriModalModel(build_backbone(chosen.backbone, with_text=False), temperature=0.07, dropout=0.0).eval()
    pictures, views = torch.rand(3, 3, 64, 64), torch.rand(2, 3, 32, 32)
    outputs = model(pictures, views, None)
    torch.testing.assert_close(outputs["images"], model(pictures, None, None)["images"])
    torch.testing.assert_close(outputs["symbols"], model.encode_symbols(views))
