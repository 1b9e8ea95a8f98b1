import copy

import pytest
import torch
from torch import nn

from galaxalign.align.interpolation import interpolated


def network(seed):
    torch.manual_seed(seed)
    built = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2))
    built(torch.rand(5, 3, 4, 4))
    return built


@pytest.mark.parametrize(("share", "seed"), [(0.0, 0), (1.0, 1)])
def test_the_ends_are_reached_exactly(share, seed):
    built = copy.deepcopy(network(2))
    built.load_state_dict(interpolated(network(0).state_dict(), network(1).state_dict(), share))
    picture = torch.rand(2, 3, 4, 4)
    assert torch.equal(built.eval()(picture), network(seed).eval()(picture))


def test_weights_and_statistics_lie_between_and_counters_are_the_later_ones():
    start, end = network(0).state_dict(), network(1).state_dict()
    end["1.num_batches_tracked"] += 7
    mixed = interpolated(start, end, 0.25)
    for name in ("0.weight", "1.running_var", "3.bias"):
        assert torch.allclose(mixed[name], 0.75 * start[name] + 0.25 * end[name])
    assert mixed["1.num_batches_tracked"] == 8
    assert mixed["0.weight"].data_ptr() != end["0.weight"].data_ptr()


def test_new_parts_are_kept_and_old_ones_left_out():
    start, end = {"old": torch.ones(2), "both": torch.zeros(2)}, {"new": torch.ones(3), "both": torch.ones(2)}
    mixed = interpolated(start, end, 0.5)
    assert list(mixed) == ["new", "both"]
    assert torch.equal(mixed["new"], torch.ones(3))
    assert torch.equal(mixed["both"], torch.full((2,), 0.5))


def test_types_are_those_of_the_later_weights():
    mixed = interpolated({"w": torch.zeros(2)}, {"w": torch.ones(2, dtype=torch.bfloat16)}, 0.5)
    assert mixed["w"].dtype == torch.bfloat16


def test_what_cannot_be_interpolated_is_named():
    with pytest.raises(ValueError, match=r"w has shape \(2,\) before and \(3,\) after"):
        interpolated({"w": torch.zeros(2)}, {"w": torch.ones(3)}, 0.5)
    with pytest.raises(ValueError, match="between 0 and 1"):
        interpolated({}, {}, 1.5)
