"""Which galaxies share sky, and which are trained on, tuned on and judged.

Galaxies that share sky share pixels, so a group of them stays in one split; within that, every class
is shared out in the same fractions.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from galaxalign.data.fractions import check_fractions
from galaxalign.data.grids import unit_vectors
from galaxalign.errors import GalaxAlignError

SPLITS = ("train", "validation", "test")
# Pairs of neighbours in memory at a time, 24 bytes and more each.
PAIRS = 2**23


def sky_groups(ra: NDArray[np.float64], dec: NDArray[np.float64], radius: float) -> NDArray[np.int64]:
    """Friends of friends: whoever lies within `radius` of a member is a member.

    Parameters
    ----------
    ra, dec
        Degrees, shape (N,); a galaxy without a position is a group of its own.
    radius
        Arcseconds.

    Returns
    -------
    Number of each galaxy's group, from 0 in the order of first appearance.
    """
    # Of equal positions one stands for all, or ten thousand rows at 0, 0 would be fifty million pairs.
    _, one, place = np.unique(ra + 1j * dec, return_index=True, return_inverse=True, equal_nan=False)
    groups = np.arange(len(one))
    for first, second in neighbours(ra[one], dec[one], radius):
        links = coo_array((np.ones(len(first), bool), (groups[first], groups[second])), shape=(len(one), len(one)))
        _, joined = connected_components(links, directed=False)
        groups = joined[groups]
    return renumber(groups[place])


def neighbours(
    ra: NDArray[np.float64], dec: NDArray[np.float64], radius: float
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Rows of every pair of galaxies within `radius` arcseconds (ra and dec in degrees), each pair once.

    They come about `PAIRS` at a time: in a deep field a galaxy has hundreds of neighbours.
    """
    known = np.flatnonzero(np.isfinite(ra) & np.isfinite(dec))
    if not len(known):
        return
    vectors = unit_vectors(ra[known], dec[known])
    # The chord of the angle: exact on the sphere, at the poles and across RA 0 too.
    chord = 2 * np.sin(np.radians(radius / 3600) / 2)
    tree = cKDTree(vectors)
    block = np.cumsum(tree.query_ball_point(vectors, chord, return_length=True)) // PAIRS
    for rows in np.split(np.arange(len(known)), np.flatnonzero(np.diff(block)) + 1):
        near = cKDTree(vectors[rows]).sparse_distance_matrix(tree, chord, output_type="ndarray")
        first, second = rows[near["i"]], near["j"]
        once = first < second
        yield known[first[once]], known[second[once]]


def sdss_fields(ids: Sequence[str]) -> NDArray[np.int64]:
    """Groups of galaxies of the same SDSS field: equal run, camcol and field; -1 for an id that is no objid.

    An objid is, from its highest bit: 1 unused, 4 sky version, 11 rerun, 16 run, 3 camcol, 1 first field,
    12 field, 16 object (https://www.sdss.org/dr12/help/glossary, "ObjID").
    """
    numbers = (int(text) if text.isdecimal() and len(text) <= 19 else -1 for text in ids)
    objids = np.fromiter((number if number < 2**63 else -1 for number in numbers), np.int64, len(ids))
    camcol = objids >> 29 & 0b111
    fields = (objids >> 32 & 0xFFFF) << 16 | camcol << 12 | objids >> 16 & 0xFFF
    # Every objid has a sky version, and a column of the camera, of which there are six.
    valid = (objids >> 59 > 0) & (camcol >= 1) & (camcol <= 6)
    return np.where(valid, renumber(fields), -1)


def named_groups(names: Sequence[str]) -> NDArray[np.int64]:
    """Groups of galaxies of the same name; a galaxy without one ("") is a group of its own."""
    codes, found = pd.factorize(np.asarray(names, dtype=object))
    alone = np.asarray(names, dtype=object) == ""
    return renumber(np.where(alone, len(found) + np.arange(len(codes)), codes))


def join_groups(*groupings: NDArray[np.int64]) -> NDArray[np.int64]:
    """Groups of galaxies that share a group in any of the groupings, each (N,), numbered by first appearance."""
    rows = len(groupings[0])
    offsets = np.cumsum([rows, *(grouping.max(initial=-1) + 1 for grouping in groupings)])
    galaxies = np.tile(np.arange(rows), len(groupings))
    groups = np.concatenate([grouping + offset for grouping, offset in zip(groupings, offsets, strict=False)])
    links = coo_array((np.ones(len(groups), bool), (galaxies, groups)), shape=(offsets[-1], offsets[-1]))
    _, joined = connected_components(links, directed=False)
    return renumber(joined[:rows])


