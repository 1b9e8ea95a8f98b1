"""Weights between those before and those after fine-tuning.

Fine-tuning gains on its own galaxies and loses some of what the pre-training knew; a mean of both sets of
weights often keeps most of either.  Source: Wortsman et al. 2022, arXiv 2109.01903 (WiSE-FT).
"""

from collections.abc import Mapping

import torch
from torch import Tensor


def interpolated(start: Mapping[str, Tensor], end: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """(1 - share) start + share end, weight by weight.

    Parameters
    ----------
    start, end
        States of the same network before and after fine-tuning.
    share
        Of the way from `start` to `end`: 0 gives the floating-point values of `start`, 1 those of `end`, both exactly.

    Returns
    -------
    The names of `end`, on its devices and with its types.  Values that are not floating-point (counters) and
    names that only `end` has (new heads, projections) are those of `end`; the statistics of batch norms are
    interpolated as weights are.

    Raises
    ------
    ValueError
        `share` is not between 0 and 1, or a name has another shape in `start`.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share is {share}: it must lie between 0 and 1")
    mixed: dict[str, Tensor] = {}
    for name, after in end.items():
        if name not in start or not after.is_floating_point():
            mixed[name] = after.clone()
            continue
        before = start[name].to(after)
        if before.shape != after.shape:
            raise ValueError(
                f"{name} has shape {tuple(before.shape)} before and {tuple(after.shape)} after fine-tuning"
            )
        mixed[name] = torch.lerp(before, after, share)
    return mixed
