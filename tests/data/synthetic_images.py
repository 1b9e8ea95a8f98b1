"""Small images of every kind, in exactly the layout of the real ones, made by a few lines and a fixed seed."""

from pathlib import Path

import h5py
import numpy as np
from astropy.io import fits
from PIL import Image

from galaxalign.data.fits_layout import PLAIN
from galaxalign.data.pictures import ImageRecipe
from galaxalign.data.quality import Quality
from galaxalign.data.rgb import Stretch

STRETCH = {
    "name": "legacy_survey",
    "colours": {"blue": {"g": 6.0}, "green": {"r": 3.4}, "red": {"z": 2.2}},
    "legacy_survey": {"m": 0.03, "Q": 20},
    "lupton": {"stretch": 5, "Q": 8, "minimum": 0},
    "asinh": {"low": 0, "high": 2, "softening": 0.1},
    "percentile": {"low": 1, "high": 99.5, "softening": 0.1},
    "zscale": {"contrast": 0.25, "softening": 1.0},
}
# No flag beyond those of blank and constant pictures.
LENIENT = Quality(max_edge=1.0, max_saturated=1.0, min_signal=0.0, max_offset=1.0)
RECIPE = ImageRecipe(
    size=16, crop=1.0, stretch=Stretch.from_dict(STRETCH), bands=("g", "r", "z"), fits=PLAIN, quality=LENIENT
)


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    """Sky in nanomaggies."""
    return np.random.default_rng(seed).normal(0.02, 0.01, shape).astype(np.float32)


def wcs_header(east: tuple[float, float], north: tuple[float, float]) -> fits.Header:
    """A TAN header whose east and north grow by so many pixels' worth per x and per y."""
    header = fits.Header()
    for axis, (kind, value) in enumerate((("RA---TAN", 150.0), ("DEC--TAN", 2.0)), 1):
        header[f"CTYPE{axis}"], header[f"CRVAL{axis}"], header[f"CRPIX{axis}"] = kind, value, 8.0
    for axis, row in enumerate((east, north), 1):
        for column in (1, 2):
            header[f"CD{axis}_{column}"] = row[column - 1] * 0.262 / 3600
    return header


def write_cube(path: Path, flux: np.ndarray, *, bands: str = "grz") -> Path:
    """A cutout as the Legacy Survey serves it: (band, y, x), BANDS in the header, north up, east left."""
    header = wcs_header(east=(-1, 0), north=(0, 1))
    if bands:
        header["BANDS"] = bands
    fits.PrimaryHDU(flux, header).writeto(path)
    return path


def write_jpeg(path: Path, *, side: int = 32, seed: int = 0) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 255, (side, side, 3), np.uint8)
    Image.fromarray(pixels).save(path, quality=95)
    return path


def write_galaxy10(path: Path, *, galaxies: int = 40, side: int = 32) -> Path:
    """Keys, types and shapes of Galaxy10_DECals.h5."""
    generator = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file["images"] = generator.integers(0, 255, (galaxies, side, side, 3), np.uint8)
        file["ans"] = (np.arange(galaxies) % 10).astype(np.uint8)
        file["ra"] = generator.uniform(0, 360, galaxies)
        file["dec"] = generator.uniform(-20, 30, galaxies)
        file["redshift"] = np.full(galaxies, np.nan)
        file["pxscale"] = np.full(galaxies, 0.262)
    return path


def write_galaxymnist(path: Path, *, galaxies: int, side: int = 32) -> Path:
    """Keys, types and shapes of GalaxyMNIST's train_dataset.hdf5 and test_dataset.hdf5."""
    with h5py.File(path, "w") as file:
        file["images"] = np.random.default_rng(1).integers(0, 255, (galaxies, side, side, 3), np.uint8)
        file["labels"] = (np.arange(galaxies) % 4).astype(np.uint8)
    return path
