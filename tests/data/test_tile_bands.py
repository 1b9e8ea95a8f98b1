"""Bands of tiles on grids of their own: the same light in the same place, as in whole images."""

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.wcs import WCS

from galaxalign.data.cuts import Cut, read_cut
from galaxalign.data.readers import read_image
from tests.data.sky_tiles import ARCSEC, assign, offset, write_source, write_tile


def test_bands_on_grids_of_their_own(tmp_path):
    # r is moved by half a tile: where g holds a galaxy whole, r may not.
    for name, east in (("one", 0.0), ("two", 30.0)):
        write_tile(tmp_path / f"{name}_g.fits", *offset(150.0, 2.0, east, 0.0))
        write_tile(tmp_path / f"{name}_r.fits", *offset(150.0, 2.0, east - 46 * ARCSEC, 0.0))
    names, _, assigned = assign(tmp_path, [offset(150.0, 2.0, 11.0, 0.0)], bands=("g", "r"))
    assert names == ["two_{band}.fits"]
    image = read_image(assigned["source"][0], cube_bands=(), bands=("g", "r"))
    assert not image.outside.any()
    position = SkyCoord(*offset(150.0, 2.0, 11.0, 0.0), unit="deg")
    for band, plane in zip(image.bands, image.values, strict=True):
        with fits.open(tmp_path / f"two_{band}.fits") as file:
            wanted = Cutout2D(file[0].data, position, (38, 38), WCS(file[0].header)).data
        assert np.array_equal(plane, wanted[::-1])


@pytest.mark.parametrize(
    "options",
    [
        *({"scale": 0.393}, {"scale": 0.1}, {"turn": 30.0}, {"turn": 90.0}, {"mirror": True, "scale": 0.3}),
        *({"east": 0.4 * ARCSEC}, {"east": 9.1 * ARCSEC}),
    ],
)
def test_bands_of_other_pixels_are_laid_on_the_first(tmp_path, options):
    galaxy = offset(150.0, 2.0, 1.9, -1.1)
    write_source(tmp_path / "t_g.fits", galaxy, 1.2, 1000.0)
    write_source(tmp_path / "t_r.fits", galaxy, 1.2, 3000.0, **options)
    cut = Cut(ra=galaxy[0], dec=galaxy[1], arcsec=61 * ARCSEC)
    g, r = read_cut(str(tmp_path / "t_{band}.fits"), cut, (), ("g", "r")).planes
    assert g.shape == r.shape == (61, 61)
    # The same light, three times as bright, in the same place; interpolation blurs it by less than a pixel.
    assert r.sum() == pytest.approx(3000.0, rel=0.01)
    down, across = np.mgrid[:61, :61]
    for axis in (down, across):
        assert (r * axis).sum() / r.sum() == pytest.approx((g * axis).sum() / g.sum(), abs=0.05)
    assert np.abs(r / 3 - g).max() < 0.06 * g.max()


@pytest.mark.parametrize("options", [{}, {"turn": 30.0}, {"scale": 0.1}, {"unit": "MJy/sr", "scale": 0.1}])
@pytest.mark.parametrize("sip", [False, True])
def test_tiles_and_whole_images_are_aligned_alike(tmp_path, options, sip):
    galaxy, other = offset(150.0, 2.0, 1.9, -1.1), {"east": 0.4 * ARCSEC} | options
    unit = other.pop("unit", "")
    for band, own in (("g", {}), ("r", other)):
        write_source(tmp_path / f"t_{band}.fits", galaxy, 1.2, 1000.0, **own)
        with fits.open(tmp_path / f"t_{band}.fits", mode="update") as file:
            file[0].header["BUNIT"] = unit
            if sip and band == "g":
                file[0].header.update(
                    {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "A_ORDER": 2, "B_ORDER": 2, "A_2_0": 3e-5}
                )
                file[0].header.update({"B_0_2": 4e-5, "A_0_2": 0.0, "A_1_1": 0.0, "B_1_1": 0.0, "B_2_0": 0.0})
    pattern, bands = str(tmp_path / "t_{band}.fits"), ("g", "r")
    whole = read_image(pattern, cube_bands=(), bands=bands).values
    cut = Cut(ra=galaxy[0], dec=galaxy[1], arcsec=41 * ARCSEC)
    part = read_cut(pattern, cut, (), bands).planes
    row, column = next(
        (row, column)
        for row in range(240 - 41)
        for column in range(240 - 41)
        if np.array_equal(whole[0, row : row + 41, column : column + 41], part[0])
    )
    assert np.allclose(whole[1, row : row + 41, column : column + 41], part[1], rtol=1e-4, atol=1e-4)


def test_what_a_band_of_other_pixels_lacks_is_outside(tmp_path):
    galaxy = offset(150.0, 2.0, 22.0, 0.0)
    write_source(tmp_path / "t_g.fits", galaxy, 1.2, 1000.0)
    write_source(tmp_path / "t_r.fits", galaxy, 1.2, 1000.0, scale=0.2)
    cutout = read_cut(str(tmp_path / "t_{band}.fits"), Cut(ra=galaxy[0], dec=galaxy[1], arcsec=16.0), (), ("g", "r"))
    # The eastern edge of r lies 24 arcsec from its middle, 6 arcsec inside the cutout's.
    assert np.isfinite(cutout.planes[0]).all()
    assert 21 <= cutout.outside[30].sum() <= 24
    assert np.array_equal(cutout.outside[30], np.arange(61) < cutout.outside[30].sum())
    assert np.isnan(cutout.planes[1][:, :21]).all()
    assert np.isfinite(cutout.planes[1][:, 25:]).all()
