"""Cutouts of galaxies from survey tiles by their position, in all bands, north up."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from galaxalign.data.fits import band_names
from galaxalign.data.flags import BadImage
from galaxalign.data.grids import Numbers, sides, starts
from galaxalign.data.orientation import orient
from galaxalign.data.sections import Box, Image, find_image, outside, read_box

_MARK = "cut="
_BAND = "{band}"
# Pixels along the side of a cutout, beyond which it is none.
_LARGEST = 4096
# Bands whose pixels lie within so many of each other are laid on one another as they are.
_SAME = 1.0
# Words in BUNIT that make a value a brightness, which does not grow with the pixel.
_PER_AREA = ("/SR", "SR-1", "SR^-1", "ARCSEC", "PIX2")


@dataclass(frozen=True, kw_only=True)
class Cut:
    """A square on the sky: its centre in degrees, and its side in arcsec."""

    ra: float
    dec: float
    arcsec: float

    def __str__(self) -> str:
        """As in a locator, after the ``#``; every digit is kept, so that reading takes the pixels that were chosen."""
        return f"{_MARK}{self.ra!r},{self.dec!r},{self.arcsec!r}"


@dataclass(frozen=True, kw_only=True)
class Cutout:
    """A galaxy cut from a tile.

    Attributes
    ----------
    planes : shape (B, S, S) float32, row 0 north, column 0 east; not a number outside the tile or without data.
    outside : shape (S, S), which pixels lie outside the tile of any band.
    """

    planes: NDArray[np.float32]
    outside: NDArray[np.bool_]


def parse_cut(text: str) -> Cut:
    """The cut that a locator names after its ``#``.

    Raises `BadImage` where it is not ``cut=`` and three numbers.
    """
    try:
        ra, dec, arcsec = map(float, text.removeprefix(_MARK).split(","))
    except ValueError as error:
        raise BadImage("unreadable", f"#{text} names no cutout: RA, Dec and arcsec are expected") from error
    return Cut(ra=ra, dec=dec, arcsec=arcsec)


def read_cut(path: str, cut: Cut, cube_bands: Sequence[str], bands: Sequence[str]) -> Cutout:
    """The cutout of a galaxy in the bands that are wanted, north up as near as quarter turns bring it.

    Each band is cut by the sky of its own file. Where its pixels then lie within one of the first band's, nothing is
    resampled; where they do not, being larger, smaller or turned, they are interpolated linearly at the first band's
    pixels (at several points of each where they are smaller, whose mean is taken), and flux per pixel is scaled with
    the pixel's area.

    Parameters
    ----------
    path
        Of a tile; with ``{band}`` in it, of one file a band.
    cut
        Where, and how much of the sky.
    cube_bands
        Bands of a cube whose header has no ``BANDS``, in order.
    bands
        Those wanted, in order.

    Raises
    ------
    BadImage
        missing_file, missing_band, unreadable, truncated, shape, too_large or outside.
    """
    if _BAND not in path:
        image = find_image(Path(path))
        box, axes = _box(image, cut)
        names = band_names(str(image.header.get("BANDS", ""))) or tuple(cube_bands)
        if len(names) != image.depth or not set(bands) <= set(names):
            reason = f"{path} has {image.depth} planes, of {', '.join(names)}; {', '.join(bands)} are wanted"
            raise BadImage("missing_band", reason)
        planes = read_box(image, box)[[names.index(band) for band in bands]]
        return _upright(planes, outside(image, box), axes)
    images = [_open_band(Path(path.replace(_BAND, band))) for band in bands]
    box, axes = _box(images[0], cut)
    found = [(read_box(images[0], box), outside(images[0], box))]
    found += [_read_other(images[0], box, other, cut) for other in images[1:]]
    lost = np.any([missing for _, missing in found], axis=0)
    return _upright(np.concatenate([plane for plane, _ in found]), lost, axes)


def _open_band(path: Path) -> Image:
    if not path.is_file():
        raise BadImage("missing_band", f"there is no {path}")
    image = find_image(path)
    if image.depth != 1:
        raise BadImage("shape", f"{path} has {image.depth} planes, one is expected in a file of one band")
    return image


