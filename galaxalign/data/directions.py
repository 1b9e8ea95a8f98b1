"""Which way the sky lies in the middle of an image, whatever its projection and system."""

import warnings

import numpy as np

from galaxalign.data.grids import Numbers, celestial_wcs, east_and_north, unit_vectors


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
            sky = celestial_wcs(raw).pixel_to_world([x, x + 0.5, x - 0.5, x, x], [y, y, y, y + 0.5, y - 0.5]).icrs
        except Exception:  # astropy raises a score of kinds on damaged headers, which the matrix may still serve
            return None
    directions = east_and_north(sky.ra.deg[0], sky.dec.deg[0])
    _, right, left, up, down = unit_vectors(sky.ra.deg, sky.dec.deg)
    axes = np.degrees(np.stack(directions) @ np.stack([right - left, up - down], axis=1))
    return axes if np.isfinite(axes).all() and np.linalg.det(axes) != 0 else None
