"""Cutouts of galaxies from survey tiles by their position, in all bands, north up."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.wcs import WCS, Sip
from numpy.typing import NDArray

from galaxalign.data.bands import band_names, check_name, find_planes
from galaxalign.data.fits_layout import PLAIN, Layout
from galaxalign.data.flags import BadImage
from galaxalign.data.grids import Numbers, sides, starts
from galaxalign.data.locators import CUT
from galaxalign.data.opening import readable
from galaxalign.data.orientation import orient
from galaxalign.data.patterns import BAND
from galaxalign.data.regridding import are_one, resample
from galaxalign.data.sections import Box, Tile, find_tile, outside, read_box
from galaxalign.data.units import MAX_VALUES

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
        return f"{CUT}{self.ra!r},{self.dec!r},{self.arcsec!r}"


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

    Raises `BadImage` where it is not ``cut=``, a position and a side.
    """
    try:
        ra, dec, arcsec = map(float, text.removeprefix(CUT).split(","))
        if not (abs(ra) <= 360 and abs(dec) <= 90 and 0 < arcsec < np.inf):
            raise ValueError(f"{text} lies nowhere")
    except ValueError as error:
        raise BadImage("unreadable", f"#{text} names no cutout: RA, Dec and arcsec are expected") from error
    return Cut(ra=ra, dec=dec, arcsec=arcsec)


def read_cut(path: str, cut: Cut, cube_bands: Sequence[str], bands: Sequence[str], layout: Layout = PLAIN) -> Cutout:
    """The cutout of a galaxy in the bands that are wanted, north up as near as quarter turns bring it.

    Each band is cut by the sky of its own file.  Where its pixels are those of the first band's grid, shifted by whole
    pixels at most, they are taken as they are; else they are brought onto the first band's, as `regridding` does.

    Parameters
    ----------
    path
        Of a tile; with ``{band}`` in it, of one file a band; with an extension a band where the layout says so.
    cut
        Where, and how much of the sky.
    cube_bands
        Bands of a cube whose header has no ``BANDS``, in order.
    bands
        Those wanted, in order.
    layout
        Which images of the files, and what masks them.

    Raises
    ------
    BadImage
        missing_file, empty_file, missing_band, missing_extension, unreadable, truncated, shape, too_large or outside.
    """
    if BAND not in path and layout.image != "bands":
        tile = find_tile(Path(path), layout)
        box, axes = _box(tile, cut)
        said = band_names(str(tile.image.header.get("BANDS", "")), single=tile.image.depth == 1)
        if layout.image == "first":
            named = str(tile.image.header.get("EXTNAME", ""))
            check_name(path, named, tile.image.depth, said, cube_bands, bands)
        planes = find_planes(path, tile.image.depth, said, cube_bands, bands)
        return _upright(read_box(tile, box, planes), outside(tile, box), axes)
    tiles = [_open_band(Path(path.replace(BAND, band)), layout, band) for band in bands]
    box, axes = _box(tiles[0], cut)
    found = [(read_box(tiles[0], box), outside(tiles[0], box))]
    found += [_read_other(tiles[0], box, other, cut) for other in tiles[1:]]
    lost = np.any([missing for _, missing in found], axis=0)
    return _upright(np.concatenate([plane for plane, _ in found]), lost, axes)


def _open_band(path: Path, layout: Layout, band: str) -> Tile:
    tile = find_tile(readable(path, "missing_band"), layout, band)
    if tile.image.depth != 1:
        raise BadImage("shape", f"{path} has {tile.image.depth} planes, one is expected in an image of one band")
    return tile


def _box(tile: Tile, cut: Cut) -> tuple[Box, Numbers]:
    """The pixels of a cutout, and the axes of the sky in its middle."""
    ra, dec = np.array([cut.ra]), np.array([cut.dec])
    axes = tile.grid.axes(ra, dec)
    side = sides(axes, np.array([cut.arcsec]))
    (x,), (y,) = (starts(place, side).tolist() for place in tile.grid.pixels(ra, dec))
    box = Box(left=x, low=y, width=int(side[0]), height=int(side[0]))
    path = tile.image.path
    if box.width > _LARGEST:
        raise BadImage("too_large", f"{cut.arcsec:g} arcsec are {box.width} pixels of {path}, {_LARGEST} are allowed")
    if tile.image.depth * box.width * box.height > MAX_VALUES:
        reason = f"{cut.arcsec:g} arcsec are {box.width} x {box.height} x {tile.image.depth} values of {path}"
        raise BadImage("too_large", f"{reason}, {MAX_VALUES} are allowed")
    if outside(tile, box).all():
        raise BadImage("outside", f"{path} holds nothing of {cut.arcsec:g} arcsec around {cut.ra:.6f} {cut.dec:+.6f}")
    return box, axes[0]


def _read_other(first: Tile, box: Box, other: Tile, cut: Cut) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Another band's plane at the pixels of the first's box, and which of them lie outside it."""
    if other.place == first.place:
        return read_box(other, box), outside(other, box)
    own, _ = _box(other, cut)
    here, shape, what = _grid_from(first, box), (box.height, box.width), str(other.image.path)
    if (own.height, own.width) == shape and are_one(here, _grid_from(other, own), shape, what):
        return read_box(other, own), outside(other, own)
    # Where the first band's pixels lie in the other's image.
    across, up = np.meshgrid(np.arange(box.width) + box.left, np.arange(box.height) + box.low)
    x, y = other.grid.pixels(*first.grid.sky(across.ravel().astype(np.float64), up.ravel().astype(np.float64)))
    if not np.isfinite(x).any():
        raise BadImage("shape", f"{first.image.path} and {what} share no sky")
    # What lies around them takes part: two pixels of either.
    margin = 2 * max(1, -(-own.width // box.width)) + 1
    left, right = (max(0, int(np.nanmin(x)) - margin), min(other.image.width, int(np.nanmax(x)) + margin))
    low, high = (max(0, int(np.nanmin(y)) - margin), min(other.image.height, int(np.nanmax(y)) + margin))
    part = Box(left=left, low=low, width=max(right - left, 1), height=max(high - low, 1))
    if part.width * part.height > MAX_VALUES:
        raise BadImage("too_large", f"the cutout is {part.width} x {part.height} pixels of {what}")
    unit = str(other.image.header.get("BUNIT", ""))
    plane = resample(read_box(other, part)[0], unit, _grid_from(other, part), here, shape, what)
    inside = (x > -0.5) & (x < other.image.width - 0.5) & (y > -0.5) & (y < other.image.height - 0.5)
    return plane[None], ~inside.reshape(shape)


def _grid_from(tile: Tile, box: Box) -> WCS:
    """The grid of a tile, its pixels counted from the first of a box."""
    wcs, start = tile.grid.wcs.deepcopy(), np.array([box.left, box.low])
    wcs.pixel_shape = None
    wcs.wcs.crpix -= start
    if wcs.sip is not None:
        wcs.sip = Sip(wcs.sip.a, wcs.sip.b, wcs.sip.ap, wcs.sip.bp, wcs.sip.crpix - start)
    return wcs


def _upright(planes: NDArray[np.float32], lost: NDArray[np.bool_], axes: Numbers) -> Cutout:
    upright = orient(np.concatenate([planes, lost[None].astype(np.float32)]), axes)
    return Cutout(planes=upright[:-1], outside=upright[-1] > 0)
