"""Cutouts of galaxies from survey tiles by their position, in all bands, north up."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.wcs import WCS, Sip
from numpy.typing import NDArray

from galaxalign.data.fits import band_names
from galaxalign.data.flags import BadImage
from galaxalign.data.grids import Numbers, sides, starts
from galaxalign.data.orientation import orient
from galaxalign.data.regridding import are_one, resample
from galaxalign.data.sections import Box, Image, find_image, outside, read_box
from galaxalign.data.units import MAX_VALUES

_MARK = "cut="
_BAND = "{band}"
# Pixels along the side of a cutout, beyond which it is none.
_LARGEST = 4096


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


def parse_cut(text: str) -> Cut | None:
    """The cut that a locator names after its ``#``; None where it names something else.

    Raises `BadImage` where what follows ``cut=`` are not three numbers.
    """
    if not text.startswith(_MARK):
        return None
    try:
        ra, dec, arcsec = map(float, text.removeprefix(_MARK).split(","))
    except ValueError as error:
        raise BadImage("unreadable", f"#{text} names no cutout: RA, Dec and arcsec are expected") from error
    return Cut(ra=ra, dec=dec, arcsec=arcsec)


def read_cut(path: str, cut: Cut, cube_bands: Sequence[str], bands: Sequence[str]) -> Cutout:
    """The cutout of a galaxy in the bands that are wanted, north up as near as quarter turns bring it.

    Each band is cut by the sky of its own file.  Where its pixels are those of the first band's grid, shifted by whole
    pixels at most, they are taken as they are; else they are brought onto the first band's, as `regridding` does.

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
    if other.place == first.place:
        return read_box(other, box), outside(other, box)
    own, _ = _box(other, cut)
    here, shape, what = _grid_from(first, box), (box.height, box.width), str(other.path)
    if (own.height, own.width) == shape and are_one(here, _grid_from(other, own), shape, what):
        return read_box(other, own), outside(other, own)
    # Where the first band's pixels lie in the other's image.
    across, up = np.meshgrid(np.arange(box.width) + box.left, np.arange(box.height) + box.low)
    x, y = other.grid.pixels(*first.grid.sky(across.ravel().astype(np.float64), up.ravel().astype(np.float64)))
    if not np.isfinite(x).any():
        raise BadImage("shape", f"{first.path} and {other.path} share no sky")
    # What lies around them takes part: two pixels of either.
    margin = 2 * max(1, -(-own.width // box.width)) + 1
    left, right = (max(0, int(np.nanmin(x)) - margin), min(other.grid.width, int(np.nanmax(x)) + margin))
    low, high = (max(0, int(np.nanmin(y)) - margin), min(other.grid.height, int(np.nanmax(y)) + margin))
    part = Box(left=left, low=low, width=max(right - left, 1), height=max(high - low, 1))
    if part.width * part.height > MAX_VALUES:
        raise BadImage("too_large", f"the cutout is {part.width} x {part.height} pixels of {other.path}")
    unit = str(other.header.get("BUNIT", ""))
    plane = resample(read_box(other, part)[0], unit, _grid_from(other, part), here, shape, what)
    inside = (x > -0.5) & (x < other.grid.width - 0.5) & (y > -0.5) & (y < other.grid.height - 0.5)
    return plane[None], ~inside.reshape(shape)


def _grid_from(image: Image, box: Box) -> WCS:
    """The grid of an image, its pixels counted from the first of a box."""
    wcs, start = image.grid.wcs.deepcopy(), np.array([box.left, box.low])
    wcs.pixel_shape = None
    wcs.wcs.crpix -= start
    if wcs.sip is not None:
        wcs.sip = Sip(wcs.sip.a, wcs.sip.b, wcs.sip.ap, wcs.sip.bp, wcs.sip.crpix - start)
    return wcs


def _upright(planes: NDArray[np.float32], lost: NDArray[np.bool_], axes: Numbers) -> Cutout:
    upright = orient(np.concatenate([planes, lost[None].astype(np.float32)]), axes)
    return Cutout(planes=upright[:-1], outside=upright[-1] > 0)
