"""Small survey tiles, the place of things on them, and how galaxies are cut from them."""

from pathlib import Path

import numpy as np
import pandas as pd
from astropy import units
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

from galaxalign.data.cuts import read_cut
from galaxalign.data.fits_layout import PLAIN
from galaxalign.data.tiles import assign_tiles, write_tile_index
from tests.data.synthetic_images import noise

GRZ = ("g", "r", "z")
ARCSEC = 0.262


def tile_header(ra, dec, width, height, *, turn=0.0, mirror=False, scale=ARCSEC, kind="TAN"):
    """A tile's header: `turn` degrees from north up, east left or, mirrored, right."""
    header = fits.Header()
    cos, sin = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    east = 1 if mirror else -1
    header["CTYPE1"], header["CTYPE2"] = f"RA---{kind}", f"DEC--{kind}"
    header["CRVAL1"], header["CRVAL2"] = ra, dec
    header["CRPIX1"], header["CRPIX2"] = (width + 1) / 2, (height + 1) / 2
    for (row, column), value in (((1, 1), east * cos), ((1, 2), -east * sin), ((2, 1), sin), ((2, 2), cos)):
        header[f"CD{row}_{column}"] = value * scale / 3600
    return header


def write_tile(path, ra, dec, *, side=200, seed=0, **options):
    header = tile_header(ra, dec, side, side, **options)
    fits.PrimaryHDU(noise(side, side, seed=seed), header).writeto(path)
    return path


def offset(ra, dec, east, north):
    """A position so many arcsec away."""
    there = SkyCoord(ra, dec, unit="deg").spherical_offsets_by(east * units.arcsec, north * units.arcsec)
    return float(there.ra.deg), float(there.dec.deg)


def sip_header(width, height):
    header = tile_header(150.0, 2.0, width, height, kind="TAN-SIP")
    header.update({"A_ORDER": 2, "B_ORDER": 2, "A_2_0": 3e-5, "A_1_1": -2e-5, "B_0_2": 4e-5, "B_1_1": 1e-5})
    return header


def read_section(path, cut):
    """The cutout of a file of one band."""
    return read_cut(str(path), cut, ("g",), ("g",))


def write_source(path, galaxy, sigma, flux, **options):
    """A tile with one round source: a Gaussian of `sigma` arcsec and `flux` in all, where astropy says that it lies."""
    side, scale = 240, options.get("scale", ARCSEC)
    header = tile_header(*offset(150.0, 2.0, options.pop("east", 0.0), 0.0), side, side, **options)
    x, y = WCS(header).world_to_pixel(SkyCoord(*galaxy, unit="deg"))
    down, across = np.mgrid[:side, :side]
    light = np.exp(-((across - x) ** 2 + (down - y) ** 2) / 2 / (sigma / scale) ** 2)
    light *= flux * scale**2 / (2 * np.pi * sigma**2)
    fits.PrimaryHDU(light.astype(np.float32), header).writeto(path)


def index_of(folder, pattern="*_{band}.fits", bands=("g",)):
    write_tile_index(pattern=str(folder / pattern), bands=bands, layout=PLAIN, index=folder / "tiles.parquet")
    return pd.read_parquet(folder / "tiles.parquet")


def assign(folder, rows, arcsec=10.0, bands=("g",), **options):
    galaxies = pd.DataFrame(rows, columns=["ra", "dec"], dtype=np.float64)
    assigned = assign_tiles(galaxies, np.full(len(galaxies), arcsec), index_of(folder, bands=bands, **options), bands)
    names = [Path(source.partition("#")[0]).name for source in assigned["source"]]
    return names, list(assigned["flag"]), assigned
