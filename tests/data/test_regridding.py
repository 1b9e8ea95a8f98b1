"""Bands on grids of their own: the same light at the same place on the sky, and nothing moved without need."""

import numpy as np
import pytest
from astropy.io import fits

from galaxalign.data.flags import BadImage
from galaxalign.data.readers import read_image
from galaxalign.data.regridding import is_per_area

SCALE = 0.2 / 3600


def header(shape, *, scale=SCALE, centre=None, angle=0.0, unit=""):
    """TAN, the reference point at `centre` (x, y from 0), turned by `angle` degrees."""
    height, width = shape
    x, y = centre or ((width - 1) / 2, (height - 1) / 2)
    cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    cards = [("CTYPE1", "RA---TAN"), ("CTYPE2", "DEC--TAN"), ("CRVAL1", 150.0), ("CRVAL2", 2.0)]
    cards += [("CRPIX1", x + 1), ("CRPIX2", y + 1)]
    cards += [("CD1_1", -scale * cosine), ("CD1_2", scale * sine), ("CD2_1", scale * sine), ("CD2_2", scale * cosine)]
    return fits.Header([*cards, *([("BUNIT", unit)] if unit else [])])


def blob(shape, x, y, sigma):
    """A round source of brightness 1 at its middle, (x, y) from 0."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2)).astype(np.float32)


def stack(folder, **bands):
    for band, (values, cards) in bands.items():
        fits.PrimaryHDU(values, cards).writeto(folder / f"a_{band}.fits")
    return read_image(str(folder / "a_{band}.fits"), cube_bands=(), bands=tuple(bands)).values[:, ::-1]


def centroid(values):
    rows, columns = np.mgrid[: values.shape[0], : values.shape[1]]
    return (values * columns).sum() / values.sum(), (values * rows).sum() / values.sum()


def test_grids_that_are_one_are_not_resampled(tmp_path):
    shape = (20, 24)
    first, second, third = np.random.default_rng(0).normal(size=(3, *shape)).astype(np.float32)
    near = header(shape, centre=(11.51, 9.52))
    planes = stack(tmp_path, g=(first, header(shape)), r=(second, header(shape)), z=(third, near))
    assert np.array_equal(planes, [first, second, third])


def test_a_moved_and_turned_band_comes_back_to_its_place(tmp_path):
    shape = (61, 61)
    # The same source at the reference point of both, which lies at other pixels.
    g = blob(shape, 30, 30, 4)
    moved = (blob((70, 80), 42.3, 28.8, 4), header((70, 80), centre=(42.3, 28.8), angle=35))
    planes = stack(tmp_path, g=(g, header(shape)), r=moved)
    assert centroid(np.nan_to_num(planes[1])) == pytest.approx((30, 30), abs=0.01)
    assert np.abs(planes[1] - g)[np.isfinite(planes[1])].max() < 0.03


@pytest.mark.parametrize("letter", [b"\xb0", b"\xc2\xb0", b"\xf1"])
def test_letters_that_fits_does_not_know_say_nothing_of_the_sky(tmp_path, letter):
    shape = (61, 61)
    cards = header(shape, angle=35)
    cards["COMMENT"] = "seeing of the night, XX"
    g, r = blob(shape, 30, 30, 4), blob(shape, 30, 30, 4)
    plain = stack(tmp_path, g=(g, header(shape)), r=(r, cards))
    path = tmp_path / "a_r.fits"
    path.write_bytes(path.read_bytes().replace(b"XX", letter.ljust(2), 1))
    found = read_image(str(tmp_path / "a_{band}.fits"), cube_bands=(), bands=("g", "r")).values[:, ::-1]
    assert np.array_equal(found, plain, equal_nan=True)


@pytest.mark.parametrize("factor", [0.25, 0.5, 2.0])
def test_flux_per_pixel_grows_with_the_pixel_and_brightness_does_not(tmp_path, factor):
    shape = (41, 41)
    side = int(41 / factor) + 10
    middle = (side - 1) / 2
    light = blob((side, side), middle, middle, 4 / factor)
    g = blob(shape, 20, 20, 4)
    fine = header((side, side), scale=SCALE * factor)
    planes = stack(
        tmp_path,
        g=(g, header(shape)),
        # As much light in all: each of the other's pixels holds its share.
        r=(light * factor**2, fine),
        z=(light, header((side, side), scale=SCALE * factor, unit="MJy/sr")),
    )
    for plane in planes[1:]:
        assert np.nansum(plane) == pytest.approx(g.sum(), rel=0.01)
        # Between pixels of twice the size straight lines miss a 16th of the peak.
        assert np.nanmax(np.abs(plane - g)) < 0.07


def test_beyond_its_own_edge_a_band_has_no_data(tmp_path):
    shape = (20, 20)
    half = header((20, 10), centre=(9.5, 9.5))
    planes = stack(tmp_path, g=(np.ones(shape, np.float32), header(shape)), r=(np.ones((20, 10), np.float32), half))
    assert np.array_equal(np.isfinite(planes[1]).all(axis=0), np.arange(20) < 10)


def test_a_band_without_data_is_blank_and_not_elsewhere(tmp_path):
    ones, empty = np.ones((9, 9), np.float32), np.full((9, 9), np.nan, np.float32)
    planes = stack(tmp_path, g=(ones, header((9, 9))), r=(empty, header((9, 9), centre=(4.5, 4))))
    assert np.isnan(planes[1]).all()


def test_what_cannot_be_aligned_is_flagged(tmp_path):
    ones = np.ones((9, 9), np.float32)
    with pytest.raises(BadImage, match="no WCS says how they lie") as bad:
        stack(tmp_path, g=(ones, header((9, 9))), r=(np.ones((9, 8), np.float32), None))
    assert bad.value.flag == "shape"
    elsewhere = header((9, 9))
    elsewhere["CRVAL2"] = 40.0
    (tmp_path / "b").mkdir()
    with pytest.raises(BadImage, match="shares no sky"):
        stack(tmp_path / "b", g=(ones, header((9, 9))), r=(ones, elsewhere))


def test_a_real_galaxy_s_bands_lie_on_each_other(real_data):
    # The r frame lies most of a pixel from the g frame: as read the stars must agree better than as stored.
    name = str(real_data / "fits/decam_gr/132_{band}band.fits")
    raw = [fits.getdata(name.replace("{band}", band)).astype(float) for band in "gr"]
    aligned = read_image(name, cube_bands=(), bands=("g", "r")).values
    turned = [plane.T[:, ::-1] for plane in raw]
    assert np.array_equal(aligned[0], turned[0].astype(np.float32), equal_nan=True)

    def shift(first, second):
        """Of the second against the first, pixels, by the middles of the galaxy's light in a window."""
        window = np.s_[98:158, 98:158]
        light = [
            np.clip(plane[window] - np.nanmedian(plane) - 0.2 * np.nanmax(plane[window] - np.nanmedian(plane)), 0, None)
            for plane in (first, second)
        ]
        return np.hypot(*(np.array(centroid(light[1])) - centroid(light[0])))

    before, after = shift(*turned), shift(*aligned)
    assert before > 0.6
    assert after < 0.5 * before


@pytest.mark.parametrize(
    ("unit", "per_area"),
    [
        *((unit, True) for unit in ("MJy/sr", "MJy sr**-1", "MJy.sr**(-1)", "W/(m2 sr)", "count/s/arcmin2", "Jy/beam")),
        *((unit, True) for unit in ("JY/BEAM", "Jansky/Beam", "MJy/ster", "mK")),
        *((unit, True) for unit in ("mag/arcsec2", "K", "adu/pix2", "nanomaggy/arcsec2", "10^-20 erg/s/cm^2/arcsec^2")),
        *((unit, False) for unit in ("", "nanomaggy", "adu", "Jy", "electron/s", "erg/s/cm2/Angstrom", "mJy/pixel")),
    ],
)
def test_units_of_brightness(unit, per_area):
    assert is_per_area(unit) == per_area
