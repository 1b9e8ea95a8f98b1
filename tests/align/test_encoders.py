"""timm encoders from local checkpoints, alone or inside a larger model."""

import pytest
import torch

from galaxalign.errors import GalaxAlignError
from tests.align.towers import build


def timm_state(name, **changes):
    import timm

    torch.manual_seed(1)
    return timm.create_model(name, **changes).state_dict()


@pytest.mark.parametrize("name", ["test_convnext", "test_vit", "test_efficientnet", "test_resnet"])
@pytest.mark.parametrize("prefix", ["", "encoder.", "model.encoder.", "module.visual.trunk."])
def test_timm_towers_are_found_in_larger_models(name, prefix, tmp_path):
    state = timm_state(name, num_classes=7)
    others = {"text.embedding": torch.ones(3), "head.linear.weight": torch.ones(2, 2)} if prefix else {}
    torch.save({"state_dict": others | {f"{prefix}{key}": value for key, value in state.items()}}, tmp_path / "w.ckpt")
    tower = build(f"timm/{name}", str(tmp_path / "w.ckpt"), size=160, with_text=False).visual.state_dict()
    assert tower
    assert all(torch.equal(value, state[key]) for key, value in tower.items())


def test_timm_towers_take_other_sizes_and_safetensors(tmp_path):
    from safetensors.torch import save_file

    state = timm_state("test_vit", num_classes=0)
    save_file(state, tmp_path / "w.safetensors")
    backbone = build("timm/test_vit", str(tmp_path / "w.safetensors"), size=64)
    assert backbone.visual.pos_embed.shape != state["pos_embed"].shape
    assert torch.equal(backbone.visual.blocks[0].attn.qkv.weight, state["blocks.0.attn.qkv.weight"])
    again = build("timm/test_vit", str(tmp_path / "w.safetensors"), size=64, weights=False)
    again.visual.load_state_dict(backbone.visual.state_dict())
    again.text.load_state_dict(backbone.text.state_dict())
    tokens = backbone.text.tokens(["a galaxy"])
    with torch.no_grad():
        assert backbone.text(tokens).shape == (1, backbone.width)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state: state.pop("stages.1.blocks.0.norm.weight"), r"has no weight 'stages.1.blocks.0.norm.weight'"),
        (lambda state: state.update({"stages.9.x": torch.ones(1)}), r"has a weight 'stages.9.x', which timm/test_conv"),
        (lambda state: state.update({"stem.0.bias": torch.ones(1)}), r"stem.0.bias has shape \(1,\), not \(24,\)"),
        (lambda state: state.pop("stem.0.weight"), r"no weight 'stem.0.weight'.*encoder, model"),
        (lambda state: state.update({"encoder.stem.0.weight": torch.ones(1)}), "several weights 'stem.0.weight'"),
        (lambda state: state.clear(), "holds no weights"),
        (lambda state: state["stem.0.weight"].fill_(torch.nan), "stem.0.weight holds numbers that are not finite"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused_by_its_first_wrong_weight(change, words, tmp_path):
    state = timm_state("test_convnext", num_classes=0)
    change(state)
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(GalaxAlignError, match=words):
        build("timm/test_convnext", str(tmp_path / "w.pt"))
