"""Pixel grids on the sky: where a position lies in a FITS image, and which pixels a cutout around it takes."""

import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray

from galaxalign.data.orientation import SQUARE

Numbers = NDArray[np.float64]

# Header cards that say where pixels lie on the sky, distortions included.
_STRANGE = re.compile(rb"[^\x20-\x7e]")
_SKY = re.compile(
    r"(NAXIS\d?|WCSAXES|CTYPE\d|CUNIT\d|CRVAL\d|CRPIX\d|CDELT\d|CROTA\d|(CD|PC)\d_\d|PC00\d00\d|PV\d_\d+|PS\d_\d+"
    r"|(A|B|AP|BP)_(\d_\d|ORDER|DMAX)|LONPOLE|LATPOLE|RADE?C?SYS|EQUINOX|EPOCH|CPDIS\d|D2IM.*|DP\d.*)"
)
# Systems whose positions are others than those of ICRS and J2000, which no two pixels of a survey tell apart.
_OTHER_SYSTEMS = {"FK4", "FK4-NO-E", "GAPPT"}
# Years that precession needs for a twentieth of an arcsec.
_SAME_EQUINOX = 1e-3
_DEGREES = {"deg", "degree", "degrees"}
# The step of the numerical derivative, degrees.
_STEP = 1 / 3600
# A position is on a grid if the way to its pixel and back brings no more than this aside, degrees: polynomial
# distortions may fold far-off sky into the image.
_ASIDE = 0.1 / 3600
# Pixels that are farther than any image is wide.
_FAR = 2**40


class NoGrid(ValueError):
    """A header that does not say where its pixels lie on the equatorial sky."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The pixels of an image, its sky as ICRS or FK5 of J2000.

    Attributes
    ----------
    wcs : of the two celestial axes.
    width, height : pixels.
    """

    wcs: WCS
    width: int
    height: int

    @classmethod
    def from_header(cls, header: fits.Header) -> "Grid":
        """The grid of an image with at least two axes, of which the first two are on the sky.

        Raises
        ------
        NoGrid
            No celestial axes, others than right ascension and declination of J2000, pixels that are not square, or a
            distortion by tables.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                wcs = WCS(_spelled(header), naxis=2)
                wcs.wcs.set()
        except Exception as error:  # astropy raises a score of kinds, bare ValueError and AssertionError among them
            raise NoGrid(f"its WCS cannot be read ({' '.join(str(error).split())})") from error
        if not wcs.has_celestial:
            raise NoGrid("its header has no celestial WCS")
        axes = wcs.wcs.lngtyp.strip(), wcs.wcs.lattyp.strip()
        if axes != ("RA", "DEC"):
            raise NoGrid(f"its WCS is in {' and '.join(axes)}, not in RA and DEC of J2000")
        system, equinox = wcs.wcs.radesys.strip(), wcs.wcs.equinox
        if system in _OTHER_SYSTEMS or (system in {"", "FK5"} and abs(equinox - 2000) > _SAME_EQUINOX):
            date = "" if np.isnan(equinox) else f" of equinox {equinox:g}"
            raise NoGrid(f"its WCS is in RA and DEC{f' ({system})' if system else ''}{date}, not of J2000")
        lengths = np.linalg.svd(wcs.pixel_scale_matrix, compute_uv=False)
        if lengths[0] > SQUARE * lengths[1]:
            raise NoGrid(
                f"its pixels are {lengths[0] / lengths[1]:.3g} times as long as wide: bring it onto square ones"
            )
        return cls(wcs=wcs, width=int(header["NAXIS1"]), height=int(header["NAXIS2"]))

    def pixels(self, ra: Numbers, dec: Numbers) -> tuple[Numbers, Numbers]:
        """Where positions lie, x and y from 0 at the middle of the first pixel; not a number where they have no pixel.

        Parameters
        ----------
        ra, dec
            Degrees, shape (N,).
        """
        x, y = self._pixels(ra, dec)
        aside = np.linalg.norm(unit_vectors(*self.sky(x, y)) - unit_vectors(ra, dec), axis=-1)
        lost = ~(aside < np.radians(_ASIDE))
        return np.where(lost, np.nan, x), np.where(lost, np.nan, y)

    def sky(self, x: Numbers, y: Numbers) -> tuple[Numbers, Numbers]:
        """Right ascension and declination of pixels, degrees; the inverse of `pixels`."""
        return _transformed(self.wcs.all_pix2world, x, y)

    def _pixels(self, ra: Numbers, dec: Numbers) -> tuple[Numbers, Numbers]:
        return _transformed(partial(self.wcs.all_world2pix, quiet=True), ra, dec)

    def axes(self, ra: Numbers, dec: Numbers) -> Numbers:
        """Degrees on the sky per pixel at positions, ((east per x, east per y), (north per x, north per y)).

        Taken where the galaxy is, since north turns within a tile near a pole and distortions change the scale.

        Returns
        -------
        Shape (N, 2, 2); not a number where a position has no pixel.
        """
        here, step = unit_vectors(ra, dec), np.radians(_STEP)
        columns = []
        for direction in east_and_north(ra, dec):
            ahead = np.stack(self._pixels(*positions(here + step * direction)), axis=-1)
            behind = np.stack(self._pixels(*positions(here - step * direction)), axis=-1)
            columns.append((ahead - behind) / (2 * _STEP))
        per_degree = np.stack(columns, axis=-1)
        (x_east, x_north), (y_east, y_north) = np.moveaxis(per_degree, 0, -1)
        with np.errstate(divide="ignore", invalid="ignore"):
            inverse = np.array([[y_north, -x_north], [-y_east, x_east]]) / (x_east * y_north - x_north * y_east)
        per_pixel: Numbers = np.moveaxis(inverse, -1, 0)
        return per_pixel

    def circle(self) -> tuple[float, float, float]:
        """Right ascension, declination and radius, in degrees, of a circle on the sky that holds the image."""
        across, up = self.width, self.height
        x = np.array([across / 2, 0, across / 2, across, 0, across, 0, across / 2, across]) - 0.5
        y = np.array([up / 2, 0, 0, 0, up / 2, up / 2, up, up, up]) - 0.5
        vectors = unit_vectors(*self.sky(x, y))
        if not np.isfinite(vectors).all():
            # Part of the image lies beyond the sky, as in maps of all of it.
            return 0.0, 0.0, 180.0
        ra, dec = positions(vectors[:1])
        chord = np.linalg.norm(vectors - vectors[0], axis=-1).max()
        return float(ra[0]), float(dec[0]), float(np.degrees(2 * np.arcsin(min(1.0, chord / 2))))


def celestial_wcs(raw: bytes) -> WCS:
    """The WCS of the two celestial axes of a header, its own bytes, in any system; raises what astropy raises."""
    # Wcslib knows ASCII alone, and comments with a degree sign or an accent say nothing of the sky.
    header = fits.Header.fromstring(_STRANGE.sub(b"?", raw).decode("ascii"))
    # SIP is of the first two axes, and astropy refuses it where there are others.
    return WCS(_spelled(header), naxis=2 if "A_ORDER" in header or "B_ORDER" in header else None).celestial


def _spelled(header: fits.Header) -> fits.Header:
    """A header that spells degrees as FITS does; astropy mends others, but not where it reads two axes alone."""
    spelled = header.copy()
    for key in ("CUNIT1", "CUNIT2"):
        if str(header.get(key, "")).strip().lower() in _DEGREES:
            spelled[key] = "deg"
    return spelled


def _transformed(transform: Callable[..., Any], first: Numbers, second: Numbers) -> tuple[Numbers, Numbers]:
    """Both coordinates as a transform of astropy's gives them; not a number where it gives none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            one, other = transform(first, second, 0, ra_dec_order=True)
        except ValueError:
            # What wcslib raises for numbers that describe no plane.
            return np.full_like(first, np.nan), np.full_like(second, np.nan)
    return np.asarray(one, np.float64), np.asarray(other, np.float64)


