"""Cutouts from survey tiles: only the pixels that a galaxy needs are read, however large the tile is."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import fitsio
import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from galaxalign.data.fits import band_names, orient
from galaxalign.data.flags import BadImage
from galaxalign.data.grids import Grid, NoGrid, image_header, sides, starts

# Files whose sections can be read: as they are, or compressed tile by tile. The others are packed as a whole.
SUFFIXES = (".fits", ".fit", ".fits.fz", ".fit.fz")
_MARK = "cut="
_BAND = "{band}"
# Tiles that stay open in a worker, one file a band.
_OPEN = 48
# Pixels along the side of a cutout, beyond which it is none.
_LARGEST = 10_000


@dataclass(frozen=True, kw_only=True)
class Cut:
    """A square on the sky: its centre in degrees, and its side in arcsec."""

    ra: float
    dec: float
    arcsec: float

    def __str__(self) -> str:
        """As in a locator, after the ``#``; every digit is kept, so that reading takes the pixels that were chosen."""
        return f"{_MARK}{self.ra!r},{self.dec!r},{self.arcsec!r}"


@dataclass(frozen=True, kw_only=True)
class Section:
    """Planes cut from a tile.

    Attributes
    ----------
    planes : shape (B, S, S) float32, row 0 north, column 0 east; not a number outside the tile.
    outside : shape (S, S), which pixels lie outside the tile.
    names : bands in its ``BANDS`` header, or none.
    """

    planes: NDArray[np.float32]
    outside: NDArray[np.bool_]
    names: tuple[str, ...]


def parse_cut(text: str) -> Cut | None:
    """The cut that a locator names after its ``#``; None where it names something else."""
    if not text.startswith(_MARK):
        return None
    ra, dec, arcsec = map(float, text.removeprefix(_MARK).split(","))
    return Cut(ra=ra, dec=dec, arcsec=arcsec)


