"""Bands on different pixel grids, brought onto the first one's by their WCS."""

import warnings
from collections.abc import Sequence

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray

from galaxalign.data.fits import Planes
from galaxalign.data.flags import BadImage
from galaxalign.data.orientation import celestial_axes
from galaxalign.data.units import Value

# Grids that lie so close, in pixels, are one: moving a band by less blurs more than it mends.
SAME = 0.05
# Cards that may move a grid.
_PLACING = ("CTYPE", "CRVAL", "CRPIX", "CDELT", "CROTA", "CD", "PC", "PV", "LONPOLE", "LATPOLE", "A_", "B_", "RADESYS")
# Words in BUNIT that make a value a brightness, which does not grow with the pixel.
_PER_AREA = ("/SR", "SR-1", "SR^-1", "ARCSEC", "PIX2")


def stack_bands(bands: Sequence[str], planes: Sequence[Planes], source: str) -> NDArray[np.float32]:
    """One plane of each band, all on the grid of the first, shape (B, y, x); not a number beyond a band's own edge.

    Where grids are one (within `SAME` pixels), or there is no WCS but the shapes agree, values stay as they are.
    Others are interpolated linearly; where the pixels of a band are smaller than half of the first's, their mean is
    taken (a drizzle kernel of their own size), so that no light falls between.  Flux per pixel is scaled with the
    pixel's area; values whose BUNIT is per area are not.

    Raises
    ------
    BadImage
        shape: the shapes differ and a WCS is missing, or they share no sky.
    """
    first = planes[0]
    stacked = [first.values[0]]
    for band, other in zip(bands[1:], planes[1:], strict=True):
        stacked.append(other.values[0] if _same_cards(first, other) else _onto(first, other, f"{source}, band {band}"))
    return np.stack(stacked)


def _same_cards(first: Planes, other: Planes) -> bool:
    if first.values.shape[1:] != other.values.shape[1:]:
        return False
    # Pictures of the detector have no sky to be aligned by.
    if celestial_axes(first.header) is None and celestial_axes(other.header) is None:
        return True
    placing: list[dict[str, Value]] = [
        {key: value for key, value in plane.header.items() if key.startswith(_PLACING)} for plane in (first, other)
    ]
    return placing[0] == placing[1]


def _onto(first: Planes, other: Planes, what: str) -> NDArray[np.float32]:
    """The plane of `other` on the grid of `first`."""
    shape = first.values.shape[1:]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            return _moved(_wcs(first, what), _wcs(other, what), shape, other)
        except BadImage:
            raise
        # wcslib and its Python cover fail on a damaged header in many ways.
        except Exception as error:
            raise BadImage("shape", f"{what} cannot be aligned: {type(error).__name__}, {error}") from error


def _wcs(planes: Planes, what: str) -> WCS:
    if celestial_axes(planes.header) is None:
        raise BadImage("shape", f"{what}: the bands differ in shape or position, and no WCS says how they lie")
    return WCS(fits.Header.fromstring(planes.raw.decode("latin-1"))).celestial


def _moved(here: WCS, there: WCS, shape: tuple[int, ...], other: Planes) -> NDArray[np.float32]:
    from reproject import reproject_adaptive, reproject_interp

    height, width = shape
    x, y = (axis.ravel() for axis in np.meshgrid([0, (width - 1) / 2, width - 1], [0, (height - 1) / 2, height - 1]))
    moved = np.array(there.world_to_pixel(here.pixel_to_world(x, y)))
    if other.values.shape[1:] == shape and np.abs(moved - np.array([x, y])).max() <= SAME:
        unmoved: NDArray[np.float32] = other.values[0]
        return unmoved
    # Pixels of the other band in one of the first's.
    area = abs(np.linalg.det(here.pixel_scale_matrix) / np.linalg.det(there.pixel_scale_matrix))
    values = np.ascontiguousarray(other.values[0], np.float32)
    if area > 4:
        found, _ = reproject_adaptive(
            (values, there), here, shape_out=shape, kernel="hann", boundary_mode="strict", conserve_flux=False
        )
    else:
        found, _ = reproject_interp((values, there), here, shape_out=shape, order="bilinear")
    if np.isnan(found).all():
        raise BadImage("shape", "the bands share no sky")
    unit = str(other.header.get("BUNIT", "")).upper().replace(" ", "")
    per_pixel = not any(word in unit for word in _PER_AREA)
    moved_plane: NDArray[np.float32] = (found * area if per_pixel else found).astype(np.float32)
    return moved_plane
