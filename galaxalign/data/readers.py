"""One reader for every kind of image: FITS, JPEG, PNG and rows of HDF5 files, north up and east to the left.

A source is named by a text, its locator:

* ``galaxies/1.fits`` (also ``.fits.gz .fits.bz2 .fits.fz``): a cube of bands, or the one band asked for;
* ``galaxies/1_{band}.fits``: one file a band, ``{band}`` standing for its name;
* ``galaxies/1.jpg`` (also ``.jpeg .png``): a picture;
* ``tiles/t1_{band}.fits#cut=150.1,2.2,60.0``: 60 arcsec around RA 150.1, Dec 2.2 of a tile (see `cuts`);
* ``Galaxy10_DECals.h5#17``: row 17 of the data set `images` of an HDF5 file.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from galaxalign.data.cuts import parse_cut, read_cut
from galaxalign.data.fits import read_fits
from galaxalign.data.flags import BadImage

PICTURES = (".jpg", ".jpeg", ".png")
FITS = (".fits", ".fit", ".fits.gz", ".fits.bz2", ".fits.fz")
HDF5 = (".h5", ".hdf5")
KINDS = PICTURES + FITS


@dataclass(frozen=True, kw_only=True)
class Flux:
    """Flux, shape (B, H, W) float32, row 0 north, column 0 east; pixels without data are not a number.

    `outside`, shape (H, W), says which pixels lie outside the tile of a cutout; None for whole images.
    """

    values: NDArray[np.float32]
    bands: tuple[str, ...]
    outside: NDArray[np.bool_] | None = None


def read_image(source: str, *, cube_bands: Sequence[str], bands: Sequence[str]) -> Flux | NDArray[np.uint8]:
    """The image at a locator.

    Parameters
    ----------
    source
        The locator.
    cube_bands
        Bands of a FITS cube whose header has no ``BANDS``, in order.
    bands
        Bands wanted of FITS files; others are left unread.

    Returns
    -------
    Flux of the wanted bands from FITS; from the other kinds a picture, uint8 (H, W, 3).  Both have north up
    and east to the left: FITS as their WCS says (pictures and HDF5 rows are taken to be so already).

    Raises
    ------
    BadImage
        With the flag and the reason.
    """
    path, _, row = source.partition("#")
    if cut := parse_cut(row):
        cutout = read_cut(path, cut, cube_bands, bands)
        return Flux(values=cutout.planes, bands=tuple(bands), outside=cutout.outside)
    if path.lower().endswith(HDF5):
        return _read_row(path, int(row))
    if path.lower().endswith(FITS):
        if "{band}" in path:
            return _stack({band: _read_band(source, band) for band in bands})
        return _choose(_readable(Path(path)), cube_bands, bands)
    if path.lower().endswith(PICTURES):
        return _read_picture(_readable(Path(path)))
    raise BadImage("unreadable", f"{path} ends in none of {', '.join(KINDS + HDF5)}")


def _readable(path: Path) -> Path:
    if not path.is_file():
        raise BadImage("missing_file", str(path))
    if path.stat().st_size == 0:
        raise BadImage("empty_file", str(path))
    return path


def _read_picture(path: Path) -> NDArray[np.uint8]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(path) as image:
                if image.mode.startswith(("I", "F")):
                    return _grey(np.asarray(image, np.float32))
                return np.asarray(image.convert("RGB"))
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            raise BadImage("too_large", f"{path}: {error}") from error
        except UnidentifiedImageError as error:
            raise BadImage("unreadable", f"{path} is no {path.suffix.lstrip('.').upper()} picture") from error
        except (OSError, SyntaxError, ValueError) as error:
            flag = "truncated" if "truncated" in str(error) or "Truncated" in str(error) else "unreadable"
            raise BadImage(flag, f"{path}: {error}") from error


def _grey(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A picture of 16-bit grey values."""
    eight = np.clip(values / 257, 0, 255).astype(np.uint8)
    return np.repeat(eight[:, :, None], 3, axis=2)


def _choose(path: Path, cube_bands: Sequence[str], bands: Sequence[str]) -> Flux:
    """The wanted planes of a cube."""
    planes, named = read_fits(path)
    names = named or tuple(cube_bands)
    if len(names) != len(planes):
        said = "its BANDS header" if named else "data.bands"
        reason = f"{path} has {len(planes)} planes, {said} names {len(names)} ({', '.join(names)})"
        raise BadImage("missing_band", reason)
    for band in bands:
        if band not in names:
            raise BadImage("missing_band", f"{path} has {', '.join(names)}, not {band}")
    return Flux(values=planes[[names.index(band) for band in bands]], bands=tuple(bands))


def _read_band(source: str, band: str) -> NDArray[np.float32]:
    path = Path(source.replace("{band}", band))
    if not path.is_file():
        raise BadImage("missing_band", f"there is no {path}")
    planes, _ = read_fits(_readable(path))
    if len(planes) != 1:
        raise BadImage("shape", f"{path} has {len(planes)} planes, one is expected in a file of one band")
    plane: NDArray[np.float32] = planes[0]
    return plane


def _stack(planes: dict[str, NDArray[np.float32]]) -> Flux:
    shapes = {band: "x".join(map(str, plane.shape)) for band, plane in planes.items()}
    if len(set(shapes.values())) > 1:
        raise BadImage("shape", ", ".join(f"{band} is {shape}" for band, shape in shapes.items()) + " pixels")
    return Flux(values=np.stack(list(planes.values())), bands=tuple(planes))


@lru_cache(maxsize=4)
def _hdf5_images(path: str) -> h5py.Dataset:
    """The pictures of an HDF5 file, which stays open: each worker reads many rows of it."""
    return h5py.File(_readable(Path(path)), "r")["images"]


def _read_row(path: str, row: int) -> NDArray[np.uint8]:
    try:
        picture: NDArray[np.uint8] = _hdf5_images(path)[row]
    except (OSError, KeyError, ValueError, IndexError) as error:
        raise BadImage("unreadable", f"row {row} of {path}: {error}") from error
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        raise BadImage("shape", f"row {row} of {path} is {picture.dtype} {picture.shape}, not uint8 (H, W, 3)")
    return picture