def read_cut(
    path: str, cut: Cut, cube_bands: Sequence[str], bands: Sequence[str]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """A cutout in the bands that are wanted, each cut by the sky of its own file.

    Parameters
    ----------
    path
        Of a tile; with ``{band}`` in it, of one file a band.
    cut
        Where, and how much of the sky.
    cube_bands
        Bands of a cube whose header has no ``BANDS``, in order.
    bands
        Those wanted, in order.

    Returns
    -------
    values : shape (B, S, S), row 0 north, column 0 east; not a number outside the tile and where it has no data.
    outside : shape (S, S), which pixels lie outside the tile of any band.

    Raises
    ------
    BadImage
        As `read_section`, missing_band, or shape where the bands' pixels differ in size.
    """
    if _BAND not in path:
        section = read_section(Path(path), cut)
        names = section.names or tuple(cube_bands)
        if len(names) != len(section.planes) or not set(bands) <= set(names):
            reason = f"{path} has {len(section.planes)} planes, of {', '.join(names)}, not {', '.join(bands)}"
            raise BadImage("missing_band", reason)
        return section.planes[[names.index(band) for band in bands]], section.outside
    sections = {band: _read_band(Path(path.replace(_BAND, band)), cut) for band in bands}
    shapes = {band: section.outside.shape[0] for band, section in sections.items()}
    if len(set(shapes.values())) > 1:
        raise BadImage(
            "shape", f"{path}: " + ", ".join(f"{band} is {side} pixels wide" for band, side in shapes.items())
        )
    planes = np.concatenate([section.planes for section in sections.values()])
    return planes, np.any([section.outside for section in sections.values()], axis=0)


def _read_band(path: Path, cut: Cut) -> Section:
    if not path.is_file():
        raise BadImage("missing_band", f"there is no {path}")
    section = read_section(path, cut)
    if len(section.planes) != 1:
        raise BadImage("shape", f"{path} has {len(section.planes)} planes, one is expected in a file of one band")
    return section


def read_section(path: Path, cut: Cut) -> Section:
    """The part of a tile around a position, north up as near as quarter turns bring it; nothing is resampled.

    Parameters
    ----------
    path
        A FITS file, plain or ``.fz``.
    cut
        Where, and how much of the sky.

    Raises
    ------
    BadImage
        missing_file, unreadable, truncated, shape, too_large or outside.
    """
    if not path.is_file():
        raise BadImage("missing_file", str(path))
    if not path.name.lower().endswith(SUFFIXES):
        raise BadImage("unreadable", f"{path} is packed as a whole: unpack it, or pack it by tiles (.fits.fz)")
    state = path.stat()
    tile = _open_tile(path, state.st_mtime_ns, state.st_size)
    ra, dec = np.array([cut.ra]), np.array([cut.dec])
    axes = tile.grid.axes(ra, dec)
    side = sides(axes, np.array([cut.arcsec]))
    if side[0] > _LARGEST:
        raise BadImage("too_large", f"{cut.arcsec:g} arcsec are {side[0]} pixels of {path}, {_LARGEST} are allowed")
    x, y = tile.grid.pixels(ra, dec)
    left, low = int(starts(x, side)[0]), int(starts(y, side)[0])
    planes, outside = _read_square(tile, left, low, int(side[0]))
    if outside.all():
        raise BadImage("outside", f"{path} holds nothing of {cut.arcsec:g} arcsec around {cut.ra:.6f} {cut.dec:+.6f}")
    upright = orient(np.concatenate([planes, outside[None].astype(np.float32)]), axes[0])
    return Section(planes=upright[:-1], outside=upright[-1] > 0, names=band_names(str(tile.header.get("BANDS", ""))))


@dataclass(frozen=True, kw_only=True)
class _Tile:
    """An open tile: its image unit, its grid, and its header."""

    path: Path
    unit: Any
    grid: Grid
    header: fits.Header


@lru_cache(maxsize=_OPEN)
def _open_tile(path: Path, changed: int, size: int) -> _Tile:
    """A tile, kept open while others are not more than a few; `changed` and `size` tell when the file is another."""
    try:
        number, header = image_header(path)
        return _Tile(path=path, unit=fitsio.FITS(str(path))[number], grid=Grid.from_header(header), header=header)
    except (OSError, ValueError, TypeError, KeyError, IndexError, fits.VerifyError) as error:
        reason = f"{path}: {error}" if isinstance(error, NoGrid) else f"{path} cannot be read as FITS: {error}"
        raise BadImage("unreadable", reason) from error


def _read_square(tile: _Tile, left: int, low: int, side: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Planes (B, side, side) with y up, and which pixels lie outside the tile."""
    columns = slice(max(left, 0), min(left + side, tile.grid.width))
    rows = slice(max(low, 0), min(low + side, tile.grid.height))
    outside = np.ones((side, side), np.bool_)
    depth = int(tile.header.get("NAXIS3", 1)) if tile.header["NAXIS"] > 2 else 1
    planes = np.full((depth, side, side), np.nan, np.float32)
    if rows.start < rows.stop and columns.start < columns.stop:
        there = (slice(rows.start - low, rows.stop - low), slice(columns.start - left, columns.stop - left))
        planes[:, *there] = _read_pixels(tile, rows, columns)
        outside[there] = False
    return planes, outside


def _read_pixels(tile: _Tile, rows: slice, columns: slice) -> NDArray[np.floating[Any]]:
    wanted: tuple[slice, ...] = (rows, columns)
    if tile.header["NAXIS"] > 3:
        raise BadImage("shape", f"{tile.path} has {tile.header['NAXIS']} axes, 2 or 3 are expected")
    if tile.header["NAXIS"] == 3:
        wanted = (slice(0, tile.header["NAXIS3"]), *wanted)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values = tile.unit[wanted]
    except (OSError, ValueError) as error:
        raise BadImage("truncated", f"{tile.path}: its pixels cannot be read: {error}") from error
    blank = tile.header.get("BLANK")
    if blank is None:
        return np.asarray(values)
    # The reader scales numbers, and with them the one that stands for no data.
    none = values.dtype.type(blank * tile.header.get("BSCALE", 1) + tile.header.get("BZERO", 0))
    return np.where(values == none, np.nan, values)
