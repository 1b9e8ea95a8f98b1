"""Whether a picture can be judged by anybody: blank, cut by an edge, saturated, empty, or of another galaxy."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Cells on a side, about, in which light is summed before a source is looked for.
CELLS = 32
# A cell's noise is at least this, in grey levels: a black sky has none, but JPEG has steps.
LEAST_NOISE = 1.0
# So many numbers of 8 bits sum to 16.
SHORT = 257
# A channel of 8 bits so near its end is as bright as JPEG leaves white.
WHITE = 250


@dataclass(frozen=True, kw_only=True)
class Quality:
    """Where a flag begins: the section ``data.quality`` of the configuration; 1 turns a share's flag off, 0 a signal's.

    Attributes
    ----------
    max_edge : share of the picture beyond the survey's edge: rows and columns without data, from a side on.
    max_saturated : share of the middle (half of the side) that is as bright as it can be.
    min_signal : signal-to-noise, in a cell, from which something is a source.
    max_offset : distance from the middle to the nearest source, as a share of the side.
    """

    max_edge: float
    max_saturated: float
    min_signal: float
    max_offset: float

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> "Quality":
        """Read the configuration's ``data.quality``, which is also `to_dict`'s layout."""
        return cls(**{key: float(value) for key, value in settings.items()})

    def to_dict(self) -> dict[str, float]:
        """Plain numbers, for JSON."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """What of an image has data: shares of pixels without, of the image beyond an edge, and of its middle at the top.

    `constant` is the value of a band that has no other, or None.
    """

    blank: float
    edge: float
    saturated: float
    constant: float | None


def measure_flux(flux: NDArray[np.float32]) -> Coverage:
    """Coverage of flux (B, H, W): a pixel has no data where it is not a number or exactly 0, in the worst band.

    A band is saturated where its greatest value repeats, as beyond a detector's full well.
    """
    height, width = flux.shape[1:]
    with np.errstate(all="ignore"):
        known = flux != 0
        top, bottom = flux.max(axis=(1, 2)), flux.min(axis=(1, 2))
        whole = bool(known.all() and np.isfinite(top).all() and np.isfinite(bottom).all())
        if not whole:
            known &= np.isfinite(flux)
            top, bottom = (
                limit(flux, axis=(1, 2), where=known, initial=start)
                for limit, start in ((np.max, -np.inf), (np.min, np.inf))
            )
    middle = flux[:, height // 4 : height - height // 4, width // 4 : width - width // 4]
    at_top = [np.count_nonzero(plane == limit) for plane, limit in zip(middle, top, strict=True)]
    flat = np.flatnonzero((top == bottom) & (top != 0))
    return Coverage(
        blank=0.0 if whole else 1 - min(np.count_nonzero(plane) for plane in known) / (height * width),
        edge=0.0 if whole else _beyond_edge(known.all(axis=0)),
        saturated=max((count if count > 1 else 0) for count in at_top) / middle[0].size,
        constant=float(top[flat[0]]) if flat.size else None,
    )


def measure_picture(pixels: NDArray[np.uint8]) -> Coverage:
    """Coverage of a picture (H, W, 3): rows and columns of a single colour have no data.

    Single black pixels say nothing: the dark sky of an SDSS picture has up to a fifth of them.
    """
    height, width = pixels.shape[:2]
    rows = _vary(pixels)
    columns = _vary(pixels.transpose(1, 0, 2))
    middle = pixels[height // 4 : height - height // 4, width // 4 : width - width // 4]
    white = np.count_nonzero(_darkest(middle) >= WHITE) if middle.max() >= WHITE else 0
    saturated = white / (middle.shape[0] * middle.shape[1])
    if rows.all() and columns.all():
        return Coverage(blank=0.0, edge=0.0, saturated=saturated, constant=None)
    grey = not rows.any() and not columns.any() and pixels[0, 0].min() == pixels[0, 0].max() != 0
    return Coverage(
        blank=1 - rows.mean() * columns.mean(),
        edge=_beyond_lines(rows, columns),
        saturated=saturated,
        constant=float(pixels[0, 0, 0]) if grey else None,
    )


def _darkest(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The least of each pixel's colours, (H, W); over an axis of three `numpy.min` takes ten times as long."""
    red, green, blue = (pixels[..., colour] for colour in range(3))
    return np.minimum(np.minimum(red, green), blue)


