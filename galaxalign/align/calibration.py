"""Probabilities that mean what they say: temperature scaling.

Source: Guo et al. 2017, arXiv 1706.04599.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import softmax

# Bounds of the temperature.
LOWEST, HIGHEST = 0.05, 20.0


def fit_temperature(scores: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """The temperature T > 0 for which softmax(scores / T) gives the labels the highest likelihood.

    The mean negative log-likelihood is convex in 1 / T, so that its slope, the mean over galaxies of the
    expected score less the score of the label, has at most one zero.

    Parameters
    ----------
    scores
        (N, C) of galaxies that were not trained on, before the softmax.
    labels
        (N,) their classes, 0 to C - 1.

    Returns
    -------
    Between 0.05 and 20.  1, the scores as they are, where nothing bounds the temperature: without galaxies, or
    where no galaxy has a higher score for another class than for its own, so that the likelihood grows for ever
    as T falls.

    Raises
    ------
    ValueError
        A score is not finite.
    """
    values = np.asarray(scores, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("scores must be finite")
    rows = np.arange(len(values))
    own = values[rows, labels]
    if not (values > own[:, None]).any():
        return 1.0

    def slope(inverse: float) -> float:
        expected = (softmax(inverse * values, axis=1) * values).sum(axis=1)
        return float((expected - own).mean())

    coldest, hottest = 1 / LOWEST, 1 / HIGHEST
    if slope(hottest) >= 0:
        return HIGHEST
    if slope(coldest) <= 0:
        return LOWEST
    return 1 / float(brentq(slope, hottest, coldest, xtol=1e-10))
