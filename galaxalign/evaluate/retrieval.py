"""Similarity search: how many of the nearest galaxies are of the query's class.

rel_i is 1 where the galaxy at rank i is of the query's class, else 0; R is the number of such galaxies in
the gallery; P@i is the mean of rel over the first i ranks.

* P@k counts a rank that the gallery is too small to fill as wrong.
* AP@k = sum over i <= k of P@i rel_i / min(k, R); mAP@k is its mean over queries.
* Every mean is macro: over the queries of a class first, then over classes, because classes are imbalanced
  and queries by galaxy would otherwise speak for the largest.  A query with R = 0 is left out.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from galaxalign.evaluate.intervals import Estimate, bootstrap

# Queries compared with the whole gallery at once.
BLOCK = 512
# A resample keeps as many copies as there are galaxies: so many of the nearest, times the ranks that are looked at and
# some more, fill those ranks but for once in 10^9 times.
ENOUGH, SPARE = 2, 20
# Galaxies of a class of which one can find another.
LEAST_ALIKE = 2

Vectors = NDArray[np.float32] | NDArray[np.float64]


def nearest(
    queries: Vectors, gallery: Vectors, k: int, *, own: NDArray[np.int64] | None
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Rows and cosine similarities, both (Q, K), of the galaxies nearest to each query, nearest first.

    Parameters
    ----------
    queries, gallery : (Q, D) and (N, D), unit length.
    k : galaxies wanted; K is less where the gallery has fewer.
    own : (Q,) the row of the gallery that is the query itself and does not count; None where none is.
    """
    k = min(k, len(gallery) - (own is not None))
    rows = np.empty((len(queries), k), dtype=np.int64)
    similarities = np.empty((len(queries), k))
    for start in range(0, len(queries), BLOCK):
        part = slice(start, start + BLOCK)
        similarity = (queries[part] @ gallery.T).astype(np.float64)
        if own is not None:
            similarity[np.arange(len(similarity)), own[part]] = -np.inf
        # Only the k best are sorted; equals keep the order of the gallery.
        best = np.sort(np.argpartition(-similarity, k - 1, axis=1)[:, :k], axis=1)
        order = np.argsort(-np.take_along_axis(similarity, best, 1), axis=1, kind="stable")
        rows[part] = np.take_along_axis(best, order, 1)
        similarities[part] = np.take_along_axis(similarity, rows[part], 1)
    return rows, similarities


def precision(hits: NDArray[np.bool_], k: int) -> NDArray[np.float64]:
    """P@k (...) of hits (..., K) by rank."""
    return np.asarray(hits[..., :k].sum(-1) / k, dtype=np.float64)


