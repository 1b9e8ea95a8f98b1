"""Parts of FITS images: only the pixels that are asked for are read, however large the image is."""

import math
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from galaxalign.data.bands import band_names
from galaxalign.data.fits import TYPES, is_blank, is_named, linear_flux, not_found, scaled, scaling_of
from galaxalign.data.fits_layout import Layout
from galaxalign.data.flags import BadImage
from galaxalign.data.grids import Grid, sky_header
from galaxalign.data.opening import readable
from galaxalign.data.units import Unit, Value, check_table, open_units

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
    unit : its number in the file.
    start : of its pixels in the file, bytes; None where they are compressed.
    width, height, depth : pixels, and planes.
    header : of the image, by keyword.
    scale, zero, blank : BSCALE, BZERO and, of integers, BLANK.
    """

    path: Path
    unit: int
    start: int | None
    width: int
    height: int
    depth: int
    header: dict[str, Value]
    scale: float
    zero: float
    blank: Value | None


@dataclass(frozen=True, kw_only=True)
class Tile:
    """An image on the sky, and what masks it.

    Attributes
    ----------
    image : its pixels.
    grid : where they lie.
    place : the cards that say so; the same text, the same grid.
    layout : how its file is laid out.
    masks : by the layout's key, of as many pixels.
    """

    image: Image
    grid: Grid
    place: str
    layout: Layout
    masks: Mapping[str | int, Image]


def find_tile(path: Path, layout: Layout, band: str = "") -> Tile:
    """The image of a FITS file that a layout names, two-dimensional or a cube; it is remembered for the next section.

    Parameters
    ----------
    path
        Plain, or compressed tile by tile (``.fz``).
    layout
        Which of its images, and what masks it; the bands of a cube lie along NAXIS3.
    band
        Whose extension is read, where the layout has one a band.

    Raises
    ------
    BadImage
        missing_file, empty_file, unreadable, truncated, missing_band, missing_extension or shape.
    """
    state = readable(path).stat()
    return _find_tile(path, layout, band, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=_REMEMBERED)
def _find_tile(path: Path, layout: Layout, band: str, changed: int, size: int) -> Tile:
    """As `find_tile`; `changed` and `size` tell when the file is another."""
    unit, header = _find_unit(path, layout.image, band)
    image, (place, grid) = _image(path, unit), _place(path, header)
    masks = {key: _image(path, _find_unit(path, key, "")[0]) for key in layout.masks}
    for key, mask in masks.items():
        if (mask.width, mask.height) != (image.width, image.height) or mask.depth not in (1, image.depth):
            sides = f"{mask.width} x {mask.height} x {mask.depth}"
            raise BadImage(
                "shape",
                f"{path}: extension {key!r} is {sides}, the image is {image.width} x {image.height} x {image.depth}",
            )
    return Tile(image=image, grid=grid, place=place, layout=layout, masks=masks)


def find_place(path: Path, layout: Layout, band: str = "") -> tuple[str, Grid, tuple[str, ...]]:
    """Place and grid of a tile, see `Tile`, and the names of its planes in its BANDS header, or none.

    No pixel is read, nor any mask looked for.  Raises `BadImage` as `find_tile` does.
    """
    unit, header = _find_unit(readable(path), layout.image, band)
    names = band_names(str(header.get("BANDS", "")), single=_depth(path, unit) == 1)
    return *_place(path, header), names


def _find_unit(path: Path, key: str | int, band: str) -> tuple[Unit, fits.Header]:
    """The unit of a file that a key names, or that of the band, and its header as astropy reads it.

    All headers up to it are held against what astropy can be trusted with.
    """
    if not path.name.lower().endswith(SUFFIXES):
        raise BadImage("unreadable", f"{path} is packed as a whole: unpack it, or pack it by tiles (.fits.fz)")
    by_band = key == "bands"
    wanted = band if by_band else key
    with path.open("rb") as file:
        start = file.read(6)
    if start != b"SIMPLE":
        raise BadImage("unreadable", f"{path} is no FITS file, or one that is packed as a whole: unpack it then")
    with open_units(path) as units:
        for unit in units:
            if unit.header.get("XTENSION") in ("BINTABLE", "TABLE"):
                check_table(path, unit)
            if is_named(unit, wanted, by_band=by_band):
                break
        else:
            raise not_found(path, wanted, by_band=by_band)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with path.open("rb") as file, fits.open(file, lazy_load_hdus=True) as opened:
                header = opened[unit.number].header.copy()
                sides = tuple(header[f"NAXIS{axis}"] for axis in range(header["NAXIS"], 0, -1))
    except Exception as error:  # astropy raises whatever its parts do on damaged headers
        raise BadImage("unreadable", f"{path} cannot be read as FITS: {error}") from error
    if sides != unit.shape:
        raise BadImage("unreadable", f"{path}: unit {unit.number} is no image of {unit.shape}")
    return unit, header


def _depth(path: Path, unit: Unit) -> int:
    """Planes of an image, of which all lie along one axis."""
    planes = unit.shape[:-2]
    depth = math.prod(planes)
    if sum(side > 1 for side in planes) > 1 or not 1 <= depth <= _DEEPEST:
        raise BadImage(
            "shape", f"{path} has {len(unit.shape)} axes and {depth} planes: 2 axes, or 3 of bands, are expected"
        )
    return depth


def _image(path: Path, unit: Unit) -> Image:
    *_, height, width = unit.shape
    depth = _depth(path, unit)
    scale, zero, blank = scaling_of(path, unit)
    return Image(
        path=path,
        unit=unit.number,
        start=None if unit.compressed else unit.start,
        width=width,
        height=height,
        depth=depth,
        header=unit.header,
        scale=scale,
        zero=zero,
        blank=blank,
    )


def _place(path: Path, header: fits.Header) -> tuple[str, Grid]:
    try:
        return sky_header(header), Grid.from_header(header)
    except Exception as error:  # cards that cannot be read among them
        raise BadImage("unreadable", f"{path}: {' '.join(str(error).split())}") from error


def read_box(tile: Tile, box: Box, planes: Sequence[int] = (0,)) -> NDArray[np.float32]:
    """Planes of a part of a tile, shape (B, height, width) with y up; not a number outside it and where it is masked.

    Raises `BadImage` where the file ends before its pixels do, or a mask holds no integers.
    """
    image = tile.image
    columns = slice(max(box.left, 0), min(box.left + box.width, image.width))
    rows = slice(max(box.low, 0), min(box.low + box.height, image.height))
    values = np.full((len(planes), box.height, box.width), np.nan, np.float32)
    if rows.start < rows.stop and columns.start < columns.stop:
        part = values[:, rows.start - box.low : rows.stop - box.low, columns.start - box.left : columns.stop - box.left]
        with np.errstate(over="ignore"):
            part[...] = linear_flux(image.path, _read_pixels(image, planes, rows, columns), image.header)
        for key, mask in tile.masks.items():
            marks = _read_pixels(mask, planes if mask.depth > 1 else (0,), rows, columns)
            part[np.broadcast_to(is_blank(image.path, key, marks, mask.header, tile.layout), part.shape)] = np.nan
    return values


def outside(tile: Tile, box: Box) -> NDArray[np.bool_]:
    """Which pixels of a box lie outside the tile, shape (height, width) with y up."""
    x, y = np.arange(box.left, box.left + box.width), np.arange(box.low, box.low + box.height)
    inside = ((y >= 0) & (y < tile.image.height))[:, None] & (x >= 0) & (x < tile.image.width)
    return ~inside


def _read_pixels(image: Image, planes: Sequence[int], rows: slice, columns: slice) -> NDArray[Any]:
    """Pixels of some planes, inside the image, as numbers of any kind; not a number where there are no data."""
    if image.start is not None:
        stored = np.stack([_read_plane(image, plane, rows, columns) for plane in planes])
        return scaled(stored, image.scale, image.zero, image.blank)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            with image.path.open("rb") as file, fits.open(file, lazy_load_hdus=True) as units:
                unit = units[image.unit]
                places = [np.unravel_index(plane, unit.shape[:-2]) for plane in planes]
                return np.stack([unit.section[(*map(int, place), rows, columns)] for place in places])
    except Exception as error:  # damaged tiles fail in as many ways as there are algorithms
        raise BadImage("truncated", f"{image.path}: its pixels cannot be read: {error}") from error


def _read_plane(image: Image, plane: int, rows: slice, columns: slice) -> NDArray[Any]:
    """Pixels as they lie in the file: of each row, the columns alone."""
    kind = np.dtype(TYPES[int(image.header["BITPIX"])])
    across, wanted = image.width, (columns.stop - columns.start) * kind.itemsize
    parts = []
    with image.path.open("rb", buffering=0) as file:
        for row in range(rows.start, rows.stop):
            pixel = (plane * image.height + row) * across + columns.start
            parts.append(os.pread(file.fileno(), wanted, image.start + pixel * kind.itemsize))
    whole = b"".join(parts)
    if len(whole) < wanted * len(parts):
        raise BadImage("truncated", f"{image.path}: its last bytes are missing")
    return np.frombuffer(whole, kind).reshape(len(parts), -1)
