"""Folded batch norms are the same function with the same gradients."""

import copy
from contextlib import nullcontext

import pytest
import torch
from torch import nn

from galaxalign.align.backbones import declare_torchvision
from galaxalign.align.norms import folded_once, freeze_norms, hold_norms, unfold_norms

declare_torchvision()


class PreActivation(nn.Module):
    """A norm that runs before the convolution that is listed before it."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 3, 3, bias=False)
        self.norm = nn.BatchNorm2d(3)

    def forward(self, pictures):
        return self.convolution(self.norm(pictures)).mean((2, 3))


def used(tower: nn.Module) -> nn.Module:
    """The tower with statistics as after training."""
    generator = torch.Generator().manual_seed(0)
    for module in tower.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
            with torch.no_grad():
                module.weight.uniform_(0.5, 1.5, generator=generator)
                module.bias.normal_(0, 0.2, generator=generator)
    return tower


@pytest.mark.parametrize(("name", "norms"), [("tf_efficientnet_lite0", 49), ("resnet10t", 13), ("mobilenetv2_050", 52)])
def test_a_folded_tower_says_and_learns_the_same(name, norms):
    import timm

    torch.manual_seed(0)
    # In double precision, so that no activation is cut off on one side of rounding alone.
    plain = used(timm.create_model(name, num_classes=0)).double()
    folded = copy.deepcopy(plain)
    assert freeze_norms(folded, 64) == norms
    # As stage 2 does with its symbol tower.
    folded = copy.deepcopy(folded)
    pictures = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(1)).double()
    for tower in (plain, folded):
        tower.train()
        hold_norms(tower)
        tower(pictures).square().mean().backward()
    assert list(plain.state_dict()) == list(folded.state_dict())
    assert torch.allclose(plain(pictures), folded(pictures), rtol=1e-9)
    for (name, first), (_, second) in zip(plain.named_parameters(), folded.named_parameters(), strict=True):
        assert torch.allclose(first.grad, second.grad, rtol=1e-6, atol=1e-9 * float(first.grad.abs().max())), name


def test_norms_folded_once_for_two_passes_teach_the_same():
    import timm

    torch.manual_seed(0)
    tower = used(timm.create_model("tf_efficientnet_lite0", num_classes=0)).double().eval()
    freeze_norms(tower, 64)
    large, small = torch.rand(3, 3, 64, 64).double(), torch.rand(2, 3, 32, 32).double()
    found = []
    for once in (nullcontext(), folded_once(tower)):
        tower.zero_grad()
        with once:
            passed = torch.cat([tower(large), tower(small)])
        passed.square().mean().backward()
        found.append([passed.detach(), *(weight.grad.clone() for weight in tower.parameters())])
    for twice, shared in zip(*found, strict=True):
        torch.testing.assert_close(shared, twice)


def test_what_is_folded_once_is_kept_for_a_step_and_no_longer():
    import timm

    tower = used(timm.create_model("tf_efficientnet_lite0", num_classes=0)).eval()
    freeze_norms(tower, 32)
    pictures = torch.rand(1, 3, 32, 32)
    with torch.no_grad(), folded_once(tower):
        before = tower(pictures)
        for weight in tower.parameters():
            weight.mul_(1.1)
        assert torch.equal(tower(pictures), before)
    with torch.no_grad():
        assert not torch.allclose(tower(pictures), before)


def test_a_norm_that_runs_elsewhere_is_left_alone():
    tower = used(PreActivation())
    pictures = torch.rand(2, 3, 16, 16)
    tower.eval()
    before = tower(pictures)
    assert freeze_norms(tower, 16) == 0
    assert torch.equal(tower(pictures), before)


def test_unfolded_norms_follow_the_batches_again():
    tower = used(nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Flatten())).train()
    plain = copy.deepcopy(tower)
    assert freeze_norms(tower, 16) == 1
    unfold_norms(tower)
    pictures = torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    assert torch.equal(tower(pictures), plain(pictures))
    assert torch.equal(tower[1].running_mean, plain[1].running_mean)
