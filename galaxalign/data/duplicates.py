"""Pictures that show the same sky, told by a fingerprint of each, however they are turned, mirrored or compressed.

A fingerprint is the signs of the low frequencies of a picture: its grey value, as a logarithm so that faint
neighbours weigh as much as the bright centre, averaged to `SIDE` x `SIDE` pixels, under a discrete cosine transform.
The few lowest frequencies are left out: they say "a bright middle", which all galaxies have.  A mirror only changes
signs that are known beforehand, a quarter turn also swaps the axes, so the fingerprints of the eight symmetries of
the square follow from one.

Why so long a fingerprint, and why this limit: measured on 5,750 SDSS pictures of Galaxy Zoo 1 and 2 and on 500 of them
distorted, as shares of signs that differ.

===========================  ===================  =============================
                              this fingerprint     64 bits, lowest frequencies
===========================  ===================  =============================
JPEG of quality 40            0.06, 99 % < 0.12    0.02, 99 % < 0.07
half the size                 0.01, 99 % < 0.04    0.00, 99 % < 0.04
turned or mirrored, JPEG 85   0.02, 99 % < 0.05    0.00, 99 % < 0.04
shifted by 2 of 424 pixels    0.04, 99 % < 0.08    0.03, 99 % < 0.15
most alike of two galaxies    0.24                 0.00
===========================  ===================  =============================

Small galaxies on dark sky have equal 64-bit fingerprints.  At `LIMIT` this one finds each of the 500 in each of these
forms, and joins no two of the 16.5 million pairs of different galaxies; six of them come within 0.26.  A picture cut
5 % closer differs by 0.2 and is not found: positions tell such pairs.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dctn
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from galaxalign.data.splits import renumber

SIDE, HIGHEST, LOWEST = 32, 16, 3
_U, _V = (axis.ravel() for axis in np.meshgrid(np.arange(HIGHEST), np.arange(HIGHEST), indexing="ij"))
_U, _V = _U[_U + _V >= LOWEST], _V[_U + _V >= LOWEST]
# Signs in a fingerprint, and the largest share of them that differs between pictures of the same sky.
BITS = len(_U)
LIMIT = 0.16
# Fingerprints compared with all others at a time.
BLOCK = 512


def fingerprint(picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Signs (BITS,) of the low frequencies of a picture (H, W, 3)."""
    grey = Image.fromarray(picture.astype(np.float32).mean(axis=2))
    small = np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.BOX))
    waves = dctn(np.log1p(small), norm="ortho")
    signs: NDArray[np.bool_] = waves[_U, _V] > 0
    return signs


def symmetries(prints: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Fingerprints (8, N, BITS) of pictures turned and mirrored, from their own (N, BITS), which come first."""
    place = {(u, v): index for index, (u, v) in enumerate(zip(_U.tolist(), _V.tolist(), strict=True))}
    swapped = np.array([place[v, u] for u, v in zip(_U.tolist(), _V.tolist(), strict=True)])
    flips = [np.zeros(BITS, bool), _U % 2 == 1, _V % 2 == 1, (_U + _V) % 2 == 1]
    return np.stack([signs ^ flip for signs in (prints, prints[:, swapped]) for flip in flips])


def differences(prints: NDArray[np.bool_]) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Shares of signs that differ, in the symmetry in which they differ least, a block of galaxies at a time.

    Parameters
    ----------
    prints
        Fingerprints, (N, BITS).

    Yields
    ------
    start : index of the first galaxy of the block.
    shares : (B, N - start), of its B galaxies and of all from `start` on.
    """
    signs = np.where(prints, np.float32(1), np.float32(-1))
    turned = np.where(symmetries(prints), np.float32(1), np.float32(-1))
    for start in range(0, len(prints), BLOCK):
        block = signs[start : start + BLOCK]
        agree = block @ turned[0][start:].T
        for other in turned[1:]:
            np.maximum(agree, block @ other[start:].T, out=agree)
        yield start, (BITS - agree) / (2 * BITS)


def duplicate_groups(prints: NDArray[np.bool_], known: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Groups of galaxies with the same sky in their pictures, numbered from 0 in the order of first appearance.

    Time grows with the square of the galaxies: 17,736 take 19 s of one core, 100,000 ten minutes.

    Parameters
    ----------
    prints
        Fingerprints, (N, BITS).
    known
        Which galaxies have a picture, (N,); the others are groups of their own.
    """
    rows = np.flatnonzero(known)
    # Pictures in many files, such as that of an error, count once, and pairs are forgotten once they are joined:
    # they would take room by the square.
    _, first, same = np.unique(np.packbits(prints[rows], axis=1), axis=0, return_index=True, return_inverse=True)
    joined = np.arange(len(first))
    for start, shares in differences(prints[rows[first]]):
        one, other = np.nonzero(shares <= LIMIT)
        ends = joined[one + start], joined[other + start]
        links = coo_array((np.ones(len(one), bool), ends), shape=(len(first), len(first)))
        joined = connected_components(links, directed=False)[1][joined]
    groups = len(first) + np.arange(len(prints))
    groups[rows] = joined[same.reshape(-1)]
    return renumber(groups)


def read_fingerprints(path: Path, ids: Sequence[str]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Fingerprints (N, BITS) of galaxies by their ids from `fingerprints.write_fingerprints`, and which have one."""
    bits = pd.read_parquet(path).set_index("id")["bits"].reindex(list(ids))
    known = bits.notna().to_numpy(bool)
    prints = np.zeros((len(ids), BITS), bool)
    packed = np.frombuffer(b"".join(bits[known]), np.uint8).reshape(known.sum(), -(-BITS // 8))
    prints[known] = np.unpackbits(packed, axis=1, count=BITS).astype(bool)
    return prints, known
