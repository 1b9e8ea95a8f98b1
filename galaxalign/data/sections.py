"""Parts of FITS images: only the pixels that are asked for are read, however large the image is."""

import os
import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from galaxalign.data.fits import TYPES, scaling_of
from galaxalign.data.flags import BadImage
from galaxalign.data.grids import Grid, NoGrid, first_image, first_unit, sky_header

# Files whose sections can be read: as they are, or compressed tile by tile. The others are packed as a whole.
SUFFIXES = (".fits", ".fit", ".fits.fz", ".fit.fz")
# Images whose headers a worker remembers: some tiles, one file a band.
_REMEMBERED = 48
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
class Image:
    """An image of which sections are read.

    Attributes
    ----------
    path : of its file.
    start : of its pixels in the file, bytes; None where they are compressed.
    grid : of its pixels.
    place : the cards that say how the grid lies; the same text, the same grid.
    header : of the image.
    depth : planes.
    scale, zero : BSCALE and BZERO.
    """

    path: Path
    start: int | None
    grid: Grid
    place: str
    header: fits.Header
    depth: int
    scale: float
    zero: float


def find_image(path: Path) -> Image:
    """The first image of a FITS file, two-dimensional or a cube; its header is remembered for the next section.

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
    return _find_image(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=_REMEMBERED)
def _find_image(path: Path, changed: int, size: int) -> Image:
    """As `find_image`; `changed` and `size` tell when the file is another."""
    scale, zero = scaling_of(path, first_unit(path))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with fits.open(path, lazy_load_hdus=True) as units:
                unit = first_image(units)
                header = unit.header.copy()
                start = None if isinstance(unit, fits.CompImageHDU) else int(unit.fileinfo()["datLoc"])
        grid, depth = Grid.from_header(header), int(header["NAXIS3"]) if header["NAXIS"] > 2 else 1
    except Exception as error:  # astropy raises whatever its parts do on damaged headers
        reason = f"{path}: {error}" if isinstance(error, NoGrid) else f"{path} cannot be read as FITS: {error}"
        raise BadImage("unreadable", reason) from error
    if header["NAXIS"] > 3 or not 0 < depth <= _DEEPEST:
        raise BadImage(
            "shape", f"{path} has {header['NAXIS']} axes and {depth} planes: 2 axes, or 3 of bands, are expected"
        )
    return Image(
        path=path,
        start=start,
        grid=grid,
        place=sky_header(header),
        header=header,
        depth=depth,
        scale=scale,
        zero=zero,
    )


def read_box(image: Image, box: Box) -> NDArray[np.float32]:
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


def outside(image: Image, box: Box) -> NDArray[np.bool_]:
    """Which pixels of a box lie outside the image, shape (height, width) with y up."""
    x, y = np.arange(box.left, box.left + box.width), np.arange(box.low, box.low + box.height)
    inside = ((y >= 0) & (y < image.grid.height))[:, None] & (x >= 0) & (x < image.grid.width)
    return ~inside


def _read_pixels(image: Image, rows: slice, columns: slice) -> NDArray[Any]:
    """The pixels of whole planes, inside the image, as numbers of any kind; not a number where there are no data."""
    if image.start is not None:
        return _scaled(image, np.stack([_read_plane(image, plane, rows, columns) for plane in range(image.depth)]))
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            with fits.open(image.path, lazy_load_hdus=True) as units:
                section = first_image(units).section
                return np.array(section[:, rows, columns] if image.header["NAXIS"] == 3 else section[rows, columns])
    except Exception as error:  # damaged tiles fail in as many ways as there are algorithms
        raise BadImage("truncated", f"{image.path}: its pixels cannot be read: {error}") from error


def _read_plane(image: Image, plane: int, rows: slice, columns: slice) -> NDArray[Any]:
    """Pixels as they lie in the file: of each row, the columns alone."""
    kind = np.dtype(TYPES[image.header["BITPIX"]])
    across, wanted = image.grid.width, (columns.stop - columns.start) * kind.itemsize
    parts = []
    with image.path.open("rb", buffering=0) as file:
        for row in range(rows.start, rows.stop):
            pixel = (plane * image.grid.height + row) * across + columns.start
            parts.append(os.pread(file.fileno(), wanted, image.start + pixel * kind.itemsize))
    whole = b"".join(parts)
    if len(whole) < wanted * len(parts):
        raise BadImage("truncated", f"{image.path}: its last bytes are missing")
    return np.frombuffer(whole, kind).reshape(len(parts), -1)


def _scaled(image: Image, values: NDArray[Any]) -> NDArray[Any]:
    blank = None if values.dtype.kind == "f" else image.header.get("BLANK")
    if (image.scale, image.zero, blank) == (1, 0, None):
        return values
    with np.errstate(all="ignore"):
        scaled = values.astype(np.float64) * image.scale + image.zero
    return scaled if blank is None else np.where(values == blank, np.nan, scaled)
