"""One reader for every kind of image: FITS, pictures and rows of HDF5 files, north up and east to the left.

A source is named by a text, its locator:

* ``galaxies/1.fits`` (also ``.fit .fits.gz .fits.bz2 .fits.fz``): a cube of bands, an extension a band, or one band;
* ``galaxies/1_{band}.fits``: one file a band, ``{band}`` standing for its name;
* ``galaxies/1.jpg`` (also ``.jpeg .png .tif .tiff .webp``): a picture;
* ``tiles/t1_{band}.fits#cut=150.1,2.2,60.0``: 60 arcsec around RA 150.1, Dec 2.2 of a tile (see `cuts`);
* ``Galaxy10_DECals.h5#17``: row 17 of the data set `images` of an HDF5 file: a picture, or flux (bands, y, x) as
  FITS stores it, of the bands that ``data.bands`` names, its first row in the south.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from galaxalign.data.bands import check_name, find_planes
from galaxalign.data.crop import crop_centre
from galaxalign.data.fits import Planes, read_fits
from galaxalign.data.fits_layout import PLAIN, Layout
from galaxalign.data.flags import BadImage
from galaxalign.data.locators import CUT, HDF5, split_locator
from galaxalign.data.opening import readable
from galaxalign.data.orientation import SQUARE, elongation, is_plain, orient, sky_axes
from galaxalign.data.raster import MAX_PIXELS, read_picture

PICTURES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp")
FITS = (".fits", ".fit", ".fits.gz", ".fits.bz2", ".fits.fz", ".fit.gz", ".fit.bz2", ".fit.fz")
KINDS = PICTURES + FITS


@dataclass(frozen=True, kw_only=True)
class Flux:
    """Flux, shape (B, H, W) float32, row 0 north, column 0 east; pixels without data are not a number.

    The values may be a view of a file's bytes, in either byte order and any order of axes in memory: whoever
    calculates with many of them makes them contiguous first.
    `outside`, shape (H, W), says which pixels lie outside the tile of a cutout; None for whole images.
    """

    values: NDArray[np.float32]
    bands: tuple[str, ...]
    outside: NDArray[np.bool_] | None = None


def read_image(
    source: str,
    *,
    cube_bands: Sequence[str],
    bands: Sequence[str],
    layout: Layout = PLAIN,
    crop: float | None = None,
) -> Flux | NDArray[np.uint8]:
    """The image at a locator.

    Parameters
    ----------
    source
        The locator.
    cube_bands
        Bands of a FITS cube whose header has no ``BANDS``, and of flux in HDF5, in order.
    bands
        Bands wanted of flux; others are left out.
    layout
        How FITS files are laid out.
    crop
        Share of the shorter side that is kept, around the centre; None for the whole image.

    Returns
    -------
    Flux of the wanted bands from FITS, on the pixel grid of the first, and from floats in HDF5; from the other kinds a
    picture, uint8 (H, W, 3).  Both have north up and east to the left: FITS as their WCS says (pictures and HDF5 rows
    are taken to be so already).

    Raises
    ------
    BadImage
        With the flag and the reason.
    """
    path, row = split_locator(source)
    if path.lower().endswith(PICTURES) and not row.startswith(CUT):
        return read_picture(readable(Path(path)), crop)
    image = _read_whole(path, row, source, cube_bands, bands, layout)
    if crop is None:
        return image
    if isinstance(image, Flux):
        outside = image.outside if image.outside is None else crop_centre(image.outside, crop)
        values = crop_centre(image.values.transpose(1, 2, 0), crop).transpose(2, 0, 1)
        return replace(image, values=values, outside=outside)
    return crop_centre(image, crop)


def _read_whole(
    path: str, row: str, source: str, cube_bands: Sequence[str], bands: Sequence[str], layout: Layout
) -> Flux | NDArray[np.uint8]:
    """All of an image that is not in a picture file."""
    if row.startswith(CUT):
        return _read_cut(path, row, cube_bands, bands, layout)
    if path.lower().endswith(HDF5):
        return _read_row(path, row, cube_bands, bands)
    if path.lower().endswith(FITS):
        if "{band}" in path:
            return _stack(source, bands, [_read_band(source, band, layout) for band in bands])
        planes = read_fits(readable(Path(path)), layout, bands)
        if layout.image == "bands":
            return _stack(source, bands, [_single(path, plane) for plane in planes])
        if layout.image == "first":
            named = str(planes[0].header.get("EXTNAME", ""))
            check_name(path, named, len(planes[0].values), planes[0].bands, cube_bands, bands)
        return _choose(path, planes[0], cube_bands, bands)
    raise BadImage("unreadable", f"{path} ends in none of {', '.join(KINDS + HDF5)}")


def _read_cut(path: str, row: str, cube_bands: Sequence[str], bands: Sequence[str], layout: Layout) -> Flux:
    # They bring astropy and scipy, without which a process that reads images starts in a quarter of the time.
    from galaxalign.data.cuts import parse_cut, read_cut

    cutout = read_cut(path, parse_cut(row), cube_bands, bands, layout)
    return Flux(values=cutout.planes, bands=tuple(bands), outside=cutout.outside)


def _choose(path: str, planes: Planes, cube_bands: Sequence[str], bands: Sequence[str]) -> Flux:
    """The wanted planes of a cube."""
    count = len(planes.values)
    places = find_planes(path, count, planes.bands, cube_bands, bands)
    chosen = planes.values if places == list(range(count)) else planes.values[places]
    return Flux(values=orient(chosen, _axes(path, planes)), bands=tuple(bands))


def _axes(path: str, planes: Planes) -> NDArray[np.float64]:
    """Which way the sky lies in the middle of an image, whose pixels must be square."""
    height, width = planes.values.shape[1:]
    axes = sky_axes(planes.header)
    if (length := elongation(axes)) > SQUARE:
        raise BadImage("shape", f"{path}: its pixels are {length:.3g} times as long as wide: bring it onto square ones")
    if is_plain(planes.header, axes, height, width):
        return axes
    # As with tiles.
    from galaxalign.data.directions import local_axes

    there = local_axes(planes.raw, height, width)
    return axes if there is None else there


def _read_band(source: str, band: str, layout: Layout) -> Planes:
    path = Path(source.replace("{band}", band))
    (planes,) = read_fits(readable(path, "missing_band"), layout, [band])
    return _single(str(path), planes)


def _single(path: str, planes: Planes) -> Planes:
    if len(planes.values) != 1:
        raise BadImage("shape", f"{path} has {len(planes.values)} planes, one is expected in an image of one band")
    return planes


def _stack(source: str, bands: Sequence[str], planes: Sequence[Planes]) -> Flux:
    # As above.
    from galaxalign.data.regridding import stack_bands

    values = stack_bands(bands, planes, source)
    return Flux(values=orient(values, _axes(source, planes[0])), bands=tuple(bands))


@lru_cache(maxsize=4)
def _hdf5_images(path: str) -> h5py.Dataset:
    """The pictures of an HDF5 file, which stays open: each worker reads many rows of it."""
    return h5py.File(readable(Path(path)), "r")["images"]


def _read_row(path: str, row: str, cube_bands: Sequence[str], bands: Sequence[str]) -> Flux | NDArray[np.uint8]:
    if not row.isdecimal():
        raise BadImage("unreadable", f"{path}#{row} names no row: the number of one is expected after #")
    try:
        images = _hdf5_images(path)
        if math.prod(images.shape[1:]) > 3 * MAX_PIXELS:
            raise BadImage("too_large", f"row {row} of {path} has the shape {images.shape[1:]}")
        values: NDArray[np.uint8] = images[int(row)]
    # What h5py raises on files that are damaged in one way or another.
    except (OSError, KeyError, ValueError, IndexError, TypeError, AttributeError, RuntimeError, OverflowError) as error:
        raise BadImage("unreadable", f"row {row} of {path}: {error}") from error
    if values.ndim == 3 and values.dtype.kind == "f":
        if len(values) != len(cube_bands) or not {*bands} <= {*cube_bands}:
            reason = f"row {row} of {path} has {len(values)} planes, data.bands names {', '.join(cube_bands)}"
            raise BadImage("missing_band", f"{reason}, wanted are {', '.join(bands)}")
        planes = values[[list(cube_bands).index(band) for band in bands], ::-1].astype(np.float32)
        return Flux(values=planes, bands=tuple(bands))
    if values.ndim != 3 or values.shape[2] != 3 or values.dtype != np.uint8:
        raise BadImage("shape", f"row {row} of {path} is {values.dtype} {values.shape}, not uint8 (H, W, 3)")
    return values
