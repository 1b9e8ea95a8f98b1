"""A survey of galaxies that do not exist: living symbols on a made-up sky, in the files of the Legacy Surveys."""

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from astropy.io import fits
from numpy.typing import NDArray

from galaxalign.data.rgb import Stretch, to_rgb
from galaxalign.errors import GalaxAlignError
from galaxalign.logs import progress
from galaxalign.symbols.appearance import Appearance, Band, Observation
from galaxalign.symbols.geometry import Geometry, Symbol
from galaxalign.symbols.library import SYMBOLS
from galaxalign.symbols.population import Population
from galaxalign.symbols.rendering import render
from galaxalign.symbols.sheet import ClassSheet, read_sheet

logger = logging.getLogger(__name__)

# Noise and seeing as measured on cutouts of DR5; wavelengths and gain of DECam.
LEGACY_SURVEY = Observation(
    bands=(
        Band(name="g", wavelength=477.0, psf_fwhm=1.35, sky=0.0029, gain=2500.0),
        Band(name="r", wavelength=640.0, psf_fwhm=1.2, sky=0.0044, gain=3500.0),
        Band(name="z", wavelength=920.0, psf_fwhm=1.1, sky=0.0115, gain=2500.0),
    ),
    pixel_scale=0.262,
    psf_beta=3.0,
    seeing_scatter=0.12,
    sky_correlation=0.15,
    background=0.08,
    stars=2.0,
    galaxies=16.0,
    limit=23.6,
)
# Galaxies that volunteers are shown: r of 14.5 to 17.5.
BRIGHT_GALAXIES = Population(
    brightest=14.5,
    faintest=17.5,
    counts=0.25,
    radius=12.5,
    radius_slope=-0.13,
    radius_scatter=0.13,
    old=(0.88, 0.0, -0.64),
    young=(0.33, 0.0, -0.22),
    colour_scatter=0.18,
    blue_smooth=0.25,
    off_centre=0.3,
    ranges={
        "spheroid_radius": (0.24, 0.42),
        "spheroid_index": (0.9, 4.2),
        "disk_scale": (0.26, 0.4),
        "bulge_index": (1.0, 3.0),
        "texture": (0.2, 0.9),
        "flocculence": (0.0, 0.7),
        "reddening": (1.0, 3.0),
    },
)
# How many galaxies of each class Galaxy10 DECaLS has; other vocabularies get as many of each class.
MIXTURES = {"galaxy10": (1081, 1853, 2645, 2027, 334, 2043, 1829, 2628, 1423, 1873)}
# A class needs some in each split.
FEWEST = 30
BATCH = 64
# Degrees: a field of the sky that holds the survey.
FIELD = {"ra": (150.0, 160.0), "dec": (-2.0, 6.0)}
# Share of galaxies in close pairs, and how far from it in arcsec: outside its picture, inside its sky group.
PAIRED, APART = 0.08, (32.0, 55.0)


def simulate_survey(
    *, sheet: Path, galaxies: int, seed: int, pixels: int, labelled: bool, folder: Path, catalogue: Path
) -> None:
    """Write a survey: a FITS cube for each galaxy, and the catalogue that names them.

    The same seed writes the same bytes.  Close pairs share their sky by position, but lie outside each
    other's pictures.

    Parameters
    ----------
    sheet
        Class sheet of the vocabulary; galaxies are drawn from the symbols of its classes.
    galaxies, pixels
        How many, and the side of a cutout.
    labelled
        Whether the catalogue has a column ``label``.
    folder
        Where the cubes go.
    catalogue
        CSV with columns id, file (relative to the catalogue), ra, dec and label.
    """
    vocabulary = read_sheet(sheet)
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    classes = generator.permutation(np.repeat(np.arange(len(vocabulary.classes)), class_numbers(vocabulary, galaxies)))
    table = pd.DataFrame({"id": [f"sim{seed}-{number:05d}" for number in range(galaxies)]})
    table["file"] = [f"{folder.name}/{name}.fits" for name in table["id"]]
    table["ra"], table["dec"] = _positions(galaxies, generator)
    if labelled:
        table["label"] = [vocabulary.labels[index] for index in classes]
    cubes = _cubes(vocabulary, classes, pixels, generator)
    rows = zip(table["file"], table["ra"], table["dec"], cubes, strict=True)
    for file, ra, dec, cube in progress(rows, total=galaxies, what="simulated survey", unit="galaxies"):
        _write_cube(folder.parent / file, cube, ra, dec)
    table.to_csv(catalogue, index=False)
    logger.info("%d galaxies of %d classes in %s", galaxies, len(vocabulary.classes), folder)


