"""What might leak from one split into another: the pairs of galaxies across splits that are most alike."""

import logging
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from galaxalign.data.duplicates import BITS, LIMIT, differences, fingerprint
from galaxalign.data.grids import unit_vectors
from galaxalign.data.splits import SPLITS
from galaxalign.data.store import Store

logger = logging.getLogger(__name__)

# Pairs in the report for each way to be close, and galaxies whose pictures are compared at most.
PAIRS = 12
MOST = 20000
CHUNK = 512


def write_leaks(store: Store, *, radius: float, seed: int, table: Path) -> None:
    """Write the closest pairs of galaxies across splits, a tab-separated table.

    Columns: by (picture or sky), first, second (ids), first_split, second_split, difference (share of the signs of
    their fingerprints that differ, see `duplicates`), separation (arcsec, empty where a position is unknown), leak
    (whether the difference is at most `duplicates.LIMIT`, or the separation at most `radius`).

    Parameters
    ----------
    store
        Galaxies in splits are compared, all on the sky, and at most `MOST`, drawn at random, by their pictures.
    radius
        Arcseconds on the sky within which galaxies should share a split.
    seed
        Of the draw.
    table
        What is written.
    """
    rows = np.flatnonzero(store.split != "")
    drawn = np.sort(np.random.default_rng(seed).permutation(rows)[:MOST])
    pairs = [("picture", *pair) for pair in closest_pictures(store, drawn)]
    pairs += [("sky", *pair) for pair in closest_positions(store, rows)]
    report = pd.DataFrame([_describe(store, *pair, radius=radius) for pair in pairs], columns=COLUMNS)
    leaks = int(report["leak"].sum())
    if leaks:
        logger.warning(
            "%s: %d of the closest pairs across splits show the same sky; see %s, and data.split",
            store.path,
            leaks,
            table,
        )
    report.to_csv(table, sep="\t", index=False)


def read_leaks(table: Path) -> pd.DataFrame:
    """The table that `write_leaks` wrote."""
    texts = dict.fromkeys(COLUMNS[:5], str)
    return pd.read_csv(table, sep="\t", dtype=texts, keep_default_na=False, na_values={"separation": [""]})


COLUMNS = ["by", "first", "second", "first_split", "second_split", "difference", "separation", "leak"]


def closest_pictures(store: Store, rows: NDArray[np.int64]) -> list[tuple[int, int]]:
    """The `PAIRS` pairs of rows across splits whose fingerprints differ least, the closest first."""
    prints = np.array([fingerprint(picture) for picture in _pictures(store, rows)], bool).reshape(len(rows), BITS)
    splits = store.split[rows]
    found: list[tuple[float, int, int]] = []
    for start, shares in differences(prints) if len(rows) else ():
        shares[splits[start : start + len(shares), None] == splits[None, start:]] = np.inf
        # Each pair once.
        shares[np.tril_indices(len(shares))] = np.inf
        for place in map(int, np.argpartition(shares, min(PAIRS, shares.size - 1), axis=None)[:PAIRS]):
            first, second = divmod(place, shares.shape[1])
            if np.isfinite(shares[first, second]):
                pair = sorted((int(rows[start + first]), int(rows[start + second])))
                found.append((float(shares[first, second]), pair[0], pair[1]))
    return [(first, second) for _, first, second in sorted(set(found))[:PAIRS]]


def _pictures(store: Store, rows: NDArray[np.int64]) -> Iterator[NDArray[np.uint8]]:
    for start in range(0, len(rows), CHUNK):
        yield from store.pictures(rows[start : start + CHUNK])


def closest_positions(store: Store, rows: NDArray[np.int64]) -> list[tuple[int, int]]:
    """The `PAIRS` pairs of rows across splits that are closest on the sky, each galaxy with its nearest only."""
    rows = rows[np.isfinite(store.ra[rows]) & np.isfinite(store.dec[rows])]
    parts = [rows[store.split[rows] == split] for split in SPLITS]
    found: set[tuple[float, int, int]] = set()
    for ours, theirs in combinations([part for part in parts if len(part)], 2):
        tree = cKDTree(unit_vectors(store.ra[theirs], store.dec[theirs]))
        chords, nearest = tree.query(unit_vectors(store.ra[ours], store.dec[ours]))
        for place in np.argsort(chords)[:PAIRS]:
            pair = sorted((int(ours[place]), int(theirs[nearest[place]])))
            found.add((float(chords[place]), pair[0], pair[1]))
    return [(first, second) for _, first, second in sorted(found)[:PAIRS]]


def _describe(store: Store, by: str, first: int, second: int, *, radius: float) -> tuple[object, ...]:
    pair = np.array([first, second])
    prints = np.array([fingerprint(picture) for picture in store.pictures(pair)])
    (_, shares), *_ = differences(prints)
    difference = float(shares[0, 1])
    one, other = unit_vectors(store.ra[pair], store.dec[pair])
    # The chord of the angle, not a number where a position is unknown.
    chord = np.minimum(np.linalg.norm(one - other), 2.0)
    separation = float(np.degrees(2 * np.arcsin(chord / 2)) * 3600)
    leak = difference <= LIMIT or separation <= radius
    splits = (str(store.split[first]), str(store.split[second]))
    return (by, store.id[first], store.id[second], *splits, round(difference, 3), round(separation, 1), leak)
