"""The linear probe: how well a straight cut through the embeddings separates the classes."""

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from galaxalign.errors import GalaxAlignError
from galaxalign.evaluate.metrics import confusion, macro_f1

logger = logging.getLogger(__name__)

# Enough for the weakest regularisation on a few hundred dimensions.
LARGEST_ITERATIONS = 5000
# Training galaxies at most, drawn at random; each takes 25 kB as the probe is fitted.
MOST_FITTED = 50_000


def probe(
    embedding: NDArray[np.float32],
    label: NDArray[np.int64],
    *,
    train: NDArray[np.int64],
    validation: NDArray[np.int64],
    strengths: Sequence[float],
    classes: int,
) -> NDArray[np.int64]:
    """The class (N,) that a linear probe gives to every galaxy.

    Logistic regression on standardised embeddings, classes weighted by the inverse of their number, fitted
    to training galaxies alone, `MOST_FITTED` at most.  Of the inverse regularisation strengths the one with the
    highest validation macro-F1 is kept, the smallest of equals.

    Parameters
    ----------
    embedding, label : (N, D) and (N,); labels are read at `train` and `validation` only.
    train, validation : rows of the labelled galaxies of each split.

    Raises
    ------
    GalaxAlignError
        Fewer than two classes to train on, or several strengths and no galaxy to choose by.
    """
    if len(train) > MOST_FITTED:
        train = np.sort(np.random.default_rng(0).permutation(train)[:MOST_FITTED])
    if len(np.unique(label[train])) < 2:
        raise GalaxAlignError(
            "the linear probe has fewer than two classes of training galaxies: raise the run's labels_per_class, or "
            "data.split.fractions.train"
        )
    if len(strengths) == 1:
        best = strengths[0]
    elif len(validation) == 0:
        raise GalaxAlignError(
            "the linear probe has no validation galaxies to choose among evaluate.probe: "
            "raise data.split.fractions.validation or give one strength"
        )
    else:
        scores = {}
        for strength in sorted(strengths):
            predicted = _fit(embedding[train], label[train], strength).predict(embedding[validation])
            scores[strength] = float(macro_f1(confusion(label[validation], predicted, classes)))
        best = max(scores, key=lambda strength: scores[strength])
        logger.info("linear probe: validation macro-F1 by strength %s, kept %g", scores, best)
    predicted = _fit(embedding[train], label[train], best).predict(embedding)
    return np.asarray(predicted, dtype=np.int64)


def _fit(embedding: NDArray[np.float32], label: NDArray[np.int64], strength: float) -> Pipeline:
    regression = LogisticRegression(C=strength, class_weight="balanced", max_iter=LARGEST_ITERATIONS)
    return make_pipeline(StandardScaler(), regression).fit(embedding.astype(np.float64), label)
