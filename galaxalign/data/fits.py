"""FITS images as they come: planes, band names, and the sky the right way round."""

import bz2
import gzip
import warnings
import zlib
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray

from galaxalign.data.flags import BadImage

# What astropy and the decompressors raise on files that are damaged in one way or another.
_DAMAGED = (OSError, EOFError, TypeError, ValueError, IndexError, KeyError, zlib.error, fits.VerifyError)


def read_fits(path: Path) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """The first image of a FITS file.

    Returns
    -------
    planes : shape (B, H, W) float32, north up and east to the left, as near as quarter turns bring it.
    bands : the names in its ``BANDS`` header ("grz", or "VIS,Y,J"), or none.

    Raises
    ------
    BadImage
        truncated, unreadable or shape.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            with fits.open(path, memmap=False) as units:
                images = [u for u in units if getattr(u, "is_image", False) and u.header.get("NAXIS", 0) >= 2]
                if not images:
                    raise BadImage("unreadable", f"{path} has no image")
                header, values = images[0].header, np.array(images[0].data, dtype=np.float32)
        except _DAMAGED as error:
            said = [str(error), *(str(warning.message) for warning in caught)]
            cut = any("truncated" in text or "buffer" in text for text in said) or _stream_ends_early(path)
            raise BadImage("truncated" if cut else "unreadable", f"{path}: {error}") from error
        if any("truncated" in str(warning.message) for warning in caught):
            raise BadImage("truncated", f"{path}: its last bytes are missing")
        if values.ndim not in (2, 3):
            raise BadImage("shape", f"{path} has {values.ndim} axes, 2 or 3 are expected")
        planes = values.reshape(-1, *values.shape[-2:])
        return orient(planes, sky_axes(header)), band_names(str(header.get("BANDS", "")))


def _stream_ends_early(path: Path) -> bool:
    """Whether a compressed file breaks off; astropy says only that such a file is corrupt."""
    kinds: dict[str, type[gzip.GzipFile] | type[bz2.BZ2File]] = {".gz": gzip.GzipFile, ".bz2": bz2.BZ2File}
    if path.suffix.lower() not in kinds:
        return False
    try:
        with kinds[path.suffix.lower()](path) as stream:
            while stream.read(2**20):
                pass
    except EOFError:
        return True
    except (OSError, zlib.error):
        return False
    return False


def band_names(text: str) -> tuple[str, ...]:
    """Names from a ``BANDS`` header: separated by commas or blanks, or else a letter each."""
    words = text.replace(",", " ").split()
    return tuple(words) if len(words) > 1 else tuple("".join(words))


def sky_axes(header: fits.Header) -> NDArray[np.float64]:
    """Degrees on the sky per pixel, ((east per x, east per y), (north per x, north per y)), x right and y up.

    A header without a celestial WCS is taken as north up, east to the left.
    """
    wcs = WCS(header, naxis=2)
    if not wcs.has_celestial:
        return np.array([[-1.0, 0.0], [0.0, 1.0]])
    axes: NDArray[np.float64] = wcs.celestial.pixel_scale_matrix
    return axes if wcs.wcs.lng < wcs.wcs.lat else axes[::-1]


def orient(planes: NDArray[np.float32], axes: NDArray[np.float64]) -> NDArray[np.float32]:
    """Planes (B, y, x) with y up as planes (B, row, column) with row 0 north and column 0 east.

    Only quarter turns and a mirror are used, so no pixel is resampled.  The mirror is applied where the
    WCS is left-handed (its determinant is positive): a mirrored sky would turn clockwise spirals into
    anticlockwise ones.

    Parameters
    ----------
    planes
        Shape (B, H, W), as FITS stores them.
    axes
        As `sky_axes` gives them.
    """
    if np.linalg.det(axes) > 0:
        planes, axes = planes[:, :, ::-1], axes * np.array([-1.0, 1.0])
    # Direction of north, anticlockwise from up, in quarter turns.
    north_x, north_y = axes[1]
    turns = round(np.degrees(np.arctan2(-north_x, north_y)) / 90) % 4
    upright = np.rot90(planes[:, ::-1], -turns, axes=(1, 2))
    return np.ascontiguousarray(upright)
