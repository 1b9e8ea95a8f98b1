"""How far a measured number can be trusted: 95 % intervals."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Two-sided 95 % of a normal distribution.
Z = 1.959963984540054
# Drawn indices kept in memory at once.
BLOCK = 4_000_000


@dataclass(frozen=True)
class Estimate:
    """A number, its 95 % interval, and the galaxies behind it; NaN where nothing could be measured."""

    value: float
    low: float
    high: float
    n: int

    def to_dict(self) -> dict[str, float | int | None]:
        """Plain values for JSON, which has no NaN: what could not be measured is null."""
        numbers = {"value": self.value, "low": self.low, "high": self.high}
        return {**{key: None if math.isnan(x) else float(x) for key, x in numbers.items()}, "n": self.n}


def wilson(successes: int, n: int) -> Estimate:
    """A share and its score interval (Wilson 1927, JASA 22, 209); all NaN where n is 0.

    >>> estimate = wilson(8, 10)
    >>> round(estimate.low, 3), round(estimate.high, 3)
    (0.49, 0.943)
    """
    if n == 0:
        return Estimate(math.nan, math.nan, math.nan, 0)
    share = successes / n
    centre = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    # The interval always holds the share; rounding must not push it out at 0 and 1.
    return Estimate(share, max(0.0, min(centre - half, share)), min(1.0, max(centre + half, share)), n)


def bootstrap(
    statistic: Callable[[NDArray[np.int64]], NDArray[np.float64]],
    labels: NDArray[np.int64],
    *,
    resamples: int,
    seed: int,
    centre: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The 2.5th and 97.5th percentile of statistics over resampled galaxies, (M,) each.

    Galaxies are drawn with replacement within their true class: the split fixed how many each class has,
    and a rare class can thus not vanish from a resample.  A statistic that is the same for every galaxy
    (all right, all wrong) gets an interval of no width.

    Parameters
    ----------
    statistic : takes rows (B, N) of resampled galaxies, class by class; returns values (B, M).
    labels : (N,) true class of each galaxy.
    centre : (M,) what the mean of the resamples is moved to, for statistics that resampling itself changes; None moves
        nothing.
    """
    values = np.concatenate([statistic(rows) for rows in _resampled(labels, resamples, seed)])
    if centre is not None:
        values += centre - values.mean(0)
    low, high = np.percentile(values, [2.5, 97.5], axis=0)
    return low, high


def _resampled(labels: NDArray[np.int64], resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Rows (B, N) drawn with replacement within each class, in blocks of B that fit in memory."""
    generator = np.random.default_rng(seed)
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    block = max(1, BLOCK // len(labels))
    for start in range(0, resamples, block):
        count = min(block, resamples - start)
        yield np.concatenate([rows[generator.integers(len(rows), size=(count, len(rows)))] for rows in members], 1)
