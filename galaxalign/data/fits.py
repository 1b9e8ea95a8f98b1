"""FITS images as they come: which of a file's images, which axis the bands are, and which pixels have no data."""

import io
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galaxalign.data.bands import band_names
from galaxalign.data.fits_layout import Layout
from galaxalign.data.flags import BadImage
from galaxalign.data.orientation import celestial_axes
from galaxalign.data.units import BLOCK, MAX_VALUES, Unit, Value, check_table, open_units

TYPES = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
# Tiles of a compressed image: a row of the image each, as a rule; each costs time, however little it holds.
MAX_TILES = 2**17


@dataclass(frozen=True, kw_only=True)
class Planes:
    """An image as FITS stores it, y up.

    Attributes
    ----------
    values : shape (B, y, x), float32 in either byte order; pixels without data are not a number.
    bands : the names in its ``BANDS`` header ("grz", or "VIS,Y,J"), or none.
    header : its header, by keyword; `raw`, its bytes.
    """

    values: NDArray[np.float32]
    bands: tuple[str, ...]
    header: dict[str, Value]
    raw: bytes


def read_fits(path: Path, layout: Layout, bands: Sequence[str] = ()) -> tuple[Planes, ...]:
    """The image of a FITS file, two-dimensional (B = 1) or a cube; or, where the layout says so, one a band.

    Parameters
    ----------
    path
        Packed by gzip, bzip2 or tile by tile (``.fz``), or plain.
    layout
        Which of its images, and what masks them.
    bands
        Bands whose extensions are read, in order; used where the layout's image is ``bands``.

    Raises
    ------
    BadImage
        unreadable, truncated, too_large, shape, missing_band or missing_extension.
    """
    by_band = layout.image == "bands"
    images: tuple[str | int, ...] = tuple(bands) if by_band else (layout.image,)
    masks = layout.masks
    found = _find(path, images, masks, by_band=by_band)
    planes = []
    for key in images:
        if (True, key) not in found:
            raise not_found(path, key, by_band=by_band)
        planes.append(_masked(path, *found[True, key], layout, {key: found.get((False, key)) for key in masks}))
    return tuple(planes)


_Found = tuple[Unit, NDArray[Any]]


def _find(
    path: Path, images: Sequence[str | int], masks: Sequence[str | int], *, by_band: bool
) -> dict[tuple[bool, str | int], _Found]:
    """The first unit that each key names, with its values; the keys of images and of masks are told by True, False."""
    wanted = [(True, key) for key in images] + [(False, key) for key in masks]
    found: dict[tuple[bool, str | int], _Found] = {}
    with open_units(path) as units:
        for unit in units:
            new = [
                (is_image, key)
                for is_image, key in wanted
                if (is_image, key) not in found and is_named(unit, key, by_band=by_band and is_image)
            ]
            if new:
                values = _values(path, unit)
                found.update((key, (unit, values)) for key in new)
            if len(found) == len(wanted):
                break
    return found


def not_found(path: Path, key: str | int, *, by_band: bool) -> BadImage:
    """What is wrong with a file that has no image of this key, see `is_named`."""
    if key == "first":
        return BadImage("unreadable", f"{path} has no image")
    flag, kind = ("missing_band", "of band") if by_band else ("missing_extension", "named")
    return BadImage(flag, f"{path} has no image in an extension {kind} {key!r}")


def is_named(unit: Unit, key: str | int, *, by_band: bool) -> bool:
    """Whether a unit is an image of this number or EXTNAME, or any (``first``), or of this band."""
    if len(unit.shape) < 2:
        return False
    if isinstance(key, int):
        return unit.number == key
    if by_band:
        filters = (str(unit.header.get(card, "")) for card in ("FILTER", "FILTER1", "FILTER2", "BAND"))
        names = [unit.name, *(words.split()[0] for words in filters if words.split())]
        return key.upper() in (name.upper() for name in names)
    return key == "first" or unit.name.upper() == key.upper()


def _values(path: Path, unit: Unit) -> NDArray[Any]:
    """The values of an image, scaled: floats with not a number where there are no data, or integers."""
    data = unit.read()
    if unit.compressed:
        return _unpack_tiles(path, unit, data)
    kind, count = np.dtype(TYPES[int(unit.header["BITPIX"])]), math.prod(unit.shape)
    if len(data) < count * kind.itemsize:
        raise BadImage("unreadable", f"{path}: unit {unit.number} has a GCOUNT of 0")
    values: NDArray[Any] = np.frombuffer(data, kind, count).reshape(unit.shape)
    return scaled(values, *scaling_of(path, unit))


