"""Which galaxies share sky, and which are trained on, tuned on and judged.

Galaxies that share sky share pixels, so a group of them stays in one split; within that, every class
is shared out in the same fractions.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from galaxalign.errors import GalaxAlignError

SPLITS = ("train", "validation", "test")


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
    first, second = neighbours(ra, dec, radius)
    links = coo_array((np.ones(len(first), bool), (first, second)), shape=(len(ra), len(ra)))
    _, groups = connected_components(links, directed=False)
    return renumber(groups)


def neighbours(
    ra: NDArray[np.float64], dec: NDArray[np.float64], radius: float
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows of every pair of galaxies within `radius` arcseconds, each pair once (ra and dec in degrees)."""
    known = np.flatnonzero(np.isfinite(ra) & np.isfinite(dec))
    alpha, delta = np.radians(ra[known]), np.radians(dec[known])
    vectors = np.column_stack([np.cos(delta) * np.cos(alpha), np.cos(delta) * np.sin(alpha), np.sin(delta)])
    # The chord of the angle: exact on the sphere, at the poles and across RA 0 too.
    chord = 2 * np.sin(np.radians(radius / 3600) / 2)
    pairs = cKDTree(vectors).query_pairs(chord, output_type="ndarray").reshape(-1, 2)
    return known[pairs[:, 0]], known[pairs[:, 1]]


def sdss_fields(ids: Sequence[str]) -> NDArray[np.int64]:
    """Groups of galaxies of the same SDSS field: equal run, camcol and field.

    An objid is, from its highest bit: 1 unused, 4 sky version, 11 rerun, 16 run, 3 camcol, 1 first field,
    12 field, 16 object (https://www.sdss.org/dr12/help/glossary, "ObjID").

    Raises `GalaxAlignError` for an id that is no such number.
    """
    fields = []
    for row, text in enumerate(ids):
        if not text.isdecimal() or int(text) >= 2**63:
            raise GalaxAlignError(
                f"galaxy {text!r} (number {row + 1}) has no SDSS objid as its id, which data.split.group_by: "
                "sdss_field needs: name the objid column in columns.id, or group by sky or none"
            )
        number = int(text)
        fields.append((number >> 32 & 0xFFFF) << 16 | (number >> 29 & 0b111) << 12 | number >> 16 & 0xFFF)
    return renumber(np.array(fields, np.int64))


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
        The split a published data set gives a galaxy, "" where it gives none; its group follows it, and
        the other galaxies are shared among the other splits in proportion to their fractions.
    classes
        Labels of the classes, for messages.
    fractions
        Of train, validation and test.
    seed
        Of the order in which galaxies are shared out.

    Returns
    -------
    The split of each galaxy; "" where it has no label.

    Raises
    ------
    GalaxAlignError
        Fractions that do not add up to 1, or a class with too few groups to be in every split.
    """
    if abs(sum(fractions[name] for name in SPLITS) - 1) > 1e-6:
        raise GalaxAlignError(
            f"data.split.fractions add up to {sum(fractions.values()):g}, not 1: correct train, validation or test"
        )
    counts = np.zeros((groups.max(initial=-1) + 1, len(classes)), np.int64)
    np.add.at(counts, (groups[labels >= 0], labels[labels >= 0]), 1)
    taken = np.full(len(counts), -1)
    for row, name in enumerate(given):
        if name:
            taken[groups[row]] = SPLITS.index(name)
    wanted = [s for s, name in enumerate(SPLITS) if fractions[name] > 0 and name not in set(given)]
    required = [s for s, name in enumerate(SPLITS) if fractions[name] > 0]
    free = np.flatnonzero((taken < 0) & counts.any(axis=1))
    order = np.random.default_rng(seed).permutation(free)
    share = np.array([fractions[SPLITS[s]] for s in wanted]) / sum(fractions[SPLITS[s]] for s in wanted)
    taken[order] = np.array(wanted)[_deal(counts[order], share)]
    _fill_empty(counts, taken, order, required, classes)
    splits: NDArray[np.str_] = np.array([*SPLITS, ""])[taken[groups]]
    splits[labels < 0] = ""
    return splits


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
    for group in np.argsort(-counts.sum(axis=1), kind="stable"):
        present = np.flatnonzero(counts[group])
        # Behind by its own measure, so that a small split gets its galaxies in time.
        behind = (target[:, present] - have[:, present]) / target[:, present]
        split = int(np.argmax(behind @ counts[group, present]))
        have[split] += counts[group]
        dealt[group] = split
    return dealt


def _fill_empty(
    counts: NDArray[np.int64],
    taken: NDArray[np.int64],
    free: NDArray[np.int64],
    required: Sequence[int],
    classes: Sequence[str],
) -> None:
    """Move single groups until every class is in every required split; `taken` changes in place."""
    for label in np.argsort(counts.sum(axis=0), kind="stable"):
        for split in required:
            if counts[taken == split, label].any():
                continue
            movable = [group for group in free if _can_move(counts, taken, group, label)]
            if not movable:
                raise _too_few(counts, label, required, classes)
            taken[min(movable, key=lambda group: counts[group].sum())] = split


def _can_move(counts: NDArray[np.int64], taken: NDArray[np.int64], group: int, label: int) -> bool:
    """Whether the group holds the class and leaves each of its classes behind in its split."""
    if not counts[group, label]:
        return False
    left = counts[taken == taken[group]].sum(axis=0) - counts[group]
    return bool((left[counts[group] > 0] > 0).all())


def _too_few(counts: NDArray[np.int64], label: int, required: Sequence[int], classes: Sequence[str]) -> GalaxAlignError:
    galaxies, groups = counts[:, label].sum(), (counts[:, label] > 0).sum()
    names = ", ".join(SPLITS[split] for split in required)
    return GalaxAlignError(
        f"class {classes[label]!r} has {galaxies} galaxies in {groups} groups, too few to be in each of {names}: "
        "add galaxies, merge or remove the class in the class sheet, or set a fraction of data.split to 0"
    )
