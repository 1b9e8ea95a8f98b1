"""Pictures at another size, as Pillow's bicubic filter makes them, in a third of the time."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

# Keys' cubic (1981, IEEE Trans. ASSP 29, 1153), as Pillow has it.
CUBIC = -0.5
# Numbers of a line of the result that are made at a time, from the few of the original that they depend on: fewer are
# more calls, more are more numbers times 0; a processor has so many in one register, or in two or four.
TOGETHER = 16


@dataclass(frozen=True)
class Band:
    """Numbers `made` of a line of the result are the numbers `used` of the original times `weights` (used, made)."""

    made: slice
    used: slice
    weights: NDArray[np.float32]


@lru_cache(maxsize=128)
def _bands(side: int, size: int, colours: int) -> tuple[Band, ...]:
    """How lines of `size` pixels, each of so many numbers, come from lines of `side`.

    The filter is wider than Keys' where it shrinks.
    """
    scale = max(side / size, 1.0)
    middles = (np.arange(size) + 0.5) * side / size
    first = np.maximum(0, (middles - 2 * scale + 0.5).astype(int))
    last = np.minimum(side, (middles + 2 * scale + 0.5).astype(int))
    places = np.arange(side)[:, None]
    x = np.abs(places + 0.5 - middles) / scale
    near = ((CUBIC + 2) * x - (CUBIC + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * CUBIC
    weights = np.where(x < 1, near, np.where(x < 2, far, 0)) * ((places >= first) & (places < last))
    weights = (weights / weights.sum(axis=0)).astype(np.float32)
    bands = []
    for start in range(0, size * colours, TOGETHER):
        stop = min(start + TOGETHER, size * colours)
        # Pixels that have these numbers.
        left, right = start // colours, -(-stop // colours)
        low, high = int(first[left:right].min()), int(last[left:right].max())
        of_each = np.kron(weights[low:high, left:right], np.eye(colours, dtype=np.float32))
        these = np.ascontiguousarray(of_each[:, start - left * colours : stop - left * colours])
        bands.append(Band(slice(start, stop), slice(low * colours, high * colours), these))
    return tuple(bands)


def resize(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """A square picture (S, S, 3) at another size, smoothed where it shrinks.

    Each grey level is that of `PIL.Image.resize` with ``BICUBIC`` or its neighbour: Pillow rounds between the
    passes over columns and rows, here single precision is kept.
    """
    side = len(pixels)
    if side == size:
        return np.ascontiguousarray(pixels)
    planes = pixels.transpose(2, 0, 1)
    # Colours as they lie, side by side or plane by plane, so that nothing large is transposed.
    together, as_they_lie = (1, planes) if planes.flags.c_contiguous else (3, pixels)
    lines = as_they_lie.astype(np.float32, order="C").reshape(-1, side * together)
    narrow = np.empty((len(lines), size * together), np.float32)
    for band in _bands(side, size, together):
        np.matmul(lines[:, band.used], band.weights, out=narrow[:, band.made])
    # Light that overshoots in one pass is cut before the other, as 8 bits would.
    np.clip(narrow, 0, 255, out=narrow)
    stack = narrow.reshape(-1, side, size * together)
    both = np.empty((len(stack), size, size * together), np.float32)
    for band in _bands(side, size, 1):
        np.matmul(band.weights.T, stack[:, band.used], out=both[:, band.made])
    both += 0.5
    np.clip(both, 0, 255, out=both)
    small = both.astype(np.uint8)
    if together == 3:
        return small.reshape(size, size, 3)
    resized = np.empty((size, size, 3), np.uint8)
    # A colour at a time: numpy takes four times as long to make a transposed view contiguous.
    for colour, plane in enumerate(small):
        resized[..., colour] = plane
    return resized