def scaled(values: NDArray[Any], scale: float, zero: float, blank: Value | None) -> NDArray[Any]:
    """Values as BSCALE, BZERO and BLANK have it: floats, not a number where there are no data, or integers."""
    if (scale, zero) == (1, 0) and blank is None:
        return values
    if values.dtype.kind in "iu" and scale == 1 and blank is None and zero in (2.0**15, 2.0**31):
        # How FITS writes unsigned integers.
        unsigned: NDArray[np.int64] = values.astype(np.int64) + int(zero)
        return unsigned
    if values.dtype == np.dtype(">i8") and scale == 1 and blank is None and zero == 2.0**63:
        # No signed integer holds them; the sum turns over where it should.
        return values.astype(np.int64).view(np.uint64) + np.uint64(2**63)
    # Double precision where single would round: as astropy has it.
    floats: NDArray[np.floating[Any]] = values.astype(
        np.float32 if values.dtype.itemsize <= 2 or values.dtype == np.dtype(">f4") else np.float64
    )
    with np.errstate(all="ignore"):
        floats *= scale
        floats += zero
    if blank is not None:
        floats[values == blank] = np.nan
    return floats


def scaling_of(path: Path, unit: Unit) -> tuple[float, float, Value | None]:
    """BSCALE, BZERO and, of integers, BLANK of a unit; raises `BadImage` (unreadable) where they are no numbers."""
    header = unit.header
    cards = {"BSCALE": header.get("BSCALE", 1), "BZERO": header.get("BZERO", 0)}
    if int(header["BITPIX"]) > 0 and "BLANK" in header:
        cards["BLANK"] = header["BLANK"]
    for card, value in cards.items():
        try:
            float(value)
        except ValueError as error:
            raise BadImage("unreadable", f"{path}: unit {unit.number} has a {card} of {value}, no number") from error
    return float(cards["BSCALE"]), float(cards["BZERO"]), cards.get("BLANK")


def linear_flux(path: Path, values: NDArray[Any], header: Mapping[str, Value]) -> NDArray[Any]:
    """Flux of an image that Pan-STARRS keeps as asinh magnitudes, by BSOFTEN and BOFFSET; others as they are.

    f = BOFFSET + 2 BSOFTEN sinh(x ln(10) / 2.5), the inverse of what the survey writes its stacks with (Waters et al.
    2020, ApJS 251, 4).  Raises `BadImage` (unreadable) where the cards are no numbers.
    """
    if not {"BSOFTEN", "BOFFSET"} <= set(header):
        return values
    try:
        soften, offset = float(header["BSOFTEN"]), float(header["BOFFSET"])
    except ValueError as error:
        raise BadImage("unreadable", f"{path} has a BSOFTEN or BOFFSET that is no number") from error
    with np.errstate(all="ignore"):
        flux: NDArray[np.float64] = offset + 2 * soften * np.sinh(values.astype(np.float64) * (math.log(10) / 2.5))
    return flux


def _unpack_tiles(path: Path, unit: Unit, data: bytes) -> NDArray[Any]:
    """The values of a tile-compressed image.

    Headers are held against the FITS standard before, since the decoders believe what they are told.
    """
    check_table(path, unit)
    sides = [unit.header.get(f"ZTILE{axis}", 1) for axis in range(1, len(unit.shape) + 1)]
    sizes = [side for side in sides if isinstance(side, int) and 0 <= side <= MAX_VALUES]
    if len(sizes) < len(sides) or np.prod(sizes, dtype=np.float64) > MAX_VALUES:
        raise BadImage("unreadable", f"{path}: the tiles of unit {unit.number} have sides of {sides}")
    if int(unit.header.get("NAXIS2", 0)) > MAX_TILES:
        raise BadImage("too_large", f"{path}: the image in unit {unit.number} has more than {MAX_TILES} tiles")
    # Plain images do without it: a process that reads them starts in half the time.
    from astropy.io import fits

    empty = fits.PrimaryHDU().header.tostring().encode()
    whole = b"".join((empty, unit.raw, data, bytes(-len(data) % BLOCK)))
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            with fits.open(io.BytesIO(whole)) as units:
                values = np.asarray(units[1].data)
        # Damaged tiles fail in as many ways as there are algorithms.
        except Exception as error:
            raise BadImage("unreadable", f"{path}: {type(error).__name__}, {error}") from error
    if values.shape != unit.shape:
        raise BadImage("unreadable", f"{path}: the tiles of unit {unit.number} hold {values.shape}, not {unit.shape}")
    return values


