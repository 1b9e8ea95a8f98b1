"""Everything that is measured of one run."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from galaxalign.errors import GalaxAlignError
from galaxalign.evaluate.embeddings import Embeddings, read_embeddings
from galaxalign.evaluate.intervals import Estimate, bootstrap, wilson
from galaxalign.evaluate.metrics import confusion, expected_calibration_error, macro_f1
from galaxalign.evaluate.probe import probe
from galaxalign.evaluate.prototypes import (
    class_scores_by_answers,
    fused_scores,
    symbol_scores,
    text_prototypes,
    text_scores,
)
from galaxalign.evaluate.retrieval import retrieve_by_galaxy, retrieve_by_prompt

logger = logging.getLogger(__name__)

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class EvaluationSettings:
    """The section `evaluate` of the configuration, where each setting is explained."""

    split: str
    top_k: Sequence[int]
    bootstrap: int
    seed: int
    probe: Sequence[float]


def evaluate_run(path: Path, settings: EvaluationSettings) -> dict[str, Any]:
    """Measure one run on the good, labelled galaxies of one split.

    Parameters
    ----------
    path : the run's embeddings.
    settings : what to judge by.

    Returns
    -------
    Plain values for JSON: dataset, run, split, classes, names, classifier (the recipe's choice), counts of galaxies
    by split and class, calibration (temperature of the classifier's scores and the expected calibration error
    before and after it; None for a probe), classification by method (text, symbol and fused where the run aligned
    them, head where it has one, probe where it was given labels), retrieval by galaxy, symbol and text. Each number
    is a map of value, low, high and n: accuracy and recall with Wilson intervals, the others with bootstrap
    intervals.

    Raises
    ------
    GalaxAlignError
        No galaxy to judge.
    """
    embeddings = read_embeddings(path)
    galaxies, classes = embeddings.galaxies, len(embeddings.classes)
    judged = galaxies.rows(settings.split)
    if len(judged) == 0:
        raise GalaxAlignError(
            f"{path} has no labelled galaxies in the split {settings.split!r}: "
            f"change evaluate.split or raise data.split.fractions.{settings.split}"
        )
    truth = galaxies.label[judged]
    classification = {
        method: _classification(truth, predicted[judged], embeddings.classes, settings)
        for method, predicted in _predictions(embeddings, settings).items()
    }
    for method, measured in classification.items():
        logger.info(
            "%s by %s: accuracy %.3f, macro-F1 %.3f",
            embeddings.run,
            method,
            measured["accuracy"]["value"],
            measured["macro_f1"]["value"],
        )
    counts = {split: np.bincount(galaxies.label[galaxies.rows(split)], minlength=classes) for split in SPLITS}
    return {
        "dataset": embeddings.dataset,
        "run": embeddings.run,
        "split": settings.split,
        "classes": embeddings.classes,
        "names": embeddings.names,
        "counts": {
            split: dict(zip(embeddings.classes, map(int, numbers), strict=True)) for split, numbers in counts.items()
        },
        "classifier": embeddings.classifier,
        "calibration": _calibration(embeddings, judged),
        "classification": classification,
        "retrieval": _retrieval(embeddings, judged, settings),
    }


def write_metrics(*, embeddings: Path, settings: EvaluationSettings, metrics: Path) -> None:
    """Write `evaluate_run` of one run's embeddings as JSON."""
    metrics.write_text(json.dumps(evaluate_run(embeddings, settings), indent=1) + "\n")


def class_scores(embeddings: Embeddings) -> dict[str, NDArray[np.float64]]:
    """Logits (N, C) of every galaxy by each method that needs no further training."""
    galaxies, texts, symbols = embeddings.galaxies, embeddings.texts, embeddings.symbols
    classes, scale = len(embeddings.classes), embeddings.scale
    by_text, by_symbol = "text" in embeddings.trained and texts is not None, "symbol" in embeddings.trained
    scores: dict[str, NDArray[np.float64]] = {}
    if embeddings.answers is not None:
        answers = embeddings.answers
        scores |= class_scores_by_answers(
            galaxies.embedding,
            texts=answers.texts if by_text else None,
            text_answers=answers.text_answers,
            symbols=answers.symbols if by_symbol else None,
            shown=answers.shown,
            questions=answers.questions,
            paths=answers.paths,
            scale=scale,
            fusion=embeddings.fusion,
        )
    else:
        if by_text and texts is not None:
            prototypes = text_prototypes(texts.embedding, texts.label, classes)
            scores["text"] = text_scores(galaxies.embedding, prototypes, scale)
        if by_symbol:
            scores["symbol"] = symbol_scores(
                galaxies.embedding, symbols.embedding, symbols.label, classes=classes, scale=scale
            )
        if len(scores) == 2:
            scores["fused"] = fused_scores(scores["text"], scores["symbol"], embeddings.fusion)
    if galaxies.logits is not None:
        scores["head"] = galaxies.logits.astype(np.float64)
    return scores


def _predictions(embeddings: Embeddings, settings: EvaluationSettings) -> dict[str, NDArray[np.int64]]:
    """The class (N,) that each method gives to every galaxy; no probe for a run that was given no label."""
    predicted = {method: scores.argmax(1) for method, scores in class_scores(embeddings).items()}
    if embeddings.classifier == "probe" or embeddings.galaxies.used.any():
        try:
            predicted["probe"] = _probe(embeddings, settings)
        except GalaxAlignError as error:
            if embeddings.classifier == "probe":
                raise
            logger.warning("%s is judged without a linear probe beside it: %s", embeddings.run, error)
    return predicted


def own_prediction(embeddings: Embeddings, settings: EvaluationSettings) -> NDArray[np.int64]:
    """The class (N,) that the run's own classifier gives to every galaxy."""
    if embeddings.classifier == "probe":
        return _probe(embeddings, settings)
    best: NDArray[np.int64] = class_scores(embeddings)[embeddings.classifier].argmax(1)
    return best


def _probe(embeddings: Embeddings, settings: EvaluationSettings) -> NDArray[np.int64]:
    galaxies = embeddings.galaxies
    train = galaxies.rows("train")
    return probe(
        galaxies.embedding,
        galaxies.label,
        train=train[galaxies.used[train]],
        validation=galaxies.rows("validation"),
        strengths=settings.probe,
        classes=len(embeddings.classes),
    )


def _calibration(embeddings: Embeddings, judged: NDArray[np.int64]) -> dict[str, float] | None:
    scores = class_scores(embeddings).get(embeddings.classifier)
    if scores is None:
        return None
    scores, truth = scores[judged], embeddings.galaxies.label[judged]
    return {
        "temperature": embeddings.calibration,
        "error_before": expected_calibration_error(softmax(scores, axis=1), truth),
        "error": expected_calibration_error(softmax(scores / embeddings.calibration, axis=1), truth),
    }


def _classification(
    truth: NDArray[np.int64], predicted: NDArray[np.int64], classes: list[str], settings: EvaluationSettings
) -> dict[str, Any]:
    matrix = confusion(truth, predicted, len(classes))

    def resampled(rows: NDArray[np.int64]) -> NDArray[np.float64]:
        return macro_f1(confusion(truth[rows], predicted[rows], len(classes)))[:, None]

    low, high = bootstrap(resampled, truth, resamples=settings.bootstrap, seed=settings.seed)
    found, present = np.diagonal(matrix), matrix.sum(1)
    return {
        "accuracy": wilson(int(found.sum()), len(truth)).to_dict(),
        "macro_f1": Estimate(float(macro_f1(matrix)), float(low[0]), float(high[0]), len(truth)).to_dict(),
        "recall": {
            name: wilson(int(right), int(n)).to_dict() for name, right, n in zip(classes, found, present, strict=True)
        },
        "confusion": matrix.tolist(),
    }


def _retrieval(
    embeddings: Embeddings, judged: NDArray[np.int64], settings: EvaluationSettings
) -> dict[str, dict[str, dict[str, float | int | None]]]:
    galaxies, texts, symbols = embeddings.galaxies, embeddings.texts, embeddings.symbols
    gallery, label = galaxies.embedding[judged], galaxies.label[judged]
    how: dict[str, Any] = {
        "top_k": settings.top_k,
        "resamples": settings.bootstrap,
        "seed": settings.seed,
    }
    found = {"galaxy": retrieve_by_galaxy(gallery, label, **how)}
    if "symbol" in embeddings.trained:
        found["symbol"] = retrieve_by_prompt(symbols.embedding, symbols.label, gallery, label, **how)
    if "text" in embeddings.trained and texts is not None:
        classes = len(embeddings.classes)
        prototypes = text_prototypes(texts.embedding, texts.label, classes)
        found["text"] = retrieve_by_prompt(prototypes, np.arange(classes), gallery, label, **how)
    return {
        query: {name: estimate.to_dict() for name, estimate in estimates.items()} for query, estimates in found.items()
    }