def renumber(groups: NDArray[np.integer]) -> NDArray[np.int64]:
    """The same groups, numbered from 0 in the order of first appearance."""
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    order = np.empty(len(first), np.int64)
    order[np.argsort(first)] = np.arange(len(first))
    numbers: NDArray[np.int64] = order[inverse]
    return numbers


def split_galaxies(
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    given: Sequence[str],
    *,
    classes: Sequence[str],
    fractions: Mapping[str, float],
    seed: int,
) -> NDArray[np.str_]:
    """Share labelled galaxies out, each group whole, each class in the given fractions.

    Parameters
    ----------
    labels
        Class index of each galaxy, -1 for none, shape (N,).
    groups
        Number of each galaxy's group, from 0.
    given
        The split a published data set gives a galaxy, "" where it gives none.  A galaxy keeps the split that it is
        given, and its group follows it; the other galaxies are shared among the other splits in proportion to
        their fractions.  A published set without validation galaxies lends some of its training galaxies.  Where
        galaxies of one group are given to several splits, those of the split that is judged last (test, then
        validation) keep it and the others are left out, since they would tell what is to be judged.
    classes
        Labels of the classes, for messages.
    fractions
        Of train, validation and test.
    seed
        Of the order in which galaxies are shared out.

    Returns
    -------
    The split of each galaxy; "" where it has no label or is left out.

    Raises
    ------
    GalaxAlignError
        Fractions that do not add up to 1, or a class with too few groups to be in every split.
    """
    check_fractions(fractions, "data.split.fractions")
    published = published_splits(given, fractions, groups)
    taken = np.full(groups.max(initial=-1) + 1, -1)
    np.maximum.at(taken, groups, published)
    used = (labels >= 0) & ((published < 0) | (published == taken[groups]))
    counts = np.zeros((len(taken), len(classes)), np.int64)
    np.add.at(counts, (groups[used], labels[used]), 1)
    required = [s for s, name in enumerate(SPLITS) if fractions[name] > 0]
    # Who is given no split while every split is given to others is trained on.
    wanted = [s for s in required if s not in set(taken.tolist())] or [SPLITS.index("train")]
    order = np.random.default_rng(seed).permutation(np.flatnonzero((taken < 0) & counts.any(axis=1)))
    # Who is published to be trained on may be tuned on, but is never judged.
    lent = np.zeros(len(taken), bool)
    lent[groups[np.asarray(given) == "train"]] = True
    unjudged = [s for s in wanted if s != SPLITS.index("test")]
    for own, splits in ((order[~lent[order]], wanted), (order[lent[order]], unjudged)):
        share = np.array([fractions[SPLITS[s]] or 1.0 for s in splits])
        taken[own] = np.array(splits, np.int64)[_deal(counts[own], share / share.sum())]
    _fill_empty(counts, taken, order, lent, required, classes)
    found: NDArray[np.str_] = np.array([*SPLITS, ""])[taken[groups]]
    found[~used] = ""
    return found