def unit_vectors(ra: Numbers, dec: Numbers) -> Numbers:
    """Positions in degrees as points on the unit sphere, shape (N, 3)."""
    alpha, delta = np.radians(ra), np.radians(dec)
    return np.stack([np.cos(delta) * np.cos(alpha), np.cos(delta) * np.sin(alpha), np.sin(delta)], axis=-1)


def east_and_north(ra: Numbers, dec: Numbers) -> tuple[Numbers, Numbers]:
    """Directions to the east and to the north at positions in degrees, each of unit length, shape (N, 3)."""
    alpha, delta = np.radians(ra), np.radians(dec)
    east = np.stack([-np.sin(alpha), np.cos(alpha), np.zeros_like(alpha)], axis=-1)
    north = np.stack([-np.sin(delta) * np.cos(alpha), -np.sin(delta) * np.sin(alpha), np.cos(delta)], axis=-1)
    return east, north


def positions(vectors: Numbers) -> tuple[Numbers, Numbers]:
    """Right ascension from 0 to 360 and declination, in degrees, of directions of any length, shape (N, 3)."""
    x, y, z = np.moveaxis(vectors, -1, 0)
    return np.degrees(np.arctan2(y, x)) % 360, np.degrees(np.arctan2(z, np.hypot(x, y)))


def pixel_sides(axes: Numbers) -> Numbers:
    """Side of a square of a pixel's area, arcsec (N,); axes as `Grid.axes` gives them, shape (N, 2, 2)."""
    area: Numbers = np.abs(axes[..., 0, 0] * axes[..., 1, 1] - axes[..., 0, 1] * axes[..., 1, 0])
    return 3600 * np.sqrt(area)


def sides(axes: Numbers, arcsec: Numbers) -> NDArray[np.int64]:
    """Pixels along the side of square cutouts, at least 1; 0 where the scale is not known.

    Parameters
    ----------
    axes
        As `Grid.axes` gives them, shape (N, 2, 2).
    arcsec
        Fields of view, shape (N,).
    """
    pixel = pixel_sides(axes)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        number = np.rint(arcsec / pixel)
    return np.where(np.isfinite(number), np.clip(number, 1, _FAR), 0).astype(np.int64)


def starts(place: Numbers, side: NDArray[np.int64]) -> NDArray[np.int64]:
    """First pixel along one axis of cutouts around places: the middle of a cutout is at most half a pixel away."""
    # A millionth of a pixel decides nothing, or ties would fall as the last digit of a computer has it.
    first = np.ceil(np.round(np.clip(place, -_FAR, _FAR) - side / 2, 6))
    return np.where(np.isfinite(place), first, -2 * _FAR).astype(np.int64)


def sky_header(header: fits.Header) -> str:
    """What of a header says where its pixels lie, as a text that `fits.Header.fromstring` reads."""
    cards = [card for card in header.cards if _SKY.fullmatch(card.keyword)]
    return str(fits.Header(cards).tostring(sep="\n", endcard=False, padding=False))
