"""Bands on different pixel grids, brought onto the first one's by their WCS."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from astropy.units import Unit
from astropy.wcs import WCS
from numpy.typing import NDArray

from galaxalign.data.fits import Planes
from galaxalign.data.flags import BadImage
from galaxalign.data.grids import celestial_wcs
from galaxalign.data.orientation import celestial_axes
from galaxalign.data.units import Value

# Grids that lie so close, in pixels, are one: moving a band by less blurs more than it mends.
SAME = 0.05
# Cards that may move a grid.
_PLACING = ("CTYPE", "CRVAL", "CRPIX", "CDELT", "CROTA", "CD", "PC", "PV", "LONPOLE", "LATPOLE", "A_", "B_", "RADESYS")
# Words that make a value a brightness, which does not grow with the pixel, in a BUNIT that astropy does not know.
_PER_AREA = ("/SR", "SR-1", "SR^-1", "/STER", "ARCSEC", "PIX2", "/BEAM", "BEAM-1", "BEAM^-1")


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
    plane: NDArray[np.float32] = other.values[0]
    with _flagged(what):
        here, there = _wcs(first, what), _wcs(other, what)
    if plane.shape == shape and are_one(here, there, shape, what):
        return plane
    moved = resample(plane, str(other.header.get("BUNIT", "")), there, here, shape, what)
    if np.isnan(moved).all() and np.isfinite(plane).any():
        raise BadImage("shape", f"{what} shares no sky with the first band")
    return moved


@contextmanager
def _flagged(what: str) -> Iterator[None]:
    """Turn the many ways in which wcslib and its Python cover fail on a damaged header into one."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            yield
        except BadImage:
            raise
        except Exception as error:
            raise BadImage("shape", f"{what} cannot be aligned: {type(error).__name__}, {error}") from error


def _wcs(planes: Planes, what: str) -> WCS:
    if celestial_axes(planes.header) is None:
        raise BadImage("shape", f"{what}: the bands differ in shape or position, and no WCS says how they lie")
    return celestial_wcs(planes.raw)


def are_one(here: WCS, there: WCS, shape: tuple[int, ...], what: str) -> bool:
    """Whether two grids of one shape (y, x) lie within `SAME` pixels of each other, in corners, sides and middle.

    `what` is the band's name in errors; raises `BadImage` (shape) where a WCS is damaged.
    """
    height, width = shape
    x, y = (axis.ravel() for axis in np.meshgrid([0, (width - 1) / 2, width - 1], [0, (height - 1) / 2, height - 1]))
    with _flagged(what):
        moved = np.array(there.world_to_pixel(here.pixel_to_world(x, y)))
        return bool(np.abs(moved - np.array([x, y])).max() <= SAME)


def resample(
    plane: NDArray[np.float32], unit: str, there: WCS, here: WCS, shape: tuple[int, ...], what: str
) -> NDArray[np.float32]:
    """A band on another grid, as `stack_bands` says; not a number beyond the band's own edge.

    Parameters
    ----------
    plane, unit, there
        The band, shape (y, x), its BUNIT and its grid.
    here, shape
        The other grid, and how much of it is wanted, (y, x).
    what
        The band's name in errors.

    Raises
    ------
    BadImage
        shape: a WCS is damaged.
    """
    from reproject import reproject_adaptive, reproject_interp

    with _flagged(what):
        # Pixels of the band in one of the other grid's.
        area = abs(np.linalg.det(here.pixel_scale_matrix) / np.linalg.det(there.pixel_scale_matrix))
        values = np.ascontiguousarray(plane, np.float32)
        if area > 4:
            found, _ = reproject_adaptive(
                (values, there), here, shape_out=shape, kernel="hann", boundary_mode="strict", conserve_flux=False
            )
        else:
            found, _ = reproject_interp((values, there), here, shape_out=shape, order="bilinear")
        moved: NDArray[np.float32] = (found if is_per_area(unit) else found * area).astype(np.float32)
        return moved


def is_per_area(text: str) -> bool:
    """Whether a BUNIT is of brightness, per solid angle or pixel's area or as a temperature, not of flux in a pixel."""
    for kind in (None, "fits", "vounit", "cds"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                unit = Unit(text, format=kind)
            except (ValueError, TypeError):
                continue
        # A magnitude per area has units of its own under its logarithm.
        unit = getattr(unit, "physical_unit", unit)
        if unit.is_equivalent("K"):
            return True
        powers = list(zip(unit.bases, unit.powers, strict=True))
        angles = [power for base, power in powers if base.is_equivalent("rad") or base.is_equivalent("sr")]
        beams = [power for base, power in powers if base == Unit("beam")]
        pixels = [power for base, power in powers if base == Unit("pix")]
        per_area: bool = min([0, *angles, *beams]) < 0 or min([0, *pixels]) <= -2
        return per_area
    known = text.upper().replace(" ", "")
    return any(word in known for word in _PER_AREA)
