"""Which way the sky lies in the middle of an image, whatever its projection and system."""

import warnings

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from galaxalign.data.grids import Numbers, unit_vectors


def local_axes(raw: bytes, height: int, width: int) -> Numbers | None:
    """Degrees on the sky per pixel in the middle, ((east per x, east per y), (north per x, north per y)), by ICRS.

    Parameters
    ----------
    raw
        The image's header.
    height, width
        Its pixels along y and x.

    Returns
    -------
    Shape (2, 2); None where the header describes no sky there.
    """
    x, y = (width - 1) / 2, (height - 1) / 2
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            wcs = WCS(fits.Header.fromstring(raw.decode("latin-1"))).celestial
            sky = wcs.pixel_to_world([x, x + 0.5, x - 0.5, x, x], [y, y, y, y + 0.5, y - 0.5]).icrs
        except Exception:  # astropy raises a score of kinds on damaged headers, which the matrix may still serve
            return None
    ra, dec = np.radians(sky.ra.deg[0]), np.radians(sky.dec.deg[0])
    east = np.array([-np.sin(ra), np.cos(ra), 0.0])
    north = np.array([-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)])
    _, right, left, up, down = unit_vectors(sky.ra.deg, sky.dec.deg)
    axes = np.degrees(np.stack([east, north]) @ np.stack([right - left, up - down], axis=1))
    return axes if np.isfinite(axes).all() and np.linalg.det(axes) != 0 else None
