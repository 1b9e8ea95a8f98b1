"""Batch norms with frozen statistics, folded into the convolutions before them.

With frozen statistics a batch norm is a factor and an offset for each channel, so the convolution before it
can do its work with w' = w f and b' = beta - mu f, f = gamma / sqrt(sigma^2 + epsilon): the same function and
the same gradients of w, gamma and beta, without a pass over the whole picture forwards and two backwards.
On a CPU where other work goes on these passes are more than half of a training step of a small network.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

# Largest relative change of the output that is put down to rounding.
TOLERANCE = 1e-3


class _Folded:
    """What a convolution does instead: its own work and that of the norm after it."""

    def __init__(self, convolution: nn.Conv2d, norm: _BatchNorm) -> None:
        self.convolution, self.norm = convolution, norm
        self.kept: tuple[Tensor, Tensor] | None = None

    def weights(self) -> tuple[Tensor, Tensor]:
        """w' and b'."""
        norm = self.norm
        if norm.running_var is None or norm.running_mean is None:
            raise ValueError("a batch norm without statistics cannot be folded")
        factor = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        return self.convolution.weight * factor.view(-1, 1, 1, 1), norm.bias - norm.running_mean * factor

    def __call__(self, inputs: Tensor) -> Tensor:
        from timm.layers.conv2d_same import Conv2dSame
        from timm.layers.padding import pad_same

        convolution = self.convolution
        weight, bias = self.kept or self.weights()
        if isinstance(convolution, Conv2dSame):
            inputs = pad_same(
                inputs, list(convolution.kernel_size), list(convolution.stride), list(convolution.dilation)
            )
        return F.conv2d(
            inputs,
            weight,
            bias,
            convolution.stride,
            convolution.padding,
            convolution.dilation,
            convolution.groups,
        )


class _Passed:
    """What is left to a folded norm: the activation that timm keeps inside it."""

    def __init__(self, norm: _BatchNorm) -> None:
        self.norm = norm

    def __call__(self, inputs: Tensor) -> Tensor:
        activation = getattr(self.norm, "act", None)
        result: Tensor = inputs if activation is None else activation(inputs)
        return result


def freeze_norms(tower: nn.Module, size: int) -> int:
    """Fold every batch norm of `tower` that follows a convolution; names and values of the weights stay.

    A fold that changes what the tower says of a picture of `size` pixels is taken back, so that a network
    whose parts do not run in the order they are listed keeps its norms as they are.

    Returns
    -------
    How many norms were folded.
    """
    pairs = [pair for module in tower.modules() for pair in _pairs(module)]
    if not pairs:
        return 0
    weight = next(tower.parameters())
    picture = torch.rand((1, 3, size, size), generator=torch.Generator().manual_seed(0)).to(weight)
    training = tower.training
    tower.eval()
    with torch.no_grad():
        before = tower(picture)
        for convolution, norm in pairs:
            setattr(convolution, "forward", _Folded(convolution, norm))  # noqa: B010
            setattr(norm, "forward", _Passed(norm))  # noqa: B010
        after = tower(picture)
    tower.train(training)
    if torch.allclose(before, after, rtol=TOLERANCE, atol=TOLERANCE * float(before.abs().max())):
        return len(pairs)
    unfold_norms(tower)
    return 0


def unfold_norms(tower: nn.Module) -> None:
    """Take back what `freeze_norms` folded."""
    for module in tower.modules():
        if isinstance(module.__dict__.get("forward"), _Folded | _Passed):
            del module.__dict__["forward"]


@contextmanager
def folded_once(tower: nn.Module) -> Iterator[None]:
    """Within it, the norms of a tower are folded once, whatever number of times it is passed."""
    found = [module.__dict__.get("forward") for module in tower.modules()]
    folded = [forward for forward in found if isinstance(forward, _Folded)]
    for forward in folded:
        forward.kept = forward.weights()
    try:
        yield
    finally:
        for forward in folded:
            forward.kept = None


def _pairs(module: nn.Module) -> list[tuple[nn.Conv2d, _BatchNorm]]:
    return [
        (convolution, norm)
        for convolution, norm in pairwise(module.children())
        if isinstance(convolution, nn.Conv2d)
        and isinstance(norm, _BatchNorm)
        and convolution.bias is None
        and convolution.padding_mode == "zeros"
        and norm.affine
        and norm.track_running_stats
        and norm.num_features == convolution.out_channels
    ]


def hold_norms(tower: nn.Module) -> None:
    """Keep the statistics of every batch norm as they are, also in training mode."""
    for module in tower.modules():
        if isinstance(module, _BatchNorm):
            module.eval()