def average_precision(hits: NDArray[np.bool_], relevant: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """AP@k (...) of hits (..., K) by rank, with R (...) relevant galaxies in the gallery, each at least 1.

    >>> float(average_precision(np.array([True, False, True]), np.array(5), 3).round(4))
    0.5556
    """
    hits = hits[..., :k]
    at_rank = np.cumsum(hits, -1) / np.arange(1, hits.shape[-1] + 1)
    return np.asarray((at_rank * hits).sum(-1) / np.minimum(k, relevant), dtype=np.float64)


def macro_mean(values: NDArray[np.float64], label: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean (...) over classes of the mean over each class's queries, of values (Q, ...)."""
    return np.asarray(np.mean([values[label == index].mean(0) for index in np.unique(label)], axis=0))


def retrieve_by_galaxy(
    embedding: Vectors, label: NDArray[np.int64], *, top_k: Sequence[int], resamples: int, seed: int
) -> dict[str, Estimate]:
    """P@k and mAP@k where each galaxy looks for its class among the others.

    The bootstrap resamples galaxies as queries and gallery at once, since each is both: one drawn twice asks twice and
    takes two ranks, though not those of its own query.  Resampled galleries lack a third of the galaxies, so that
    what is near is further away: the interval is moved by as much as their mean differs from what was measured.
    n is the number of queries.

    Parameters
    ----------
    embedding, label : (N, D), unit length, and (N,) classes of the judged galaxies.
    """
    present, count = np.unique(label, return_counts=True)
    if len(label) == 0 or count.max() < LEAST_ALIKE:
        return {}
    members = label == present[:, None]
    alike, depth = members.T @ count, max(top_k)
    rows, _ = nearest(embedding, embedding, ENOUGH * depth + SPARE, own=np.arange(len(label)))
    hits = label[rows] == label[:, None]

    def of_copies(copies: NDArray[np.int64]) -> NDArray[np.float64]:
        """What is measured, (2 K,), where each galaxy is there so many times, (N,)."""
        places = copies[rows]
        found = places.sum(1)
        ranks = (np.cumsum(found) - found)[:, None] + np.arange(depth)
        filled = np.arange(depth) < found[:, None]
        taken = np.append(np.repeat(hits.ravel(), places.ravel()), False)
        shown = taken[np.where(filled, ranks, -1)]
        relevant = alike - copies
        asks = np.where(relevant > 0, copies, 0)
        asked = members @ asks
        sums = members @ (asks[:, None] * _measures(shown, relevant.clip(1), top_k))
        # Where none of a class finds another it is left out.
        return np.asarray((sums[asked > 0] / asked[asked > 0, None]).mean(0))

    def resampled(drawn: NDArray[np.int64]) -> NDArray[np.float64]:
        copies = [np.bincount(one, minlength=len(label)) for one in drawn]
        # Where nobody finds anybody, as only the smallest sets can be drawn, nothing is learned.
        return np.stack([of_copies(one) if (alike > one)[one > 0].any() else value for one in copies])

    value = of_copies(np.ones(len(label), np.int64))
    low, high = bootstrap(resampled, label, resamples=resamples, seed=seed, centre=value)
    return _estimates(top_k, value, (low.clip(0, 1), high.clip(0, 1)), int(count[count >= LEAST_ALIKE].sum()))


def retrieve_by_prompt(
    prompts: Vectors,
    prompt_label: NDArray[np.int64],
    embedding: Vectors,
    label: NDArray[np.int64],
    *,
    top_k: Sequence[int],
    resamples: int,
    seed: int,
) -> dict[str, Estimate]:
    """P@k and mAP@k where symbols or texts look for galaxies of their class.

    The bootstrap resamples the gallery: a galaxy drawn twice takes two ranks; n is the number of galaxies.

    Parameters
    ----------
    prompts, prompt_label : (Q, D), unit length, and (Q,): each symbol, or each class's text prototype.
    embedding, label : (N, D), unit length, and (N,) classes of the judged galaxies.
    """
    count = np.bincount(label, minlength=int(prompt_label.max()) + 1)
    asked = count[prompt_label] > 0
    prompts, prompt_label = prompts[asked], prompt_label[asked]
    if len(prompts) == 0:
        return {}
    relevant = count[prompt_label]
    order = np.argsort(-(prompts @ embedding.T).astype(np.float64), axis=1, kind="stable")
    rank = np.argsort(order, axis=1)
    ranked_hits = label[order] == prompt_label[:, None]
    depth = min(max(top_k), len(embedding))

    def resampled(drawn: NDArray[np.int64]) -> NDArray[np.float64]:
        hits = np.stack([_first(rank[q][drawn], ranked_hits[q], depth) for q in range(len(prompts))])
        return macro_mean(_measures(hits, relevant[:, None], top_k), prompt_label)

    value = macro_mean(_measures(ranked_hits[:, :depth], relevant, top_k), prompt_label)
    interval = bootstrap(resampled, label, resamples=resamples, seed=seed)
    return _estimates(top_k, value, interval, len(embedding))


def _measures(hits: NDArray[np.bool_], relevant: NDArray[np.int64], top_k: Sequence[int]) -> NDArray[np.float64]:
    """P@k of every k, then AP@k of every k, (..., 2 K), of hits (..., depth)."""
    precisions = [precision(hits, k) for k in top_k]
    averages = [average_precision(hits, relevant, k) for k in top_k]
    return np.stack(precisions + averages, axis=-1)


def _estimates(
    top_k: Sequence[int],
    value: NDArray[np.float64],
    interval: tuple[NDArray[np.float64], NDArray[np.float64]],
    n: int,
) -> dict[str, Estimate]:
    names = [f"{measure}@{k}" for measure in ("P", "mAP") for k in top_k]
    numbers = zip(names, value, *interval, strict=True)
    return {name: Estimate(float(at), float(low), float(high), n) for name, at, low, high in numbers}


def _first(ranks: NDArray[np.int64], hits: NDArray[np.bool_], depth: int) -> NDArray[np.bool_]:
    """Hits (B, depth) at the first ranks of resampled galleries, of the ranks (B, N) that were drawn."""
    first = np.sort(np.partition(ranks, depth - 1, axis=1)[:, :depth], axis=1)
    return hits[first]
