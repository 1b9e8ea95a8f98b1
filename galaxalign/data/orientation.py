"""Which way the sky lies in an image, and how it is turned upright."""

import math
import re

import numpy as np
from numpy.typing import NDArray

from galaxalign.data.units import Value

# Degrees per pixel, ((east per x, east per y), (north per x, north per y)).
UPRIGHT = np.array([[-1.0, 0.0], [0.0, 1.0]])
# Projections onto a plane around the reference point (Calabretta & Greisen 2002, A&A 395, 1077), in which north there
# is as the matrix says.
_ZENITHAL = ("", "TAN", "SIN", "STG", "ARC", "ZEA", "NCP")
_SCALE = re.compile(r"CDELT\d|CROTA\d|(CD|PC)\d_\d|PC00\d00\d")
# How many times as long as wide pixels may be: a galaxy's axis ratio is seen so much wrong.
SQUARE = 1.02
# How far north may turn between the reference point and an image's middle, degrees, before it is looked up there.
_TURN = 0.5


def celestial_axes(header: dict[str, Value]) -> tuple[int, int] | None:
    """FITS numbers of the axes of longitude and latitude, or None where the header names no such pair."""
    found: dict[str, int] = {}
    for axis in range(1, 10):
        kind = str(header.get(f"CTYPE{axis}", "")).strip().upper().partition("-")[0]
        if kind == "RA" or kind[1:] in ("LON", "LN"):
            found.setdefault("longitude", axis)
        elif kind == "DEC" or kind[1:] in ("LAT", "LT"):
            found.setdefault("latitude", axis)
    return (found["longitude"], found["latitude"]) if len(found) == 2 else None


def sky_axes(header: dict[str, Value]) -> NDArray[np.float64]:
    """Degrees on the sky per pixel, ((east per x, east per y), (north per x, north per y)), x right and y up.

    By CDi_j, or else by CDELTi with PCi_j or CROTAi (Greisen & Calabretta 2002, A&A 395, 1061).  A header without a
    celestial pair of axes, without any of these, or whose numbers describe no plane, is taken as north up, east to the
    left: `UPRIGHT` itself is returned.
    """
    pair = celestial_axes(header)
    if pair is None or not any(_SCALE.fullmatch(key) for key in header):
        return UPRIGHT
    matrix = np.array(_linear(header, pair)).reshape(2, 2)
    return matrix if np.isfinite(matrix).all() and _determinant(matrix) != 0 else UPRIGHT


def is_plain(header: dict[str, Value], axes: NDArray[np.float64], height: int, width: int) -> bool:
    """Whether north in the middle of an image is, but for `_TURN`, as its `sky_axes` say.

    It is not where another projection, another system, parameters of either, or the way there near a pole turn it.
    """
    pair = celestial_axes(header)
    # astropy would believe a matrix that describes no plane.
    if pair is None or axes is UPRIGHT:
        return True
    longitude, latitude = pair
    kind, _, projection = str(header.get(f"CTYPE{longitude}", "")).strip().upper().partition("-")
    if kind != "RA" or projection.strip("-").partition("-")[0] not in _ZENITHAL:
        return False
    if any(key.startswith("PV") for key in header) or header.get("LONPOLE", 180) != 180:
        return False
    places = [header.get(f"CRVAL{latitude}", 0), *(header.get(f"CRPIX{axis}", 0) for axis in sorted(pair))]
    if any(isinstance(place, str) for place in places):
        return True
    pole, x, y = map(float, places)
    way = math.hypot(*(axes @ ((width + 1) / 2 - x, (height + 1) / 2 - y)))
    farthest = abs(pole) + way
    return farthest < 89 and way * math.tan(math.radians(farthest)) <= _TURN


def elongation(axes: NDArray[np.float64]) -> float:
    """How many times as long as wide pixels are, whose `sky_axes` are given."""
    # Half the sum of the longest over the shortest side and of its inverse.
    mean = float((axes * axes).sum()) / (2 * abs(_determinant(axes)))
    return mean + math.sqrt(max(0.0, mean * mean - 1))


def _linear(header: dict[str, Value], pair: tuple[int, int]) -> list[float]:
    """Degrees along each world axis per pixel along each image axis, these in the order of the file."""
    places = [(row, column) for row in pair for column in sorted(pair)]

    def number(keyword: str, default: float) -> float:
        value = header.get(keyword, default)
        return default if isinstance(value, str) else float(value)

    def turn_of(i: int, j: int) -> str:
        """PCi_j, or its spelling before the standard, which Pan-STARRS has."""
        now, before = f"PC{i}_{j}", f"PC{i:03d}{j:03d}"
        return before if before in header and now not in header else now

    if any(f"CD{i}_{j}" in header for i, j in places):
        return [number(f"CD{i}_{j}", 0.0) for i, j in places]
    steps = {axis: number(f"CDELT{axis}", 1.0) for axis in pair}
    turn = math.radians(number(f"CROTA{pair[1]}", 0.0))
    if turn and math.isfinite(turn) and not any(turn_of(i, j) in header for i, j in places):
        cosine, sine = math.cos(turn), {pair[0]: -math.sin(turn), pair[1]: math.sin(turn)}
        return [steps[i] * cosine if i == j else steps[j] * sine[i] for i, j in places]
    return [steps[i] * number(turn_of(i, j), float(i == j)) for i, j in places]


def _determinant(axes: NDArray[np.float64]) -> float:
    (east_x, east_y), (north_x, north_y) = axes.tolist()
    return float(east_x * north_y - east_y * north_x)


def orient(planes: NDArray[np.float32], axes: NDArray[np.float64]) -> NDArray[np.float32]:
    """Planes (B, y, x) with y up as planes (B, row, column) with row 0 north and column 0 east.

    Only quarter turns and a mirror are used, so no pixel is resampled, nor copied: what is returned is a view.
    The mirror is applied where the WCS is left-handed (its determinant is positive): a mirrored sky would turn
    clockwise spirals into anticlockwise ones.

    Parameters
    ----------
    planes
        Shape (B, H, W), as FITS stores them.
    axes
        As `sky_axes` gives them.
    """
    if _determinant(axes) > 0:
        planes, axes = planes[:, :, ::-1], axes * np.array([-1.0, 1.0])
    # Direction of north, anticlockwise from up, in quarter turns.
    north_x, north_y = axes[1]
    turns = round(np.degrees(np.arctan2(-north_x, north_y)) / 90) % 4
    return np.rot90(planes[:, ::-1], -turns, axes=(1, 2))