def render_examples(symbol: Symbol, count: int, seed: int, size: int, stretch: Stretch) -> NDArray[np.uint8]:
    """Galaxies rendered from one symbol as the simulated survey shows them, (count, size, size, 3), north up."""
    generator = np.random.default_rng(seed)
    shapes = [symbol.vary(generator) for _ in range(count)]
    looks = [BRIGHT_GALAXIES.draw(shape, generator) for shape in shapes]
    flux = render(shapes, looks, LEGACY_SURVEY, torch.Generator().manual_seed(seed), size).numpy()
    bands = [band.name for band in LEGACY_SURVEY.bands]
    return np.stack([to_rgb(cube[:, ::-1], bands, stretch) for cube in flux])


def class_numbers(sheet: ClassSheet, galaxies: int) -> NDArray[np.int64]:
    """Galaxies of each class, `galaxies` in all, none rarer than FEWEST where there are enough of them."""
    classes = len(sheet.classes)
    if galaxies < classes:
        raise GalaxAlignError(
            f"'galaxies' of a simulated survey is {galaxies}, fewer than the {classes} classes of "
            f"{sheet.name}: raise it"
        )
    shares = np.array(MIXTURES.get(sheet.name, (1,) * classes), dtype=np.float64)
    least = min(FEWEST, galaxies // (2 * classes))
    rest = shares / shares.sum() * (galaxies - least * classes)
    numbers: NDArray[np.int64] = least + np.floor(rest).astype(np.int64)
    # What rounding left goes to the largest remainders.
    numbers[np.argsort(np.floor(rest) - rest, kind="stable")[: galaxies - numbers.sum()]] += 1
    return numbers


def _positions(galaxies: int, generator: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Right ascension and declination in degrees, some next to the galaxy before them."""
    ra, dec = (generator.uniform(*FIELD[axis], galaxies) for axis in ("ra", "dec"))
    # Every other galaxy may move next to the one before it, so that there are pairs and no chains.
    for second in 1 + 2 * np.flatnonzero(generator.uniform(size=galaxies // 2) < PAIRED):
        distance, angle = generator.uniform(*APART) / 3600, generator.uniform(0, 2 * np.pi)
        dec[second] = dec[second - 1] + distance * np.sin(angle)
        ra[second] = ra[second - 1] + distance * np.cos(angle) / np.cos(np.radians(dec[second - 1]))
    return ra.round(7), dec.round(7)


def _cubes(
    sheet: ClassSheet, classes: NDArray[np.int64], pixels: int, generator: np.random.Generator
) -> Iterator[NDArray[np.float32]]:
    """Flux of one galaxy after the other, (bands, pixels, pixels)."""
    noise = torch.Generator().manual_seed(int(generator.integers(2**31)))
    for start in range(0, len(classes), BATCH):
        shapes = [_shape(sheet, int(index), generator) for index in classes[start : start + BATCH]]
        looks: list[Appearance] = [BRIGHT_GALAXIES.draw(shape, generator) for shape in shapes]
        yield from render(shapes, looks, LEGACY_SURVEY, noise, pixels).numpy()


def _shape(sheet: ClassSheet, index: int, generator: np.random.Generator) -> Geometry:
    names = sheet.classes[index].symbols
    return SYMBOLS[names[int(generator.integers(len(names)))]].vary(generator)


def _write_cube(path: Path, cube: NDArray[np.float32], ra: float, dec: float) -> None:
    """A cutout as the Legacy Surveys serve it: north up, east to the left, nanomaggies."""
    bands = [band.name for band in LEGACY_SURVEY.bands]
    degrees = LEGACY_SURVEY.pixel_scale / 3600
    middle = (cube.shape[-1] + 1) / 2
    header = fits.Header(
        [
            ("SURVEY", "GalaxAlign simulated"),
            ("BANDS", "".join(bands)),
            *((f"BAND{number}", band) for number, band in enumerate(bands)),
            ("CTYPE1", "RA---TAN"),
            ("CTYPE2", "DEC--TAN"),
            ("CRVAL1", ra),
            ("CRVAL2", dec),
            ("CRPIX1", middle),
            ("CRPIX2", middle),
            ("CD1_1", -degrees),
            ("CD1_2", 0.0),
            ("CD2_1", 0.0),
            ("CD2_2", degrees),
            ("BUNIT", "nanomaggy"),
        ]
    )
    fits.PrimaryHDU(cube, header).writeto(path, overwrite=True)
