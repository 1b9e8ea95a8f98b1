"""How well classes were told apart: arrays in, numbers out.

Every function after `confusion` takes matrices (..., C, C) whose rows are true classes and whose columns
are predicted ones, and works on each matrix of a stack alone, so that resampled matrices cost one call.

A class that no judged galaxy belongs to has no F1 (NaN) and no part in a mean over classes; galaxies
wrongly put into it still count against the classes that they belong to.
"""

import numpy as np
from numpy.typing import NDArray


def confusion(truth: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Counts (..., C, C) of galaxies by true and predicted class, of labels (..., N).

    >>> confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    truth, predicted = np.broadcast_arrays(truth, predicted)
    stack = truth.shape[:-1]
    matrices = int(np.prod(stack))
    cells = classes * classes
    cell = (truth * classes + predicted).reshape(matrices, -1) + np.arange(matrices)[:, None] * cells
    return np.bincount(cell.ravel(), minlength=matrices * cells).reshape(*stack, classes, classes)


def accuracy(matrix: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share (...) of galaxies on the diagonal."""
    right: NDArray[np.float64] = np.trace(matrix, axis1=-2, axis2=-1) / matrix.sum((-2, -1))
    return right


def f1(matrix: NDArray[np.int64]) -> NDArray[np.float64]:
    """F1 (..., C) = 2 TP / (2 TP + FP + FN) of each class; NaN where a class is absent from the truth."""
    right = np.diagonal(matrix, axis1=-2, axis2=-1)
    true, predicted = matrix.sum(-1), matrix.sum(-2)
    score = np.full(true.shape, np.nan)
    np.divide(2 * right, true + predicted, out=score, where=true > 0)
    return score


def macro_f1(matrix: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean F1 (...) over the classes that occur in the truth."""
    present = matrix.sum(-1) > 0
    return np.asarray(np.where(present, f1(matrix), 0.0).sum(-1) / present.sum(-1))


def expected_calibration_error(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer], bins: int = 15
) -> float:
    """Mean distance between how sure a classifier is and how often it is right.

    Galaxies are sorted into bins of equal width by the probability of their most probable class; each bin's
    distance between mean probability and share of right answers is weighted by its galaxies (Guo et al. 2017,
    arXiv 1706.04599).

    Parameters
    ----------
    probabilities
        (N, C), rows sum to 1.
    labels
        (N,) classes, 0 to C - 1.
    bins
        Their number.

    Returns
    -------
    0 (calibrated) to 1; not a number without galaxies.
    """
    if len(probabilities) == 0:
        return float("nan")
    sure = np.asarray(probabilities, dtype=np.float64).max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    # A bin has its upper edge, as in the source.
    number = np.clip(np.ceil(sure * bins).astype(np.int64) - 1, 0, bins - 1)
    gaps = np.bincount(number, weights=sure - right, minlength=bins)
    return float(np.abs(gaps).sum() / len(sure))