def _masked(
    path: Path, unit: Unit, values: NDArray[Any], layout: Layout, masks: Mapping[str | int, _Found | None]
) -> Planes:
    """The planes of an image, not a number where a mask marks them."""
    bands = band_names(str(unit.header.get("BANDS", "")), single=sum(side > 1 for side in unit.shape) < 3)
    dropped, band = _axis_order(path, unit, bands, layout)
    cube = _as_float32(_cube(linear_flux(path, values, unit.header), dropped, band))
    for key, found in masks.items():
        if found is None:
            raise BadImage("missing_extension", f"{path} has no image in an extension named {key!r}")
        same = found[1].ndim == values.ndim and all(found[1].shape[place] == 1 for place in dropped)
        mask = _cube(found[1], dropped if same else (), band if same else 0)
        if mask.ndim != 3 or mask.shape[1:] != cube.shape[1:] or len(mask) not in (1, len(cube)):
            raise BadImage("shape", f"{path}: extension {key!r} is {mask.shape}, the image is {cube.shape}")
        cube = np.where(is_blank(path, key, mask, found[0].header, layout), np.float32(np.nan), cube)
    return Planes(values=cube, bands=bands, header=unit.header, raw=unit.raw)


def is_blank(
    path: Path, key: str | int, mask: NDArray[Any], header: Mapping[str, Value], layout: Layout
) -> NDArray[np.bool_]:
    """Which pixels a mask of the layout, by its key and with its header, marks as without data.

    A pixel without a value of its own is marked.  Raises `BadImage` (shape) where bits are asked for and it holds no
    integers.
    """
    if key == layout.inverse_variance:
        return np.logical_not(mask > 0)
    marked: NDArray[np.bool_] = mask != 0
    bits = layout.mask_bits
    if not bits:
        return marked
    known = np.isfinite(mask)
    whole = np.where(known, mask, 0).astype(np.int64)
    # Integers of which some have no value (BLANK) come as floats.
    integers = int(header.get("ZBITPIX", header["BITPIX"])) > 0
    if not integers or (mask.dtype.kind == "f" and (whole != mask)[known].any()):
        raise BadImage("shape", f"{path}: extension {key!r} holds no integers, whose bits data.fits.mask asks for")
    marked = ((whole & sum(1 << bit for bit in set(bits))) != 0) | ~known
    return marked


def _as_float32(values: NDArray[Any]) -> NDArray[np.float32]:
    if values.dtype.kind == "f" and values.dtype.itemsize == 4:
        return values
    with np.errstate(all="ignore"):
        return values.astype(np.float32)


def _axis_order(path: Path, unit: Unit, bands: Sequence[str], layout: Layout) -> tuple[tuple[int, ...], int]:
    """Places of the axes that are left out, being of length 1, and the place of the bands among the others."""
    sides = {len(unit.shape) - place: side for place, side in enumerate(unit.shape)}
    sky = celestial_axes(unit.header) or ()
    idle = [axis for axis, side in sides.items() if side == 1 and axis not in sky][: max(0, len(sides) - 3)]
    kept = [axis for axis in sides if axis not in idle]
    if len(kept) > 3:
        raise BadImage("shape", f"{path} has {len(kept)} axes, 2 or 3 are expected")
    dropped = tuple(len(sides) - axis for axis in idle)
    if layout.band_axis:
        if len(kept) == 3 and layout.band_axis not in kept:
            raise BadImage("shape", f"{path} has no axis {layout.band_axis}, which data.fits.band_axis names")
        chosen = [layout.band_axis]
    elif sky:
        chosen = [axis for axis in kept if axis not in sky]
    else:
        chosen = [axis for axis in kept if sides[axis] == len(bands)]
    # Slowest first, unless the header tells otherwise beyond doubt.
    return dropped, kept.index(chosen[0]) if len(kept) == 3 and len(chosen) == 1 else 0


def _cube(values: NDArray[Any], dropped: tuple[int, ...], band: int) -> NDArray[Any]:
    """Values as (B, y, x)."""
    values = values.squeeze(axis=dropped)
    return values[None] if values.ndim == 2 else np.moveaxis(values, band, 0)