def _box(image: Image, cut: Cut) -> tuple[Box, Numbers]:
    """The pixels of a cutout, and the axes of the sky in its middle."""
    ra, dec = np.array([cut.ra]), np.array([cut.dec])
    axes = image.grid.axes(ra, dec)
    side = sides(axes, np.array([cut.arcsec]))
    (x,), (y,) = (starts(place, side).tolist() for place in image.grid.pixels(ra, dec))
    box = Box(left=x, low=y, width=int(side[0]), height=int(side[0]))
    if box.width > _LARGEST:
        raise BadImage(
            "too_large", f"{cut.arcsec:g} arcsec are {box.width} pixels of {image.path}, {_LARGEST} are allowed"
        )
    if outside(image, box).all():
        where = f"{cut.arcsec:g} arcsec around {cut.ra:.6f} {cut.dec:+.6f}"
        raise BadImage("outside", f"{image.path} holds nothing of {where}")
    return box, axes[0]


def _read_other(first: Image, box: Box, other: Image, cut: Cut) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Another band's plane at the pixels of the first's box, and which of them lie outside it."""
    own, own_axes = _box(other, cut)
    corners = np.meshgrid([0.0, box.width - 1.0], [0.0, box.height - 1.0])
    x, y = _places(first, box, other, *corners)
    apart = np.hypot(x - own.left - corners[0], y - own.low - corners[1])
    if own.width == box.width and (apart <= _SAME).all():
        return read_box(other, own), outside(other, own)
    return _resampled(first, box, other, own_axes)


def _places(first: Image, box: Box, other: Image, x: Numbers, y: Numbers) -> tuple[Numbers, Numbers]:
    """Where pixels of the first band's box lie in another band's image; arrays of any one shape."""
    sky = first.grid.sky(x.ravel() + box.left, y.ravel() + box.low)
    places = other.grid.pixels(*sky)
    return places[0].reshape(x.shape), places[1].reshape(x.shape)


def _resampled(
    first: Image, box: Box, other: Image, own_axes: Numbers
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    # Pixels of the other band in one of the first's.
    middle = first.grid.sky(np.array([box.left + box.width / 2]), np.array([box.low + box.height / 2]))
    area = float(abs(np.linalg.det(first.grid.axes(*middle)[0]) / np.linalg.det(own_axes)))
    points = max(1, round(np.sqrt(area)))
    offsets = (np.arange(points) + 0.5) / points - 0.5
    across, up = (np.arange(size)[:, None] + offsets for size in (box.width, box.height))
    x, y = _places(first, box, other, *np.meshgrid(across.ravel(), up.ravel()))
    if not np.isfinite(x).any():
        raise BadImage("shape", f"{first.path} and {other.path} share no sky")
    left, low = int(np.floor(np.nanmin(x))) - 1, int(np.floor(np.nanmin(y))) - 1
    part = Box(left=left, low=low, width=int(np.nanmax(x)) + 3 - left, height=int(np.nanmax(y)) + 3 - low)
    if max(part.width, part.height) > points * _LARGEST:
        raise BadImage("too_large", f"the cutout is {part.width} x {part.height} pixels of {other.path}")
    plane = read_box(other, part)[0]
    known = np.isfinite(x)
    at = np.where(known, y - low, -9), np.where(known, x - left, -9)
    values = map_coordinates(plane, at, order=1, cval=np.nan, output=np.float32)
    inside = (x > -0.5) & (x < other.grid.width - 0.5) & (y > -0.5) & (y < other.grid.height - 0.5)
    shape = (box.height, points, box.width, points)
    found = values.reshape(shape).mean(axis=(1, 3))
    unit = str(other.header.get("BUNIT", "")).upper().replace(" ", "")
    scale = 1.0 if any(word in unit for word in _PER_AREA) else area
    missing: NDArray[np.bool_] = np.logical_not(inside.reshape(shape).all(axis=(1, 3)))
    return (found * np.float32(scale))[None], missing


def _upright(planes: NDArray[np.float32], lost: NDArray[np.bool_], axes: Numbers) -> Cutout:
    upright = orient(np.concatenate([planes, lost[None].astype(np.float32)]), axes)
    return Cutout(planes=upright[:-1], outside=upright[-1] > 0)
