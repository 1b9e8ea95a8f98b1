"""Runs that were repeated with fewer labels and other seeds: what each reaches, and its gain over another.

A gain is measured galaxy by galaxy and seed by seed: the two runs judge the same galaxies, and with one seed
they had the same labelled galaxies to learn from.
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galaxalign.errors import GalaxAlignError
from galaxalign.evaluate.embeddings import read_embeddings
from galaxalign.evaluate.evaluation import EvaluationSettings, own_prediction
from galaxalign.evaluate.intervals import Estimate, bootstrap
from galaxalign.evaluate.metrics import accuracy, confusion, macro_f1

logger = logging.getLogger(__name__)

SEEDS_COLUMNS = ["dataset", "run", "labels", "seed", "name", "trained_on", "n", "accuracy", "macro_f1"]
COLUMNS = [
    *("dataset", "run", "labels", "trained_on", "seeds", "n", "accuracy"),
    *("macro_f1", "macro_f1_sd", "macro_f1_weakest", "macro_f1_best"),
    *("over", "gain", "gain_low", "gain_high"),
]
# One seed tells nothing of how far seeds differ.
LEAST_SEEDS = 2


@dataclass(frozen=True)
class SweptRun:
    """One member of a sweep: `labels` labelled galaxies a class (or "all"), compared with the run `over` (or "none").

    `name` is that of the trained run, whose embeddings are judged.
    """

    run: str
    labels: int | str
    seed: int
    name: str
    over: str


@dataclass(frozen=True)
class Judged:
    """The judged galaxies as one run names them by its own classifier.

    Attributes
    ----------
    id : (N,) sorted.
    truth, predicted : (N,) class indices.
    trained_on : labelled galaxies that the run was trained on.
    """

    dataset: str
    classes: list[str]
    id: NDArray[np.str_]
    truth: NDArray[np.int64]
    predicted: NDArray[np.int64]
    trained_on: int


def read_judged(path: Path, settings: EvaluationSettings) -> Judged:
    """What one run says of the good, labelled galaxies of the judged split."""
    embeddings = read_embeddings(path)
    galaxies = embeddings.galaxies
    rows = galaxies.rows(settings.split)
    rows = rows[np.argsort(galaxies.id[rows])]
    return Judged(
        dataset=embeddings.dataset,
        classes=embeddings.classes,
        id=galaxies.id[rows],
        truth=galaxies.label[rows],
        predicted=own_prediction(embeddings, settings)[rows],
        trained_on=int(galaxies.used.sum()),
    )


def gain(
    truth: NDArray[np.int64],
    ours: NDArray[np.int64],
    theirs: NDArray[np.int64],
    *,
    classes: int,
    resamples: int,
    seed: int,
) -> Estimate:
    """Macro-F1 of one run minus that of another, mean over seeds, in points, with its 95 % interval.

    The interval holds both that other galaxies might have been judged and that other seeds might have been drawn: each
    resample draws galaxies with replacement within their true class, the same for both runs and all seeds, and adds
    to their mean gain what the mean of S seeds errs by, s t / sqrt(S), with s the standard deviation of the gains
    from seed to seed and t drawn from Student's distribution of S - 1 degrees of freedom.  Where galaxies tell
    nothing it is Student's interval of the mean, which with two seeds is seven times as wide as with five.

    Parameters
    ----------
    truth : (N,) class index of each galaxy.
    ours, theirs : (S, N) class index that each run gives with each seed, seeds and galaxies in one order.
    """

    def differences(rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Of each resample and seed, (B, S)."""
        true = truth[rows]
        scores = [[macro_f1(confusion(true, run[rows], classes)) for run in runs] for runs in (ours, theirs)]
        mine, other = np.stack(scores, axis=-1).T
        difference: NDArray[np.float64] = 100 * (mine - other)
        return difference

    generator, seeds = np.random.default_rng([seed, 1]), len(ours)
    measured = differences(np.arange(len(truth))[None])[0]
    error = measured.std(ddof=1) / math.sqrt(seeds)

    def resampled(rows: NDArray[np.int64]) -> NDArray[np.float64]:
        other_seeds = error * generator.standard_t(seeds - 1, size=(len(rows), 1))
        total: NDArray[np.float64] = differences(rows).mean(1, keepdims=True) + other_seeds
        return total

    low, high = bootstrap(resampled, truth, resamples=resamples, seed=seed)
    return Estimate(float(measured.mean()), float(low[0]), float(high[0]), len(truth))