def published_splits(
    given: Sequence[str], fractions: Mapping[str, float], groups: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Index of the split that each galaxy is given, (N,), -1 for none.

    Training galaxies whose group has no test galaxies count as given none where validation galaxies are wanted and
    none are published.
    """
    published: NDArray[np.int64] = pd.Index(SPLITS).get_indexer(pd.Index(given)).astype(np.int64)
    train, validation = SPLITS.index("train"), SPLITS.index("validation")
    if fractions["validation"] > 0 and not (published == validation).any():
        last = np.full(groups.max(initial=-1) + 1, -1)
        np.maximum.at(last, groups, published)
        published[(published == train) & (last[groups] == train)] = -1
    return published


def _deal(counts: NDArray[np.int64], share: NDArray[np.float64]) -> NDArray[np.int64]:
    """For each group, largest first, the split that is furthest behind in the group's classes.

    Parameters
    ----------
    counts
        Galaxies of each class in each group, shape (G, C), in random order.
    share
        Of each split, adding up to 1, shape (S,).
    """
    target = share[:, None] * counts.sum(axis=0)
    have = np.zeros_like(target)
    dealt = np.empty(len(counts), np.int64)
    sizes = counts.sum(axis=1)
    several = np.flatnonzero(sizes > 1)
    for group in several[np.argsort(-sizes[several], kind="stable")]:
        present = np.flatnonzero(counts[group])
        # Behind by its own measure, so that a small split gets its galaxies in time.
        behind = (target[:, present] - have[:, present]) / target[:, present]
        split = int(np.argmax(behind @ counts[group, present]))
        have[split] += counts[group]
        dealt[group] = split
    single = sizes == 1
    for label in np.flatnonzero(counts[single].any(axis=0)):
        groups = np.flatnonzero(single & (counts[:, label] > 0))
        dealt[groups] = _deal_singles(len(groups), target[:, label], have[:, label])
    return dealt


def _deal_singles(number: int, target: NDArray[np.float64], have: NDArray[np.float64]) -> NDArray[np.int64]:
    """The split of each of so many galaxies of a class: always the one that is furthest behind.

    A split that has h of its t galaxies is behind by (t - h) / t, whatever the other splits have, so that the order
    in which splits get a galaxy is that of these numbers for h, h + 1, h + 2, ...
    """
    step = np.arange(number)
    behind = (target[:, None] - (have[:, None] + step)) / target[:, None]
    dealt: NDArray[np.int64] = np.argsort(-behind.ravel(), kind="stable")[:number] // number
    return dealt


def _fill_empty(
    counts: NDArray[np.int64],
    taken: NDArray[np.int64],
    free: NDArray[np.int64],
    lent: NDArray[np.bool_],
    required: Sequence[int],
    classes: Sequence[str],
) -> None:
    """Move single groups until every class is in every required split, none that is `lent` to test; `taken` changes."""
    for label in np.argsort(counts.sum(axis=0), kind="stable"):
        for split in required:
            if counts[taken == split, label].any():
                continue
            allowed = ~lent[free] | (split != SPLITS.index("test"))
            movable = _movable(counts, taken, free[allowed & (counts[free, label] > 0)])
            if not len(movable):
                waiting = int(counts[lent & (taken >= 0), label].sum()) if split == SPLITS.index("test") else 0
                if not waiting and counts[:, label].any() and not counts[free, label].any():
                    raise _none_left(SPLITS[split], int(counts[:, label].sum()), classes[label])
                raise _too_few(counts, label, required, classes, waiting)
            taken[movable[np.argmin(counts[movable].sum(axis=1))]] = split


def _movable(counts: NDArray[np.int64], taken: NDArray[np.int64], groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those of the groups that leave each of their classes behind in their split."""
    totals = np.array([counts[taken == split].sum(axis=0) for split in range(len(SPLITS))])
    left = totals[taken[groups]] - counts[groups]
    movable: NDArray[np.int64] = groups[((counts[groups] == 0) | (left > 0)).all(axis=1)]
    return movable


def _none_left(split: str, galaxies: int, name: str) -> GalaxAlignError:
    return GalaxAlignError(
        f"class {name!r} has no galaxy for {split}: the split that the catalogue gives (columns.split) gives all its "
        f"{galaxies} galaxies to others; give some to {split}, leave columns.split out, or set data.split.fractions."
        f"{split} to 0"
    )


def _too_few(
    counts: NDArray[np.int64], label: int, required: Sequence[int], classes: Sequence[str], lent: int
) -> GalaxAlignError:
    galaxies, groups = int(counts[:, label].sum()), int((counts[:, label] > 0).sum())
    names = ", ".join(SPLITS[split] for split in required)
    if galaxies == 0:
        missing = [repr(name) for name, found in zip(classes, counts.sum(axis=0), strict=True) if not found]
        return GalaxAlignError(
            f"class {', '.join(missing)} has no galaxy that can be used: add some, look at their label column or vote "
            "rule and whether their rows or images were rejected, or remove the class from the class sheet"
        )
    if lent:
        return GalaxAlignError(
            f"class {classes[label]!r} has no galaxy to test with: the split that the catalogue gives (columns.split) "
            f"gives it none, and its {lent} training galaxies are never judged; give galaxies of the class to test, "
            "leave columns.split out, or set data.split.fractions.test to 0"
        )
    return GalaxAlignError(
        f"class {classes[label]!r} has {galaxies} galaxies in {groups} group{'s' * (groups != 1)}, too few to be in "
        f"each of {names}: add galaxies, merge or remove the class in the class sheet, set a fraction of data.split to "
        "0, or make groups smaller (data.split.radius, group_by)"
    )
