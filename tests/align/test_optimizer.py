"""Rates by layer, decay of matrices alone, and averaged weights."""

import copy

import pytest
import torch

from galaxalign.align.backbones import BackboneSettings, build_backbone
from galaxalign.align.model import TriModalModel
from galaxalign.align.optimizer import AveragedWeights, build_optimizer
from galaxalign.errors import GalaxAlignError
from tests.align.small import recipe
from tests.align.towers import build


@pytest.fixture(scope="module")
def model() -> TriModalModel:
    settings = BackboneSettings(name="lite0-minilm", pretrained="none", size=32, symbol_scale=1.0)
    return TriModalModel(build_backbone(settings, with_text=True), temperature=0.07, dropout=0.0)


def groups_of(model, chosen):
    """Learning rate and decay of each trained weight, by name."""
    optimizer = build_optimizer(model, chosen.stages["shared"], chosen)
    found = {id(weight): group for group in optimizer.param_groups for weight in group["params"]}
    return {name: found[id(weight)] for name, weight in model.named_parameters() if id(weight) in found}


def test_the_rate_falls_from_the_output_to_the_stem(model):
    groups = groups_of(model, recipe(optimizer={"layer_decay": 0.5}))
    rates = [groups[f"image.trunk.{name}.weight"]["lr"] for name in ("conv_stem", "blocks.0.0.conv_dw", "conv_head")]
    assert rates[0] == pytest.approx(0.5 * rates[1])
    assert rates[1] == pytest.approx(rates[2] * 0.5**7)
    assert rates[2] == recipe().stages["shared"].learning_rate.tower
    assert groups["text.projection.weight"]["lr"] == recipe().stages["shared"].learning_rate.new


def test_only_matrices_are_decayed_and_locked_or_unreached_weights_are_left_out(model):
    groups = groups_of(model, recipe())
    decayed = {name for name, group in groups.items() if group["weight_decay"]}
    weights = dict(model.named_parameters())
    assert decayed == {name for name in groups if weights[name].ndim >= 2}
    assert not any(name.startswith("text.trunk") for name in groups)
    images = {"image_text": 0.0, "symbol_text": 0.0, "classifier": 1.0}
    alone = groups_of(model, recipe(stages={"shared": {"weights": images}}))
    assert {name.split(".")[0] for name in alone} == {"image"}


def test_a_locked_symbol_tower_is_left_out(model):
    own = copy.deepcopy(model)
    own.symbol = copy.deepcopy(own.image)
    for lock, trained in (([], {"image", "symbol"}), (["symbol"], {"image"}), (["image"], {"symbol"})):
        groups = groups_of(own, recipe(stages={"shared": {"lock": [*lock, "text"]}}))
        assert {name.split(".")[0] for name in groups} & {"image", "symbol"} == trained


def test_a_stage_that_has_nothing_to_train_says_so(model):
    weights = {"image_text": 0.0, "symbol_text": 0.0, "classifier": 1.0}
    with pytest.raises(GalaxAlignError, match="nothing is left to train: every tower that a loss reaches is locked"):
        groups_of(model, recipe(stages={"shared": {"weights": weights, "lock": ["image"]}}))


def test_a_step_moves_each_weight_by_its_own_gradient_however_it_lies_in_memory():
    settings = BackboneSettings(name="lite0-minilm", pretrained="none", size=32, symbol_scale=1.0)
    towers = TriModalModel(build_backbone(settings, with_text=True), temperature=0.07, dropout=0.0)
    towers.to(memory_format=torch.channels_last)
    optimizer = build_optimizer(towers, recipe().stages["shared"], recipe())
    features = towers.features(torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    (features * torch.linspace(-1, 1, features.shape[1])).sum().backward()
    before = {name: weight.detach().clone() for name, weight in towers.image.named_parameters()}
    groups = {id(weight): group for group in optimizer.param_groups for weight in group["params"]}
    optimizer.step()
    for name, weight in towers.image.named_parameters():
        rate, decay = (groups[id(weight)][key] for key in ("lr", "weight_decay"))
        # The first step of AdamW (Loshchilov & Hutter 2019): both moments are the gradient's own.
        expected = before[name] * (1 - rate * decay) - rate * weight.grad / (weight.grad.abs() + 1e-8)
        torch.testing.assert_close(weight.detach(), expected, rtol=0, atol=1e-3 * rate)


def test_the_average_follows_the_weights_and_can_be_taken_back():
    layer = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(layer.weight)
    average = AveragedWeights(layer, decay=0.5)
    expected = 0.0
    for step, value in enumerate((1.0, 2.0, 3.0), 1):
        torch.nn.init.constant_(layer.weight, value)
        average.update(layer)
        expected += (1 - min(0.5, (1 + step) / (10 + step))) * (value - expected)
    average.exchange(layer)
    assert layer.weight.item() == pytest.approx(expected)
    average.exchange(layer)
    assert layer.weight.item() == 3.0


def test_a_text_tower_with_a_mask_can_be_averaged():
    towers = TriModalModel(build("small-vit"), temperature=0.07, dropout=0.0).eval()
    average = AveragedWeights(towers, 0.9)
    average.update(towers)
    average.exchange(towers)
    texts = towers.text(towers.text.tokens(["a thin streak"]))
    assert torch.isfinite(texts).all()


def test_statistics_of_norms_are_averaged_as_weights_are():
    norm = torch.nn.BatchNorm1d(1)
    average = AveragedWeights(norm, decay=0.5)
    expected = 0.0
    for step in range(1, 4):
        norm(torch.full((2, 1), float(step)))
        average.update(norm)
        expected += (1 - min(0.5, (1 + step) / (10 + step))) * (norm.running_mean.item() - expected)
    last = norm.running_mean.item()
    average.exchange(norm)
    assert norm.running_mean.item() == pytest.approx(expected)
    assert norm.num_batches_tracked.item() == 3
    average.exchange(norm)
    assert norm.running_mean.item() == last


def test_statistics_that_are_frozen_stay_as_they_are():
    norm = torch.nn.BatchNorm1d(1)
    norm.running_mean.fill_(0.1)
    average = AveragedWeights(norm.eval(), decay=0.998)
    for _ in range(20):
        average.update(norm)
    average.exchange(norm)
    assert torch.equal(norm.running_mean, torch.full((1,), 0.1))