def seeds_table(members: Sequence[SweptRun], judged: Sequence[Judged]) -> pd.DataFrame:
    """One row a trained run: what it was trained on and how well it classifies; `SEEDS_COLUMNS`."""
    rows = {}
    for member, found in zip(members, judged, strict=True):
        matrix = confusion(found.truth, found.predicted, len(found.classes))
        rows[member.name] = [
            *(found.dataset, member.run, str(member.labels), member.seed, member.name),
            *(found.trained_on, len(found.truth), float(accuracy(matrix)), float(macro_f1(matrix))),
        ]
    return pd.DataFrame(rows.values(), columns=SEEDS_COLUMNS)


def sweep_table(members: Sequence[SweptRun], judged: Sequence[Judged], settings: EvaluationSettings) -> pd.DataFrame:
    """One row a run and number of labels, and run that it is compared with; `COLUMNS`.

    Gains are in points of macro-F1.  They are empty (NaN) where there is nothing to compare with: for a run
    with fewer than two seeds, and where the other run lacks one of the seeds.
    """
    seeds = seeds_table(members, judged).set_index("name")
    predicted = {
        (member.run, member.labels, member.seed): found.predicted for member, found in zip(members, judged, strict=True)
    }
    # Two sweeps may share members.
    members = list(dict.fromkeys(members))
    rows = []
    for run, labels, over in dict.fromkeys((member.run, member.labels, member.over) for member in members):
        # A run that two sweeps repeat alike counts once.
        same = [member for member in members if (member.run, member.labels, member.over) == (run, labels, over)]
        group = list(dict.fromkeys(same))
        measured = seeds.loc[[member.name for member in group]]
        scores = measured["macro_f1"]
        ours = [predicted[run, labels, member.seed] for member in group]
        theirs = [predicted.get((over, labels, member.seed)) for member in group]
        partners = [found for found in theirs if found is not None]
        estimate = Estimate(math.nan, math.nan, math.nan, 0)
        if len(group) >= LEAST_SEEDS and len(partners) == len(group):
            estimate = gain(
                judged[0].truth,
                np.stack(ours),
                np.stack(partners),
                classes=len(judged[0].classes),
                resamples=settings.bootstrap,
                seed=settings.seed,
            )
        rows.append(
            [
                *(judged[0].dataset, run, str(labels), measured["trained_on"].max(), len(group), measured["n"].max()),
                *(measured["accuracy"].mean(), scores.mean(), scores.std(), scores.min(), scores.max()),
                *(over, estimate.value, estimate.low, estimate.high),
            ]
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def write_sweep(
    members: Sequence[SweptRun],
    embeddings: Sequence[Path],
    settings: EvaluationSettings,
    *,
    table: Path,
    seeds: Path,
) -> None:
    """Write `sweep_table` and `seeds_table` of the members' embeddings, tab-separated.

    Raises
    ------
    GalaxAlignError
        There is no run or no galaxy to judge, or the runs do not judge the same galaxies.
    """
    if not members:
        raise GalaxAlignError("there is no run to compare: add an entry to 'sweeps', config/README.md shows how")
    read = {path: read_judged(path, settings) for path in dict.fromkeys(embeddings)}
    judged = [read[path] for path in embeddings]
    if len(judged[0].id) == 0:
        raise GalaxAlignError(
            f"{embeddings[0]} has no labelled galaxies in the split {settings.split!r}: "
            f"change evaluate.split or raise data.split.fractions.{settings.split}"
        )
    for path, found in zip(embeddings, judged, strict=True):
        same = found.classes == judged[0].classes
        same = same and np.array_equal(found.id, judged[0].id) and np.array_equal(found.truth, judged[0].truth)
        if not same:
            raise GalaxAlignError(
                f"{path} and {embeddings[0]} do not judge the same galaxies: remove both and run Snakemake again"
            )
    logger.info("%d runs judge %d galaxies", len(read), len(judged[0].id))
    seeds_table(members, judged).to_csv(seeds, sep="\t", index=False, float_format="%.6g")
    sweep_table(members, judged, settings).to_csv(table, sep="\t", index=False, float_format="%.6g")
