"""Parts of FITS images: only the pixels that are asked for are read, however large the image is."""

import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import fitsio
import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from galaxalign.data.flags import BadImage
from galaxalign.data.grids import Grid, NoGrid, image_header

# Files whose sections can be read: as they are, or compressed tile by tile. The others are packed as a whole.
SUFFIXES = (".fits", ".fit", ".fits.fz", ".fit.fz")
# Images that stay open in a worker: some tiles, one file a band.
_OPEN = 48
# Planes of a cube, beyond which it is none of bands.
_DEEPEST = 64


@dataclass(frozen=True, kw_only=True)
class Box:
    """Pixels of an image: the first column and row from 0, which may lie outside of it, and the size."""

    left: int
    low: int
    width: int
    height: int


@dataclass(frozen=True, kw_only=True)
class OpenImage:
    """An image of which sections are read.

    Attributes
    ----------
    path : of its file.
    unit : fitsio's, of the image.
    grid : of its pixels.
    header : of the image.
    depth : planes.
    """

    path: Path
    unit: Any
    grid: Grid
    header: fits.Header
    depth: int


def open_image(path: Path) -> OpenImage:
    """The first image of a FITS file, two-dimensional or a cube, kept open for the next section.

    Parameters
    ----------
    path
        Plain, or compressed tile by tile (``.fz``).

    Raises
    ------
    BadImage
        missing_file, unreadable or shape.
    """
    if not path.is_file():
        raise BadImage("missing_file", str(path))
    if not path.name.lower().endswith(SUFFIXES):
        raise BadImage("unreadable", f"{path} is packed as a whole: unpack it, or pack it by tiles (.fits.fz)")
    state = path.stat()
    return _open_image(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=_OPEN)
def _open_image(path: Path, changed: int, size: int) -> OpenImage:
    """As `open_image`; `changed` and `size` tell when the file is another."""
    try:
        number, header = image_header(path)
        grid, unit = Grid.from_header(header), fitsio.FITS(str(path))[number]
        depth = int(header["NAXIS3"]) if header["NAXIS"] > 2 else 1
    except (OSError, ValueError, TypeError, KeyError, IndexError, fits.VerifyError) as error:
        reason = f"{path}: {error}" if isinstance(error, NoGrid) else f"{path} cannot be read as FITS: {error}"
        raise BadImage("unreadable", reason) from error
    if header["NAXIS"] > 3 or not 0 < depth <= _DEEPEST:
        raise BadImage(
            "shape", f"{path} has {header['NAXIS']} axes and {depth} planes: 2 axes, or 3 of bands, are expected"
        )
    return OpenImage(path=path, unit=unit, grid=grid, header=header, depth=depth)


def read_box(image: OpenImage, box: Box) -> NDArray[np.float32]:
    """Planes of a part of an image, shape (B, height, width) with y up; not a number outside the image.

    Raises `BadImage` where the file ends before its pixels do.
    """
    columns = slice(max(box.left, 0), min(box.left + box.width, image.grid.width))
    rows = slice(max(box.low, 0), min(box.low + box.height, image.grid.height))
    planes = np.full((image.depth, box.height, box.width), np.nan, np.float32)
    if rows.start < rows.stop and columns.start < columns.stop:
        there = (
            slice(rows.start - box.low, rows.stop - box.low),
            slice(columns.start - box.left, columns.stop - box.left),
        )
        planes[:, *there] = _read_pixels(image, rows, columns)
    return planes


def outside(image: OpenImage, box: Box) -> NDArray[np.bool_]:
    """Which pixels of a box lie outside the image, shape (height, width) with y up."""
    x, y = np.arange(box.left, box.left + box.width), np.arange(box.low, box.low + box.height)
    inside = ((y >= 0) & (y < image.grid.height))[:, None] & (x >= 0) & (x < image.grid.width)
    return ~inside


def _read_pixels(image: OpenImage, rows: slice, columns: slice) -> NDArray[np.floating[Any]]:
    wanted = (slice(0, image.depth), rows, columns) if image.header["NAXIS"] == 3 else (rows, columns)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values = image.unit[wanted]
    except (OSError, ValueError) as error:
        raise BadImage("truncated", f"{image.path}: its pixels cannot be read: {error}") from error
    blank = image.header.get("BLANK")
    if blank is None or image.header["BITPIX"] < 0:
        return np.asarray(values)
    # The reader scales numbers, and with them the one that stands for no data.
    none = values.dtype.type(blank * image.header.get("BSCALE", 1) + image.header.get("BZERO", 0))
    return np.where(values == none, np.nan, values)