def _vary(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether each line (the first axis) has more than one colour."""
    first, width = pixels[:, 0], pixels.shape[1]
    differ = (pixels[:, width // 3] != first) | (pixels[:, 2 * width // 3] != first)
    vary: NDArray[np.bool_] = differ[:, 0] | differ[:, 1] | differ[:, 2]
    # Few look the same at these places.
    for line in np.flatnonzero(~vary):
        vary[line] = (pixels[line] != first[line]).any()
    return vary


def _beyond_edge(known: NDArray[np.bool_]) -> float:
    return _beyond_lines(np.asarray(known.any(axis=1)), np.asarray(known.any(axis=0)))


def _beyond_lines(rows: NDArray[np.bool_], columns: NDArray[np.bool_]) -> float:
    """Share of the picture outside the rows and columns between the first and the last with data; 0 if none has."""
    if not rows.any() or not columns.any():
        return 0.0
    shares = [(np.flatnonzero(lines)[-1] - np.flatnonzero(lines)[0] + 1) / len(lines) for lines in (rows, columns)]
    return 1 - float(shares[0] * shares[1])


def find_source(picture: NDArray[np.uint8], original: int, min_signal: float) -> tuple[float, float]:
    """What stands out from a picture's noise, wherever it is.

    Light is summed in about 32 x 32 cells, none smaller than a pixel of the original, of which enlargement makes alike
    neighbours; the sky is their median, the noise that of the differences between neighbours (1.4826 times their median
    size over the root of 2), which a large galaxy does not inflate.

    Parameters
    ----------
    picture
        Square, uint8 (S, S, 3).
    original
        Pixels along its side before it was resized.
    min_signal
        Signal-to-noise of a source.

    Returns
    -------
    The greatest signal-to-noise of a cell; and the distance from the middle of the nearest source, as a share of the
    side, infinite where there is none.
    """
    # Between two cells at least there is a difference.
    step = max(1, len(picture) // CELLS) if original >= CELLS else -(-len(picture) // max(2, original))
    side = len(picture) // step
    used = side * step
    start = (len(picture) - used) // 2
    inner = picture[start : start + used, start : start + used]
    # Sums of the numbers of a cell, not their means: all below is in their unit.
    rows = inner.reshape(side, step, used * 3).sum(axis=1, dtype=np.uint16 if step <= SHORT else np.uint32)
    cells = (rows.astype(np.float32).reshape(-1, step * 3) @ np.ones(step * 3, np.float32)).reshape(side, side)
    sky = _median(cells)
    noise = max(LEAST_NOISE * 3 * step**2, 1.4826 * _median(np.abs(cells[:, 1:] - cells[:, :-1])) / math.sqrt(2))
    sources = cells >= sky + min_signal * noise
    return (float(cells.max()) - sky) / noise, float(_distances(side)[sources].min(initial=math.inf))


@lru_cache(maxsize=8)
def _distances(side: int) -> NDArray[np.float64]:
    """Of each cell from the middle, as shares of the side, (side, side)."""
    places = (np.arange(side) - (side - 1) / 2) / side
    distances: NDArray[np.float64] = np.hypot(places[:, None], places)
    return distances


def _median(values: NDArray[np.float32]) -> float:
    """The median, without the care that `numpy.median` takes of values that are not a number."""
    ordered = np.sort(values, axis=None)
    return float(ordered[(values.size - 1) // 2] + ordered[values.size // 2]) / 2


def judge(
    coverage: Coverage, picture: NDArray[np.uint8], original: int, max_blank: float, quality: Quality
) -> tuple[str, str]:
    """Flag and reason of a picture, both empty where it is good.

    Parameters
    ----------
    coverage
        Of the part of the image that is kept, before it is resized.
    picture
        As it is stored, uint8 (S, S, 3).
    original
        Pixels along the side of the part that is kept.
    max_blank, quality
        Where flags begin.
    """
    if coverage.constant is not None:
        return "constant", f"every pixel is {coverage.constant:g}"
    if coverage.edge > quality.max_edge:
        return "edge", f"{_percent(coverage.edge)} of it lie beyond an edge, {_percent(quality.max_edge)} are allowed"
    if coverage.blank > max_blank:
        return "blank", f"{_percent(coverage.blank)} of its pixels have no data, {_percent(max_blank)} are allowed"
    if coverage.saturated > quality.max_saturated:
        return "saturated", (
            f"{_percent(coverage.saturated)} of its middle are as bright as they can be, "
            f"{_percent(quality.max_saturated)} are allowed"
        )
    if quality.min_signal == 0:
        return "", ""
    signal, distance = find_source(picture, original, quality.min_signal)
    if signal < quality.min_signal:
        return "faint", f"its brightest spot is {signal:.1f} times the noise, {quality.min_signal:g} make a source"
    if distance > quality.max_offset:
        return "off_centre", (
            f"its nearest source is {_percent(distance)} of the side from the middle, "
            f"{_percent(quality.max_offset)} are allowed"
        )
    return "", ""


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
