"""Every reader on files in the real layout, the sky the right way round, and every flag."""

import bz2
import gzip
import itertools
import shutil
from dataclasses import replace

import h5py
import numpy as np
import pytest
from astropy import units
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from PIL import Image

from galaxalign.data.files import check_files
from galaxalign.data.flags import MEANINGS, BadImage
from galaxalign.data.marks import Marks
from galaxalign.data.pictures import make_picture
from galaxalign.data.quality import Quality
from galaxalign.data.readers import Flux, read_image
from tests.data.synthetic_images import (
    RECIPE,
    noise,
    wcs_header,
    write_cube,
    write_galaxy10,
    write_galaxymnist,
    write_jpeg,
)

GRZ = ("g", "r", "z")
# As the default configuration has it, but for sources, of which noise has none.
STRICT = replace(RECIPE, quality=Quality(max_edge=0.2, max_saturated=0.1, min_signal=0, max_offset=1))


def read(path, bands=GRZ, cube_bands=GRZ):
    return read_image(str(path), cube_bands=cube_bands, bands=bands)


def flag_of(source):
    picture = make_picture(str(source), STRICT, 0.2)
    assert picture.pixels.shape == (16, 16, 3)
    assert bool(picture.flag) == bool(picture.reason)
    return picture.flag


def test_a_cube_comes_north_up(tmp_path):
    flux = noise(3, 20, 20)
    image = read(write_cube(tmp_path / "a.fits", flux))
    assert isinstance(image, Flux)
    assert image.bands == GRZ
    # FITS has y up, a picture has its rows down.
    assert np.array_equal(image.values, flux[:, ::-1])


def test_the_header_names_the_bands(tmp_path):
    flux = noise(3, 8, 8)
    image = read(write_cube(tmp_path / "a.fits", flux, bands="zrg"))
    assert np.array_equal(image.values, flux[::-1, ::-1])
    image = read(write_cube(tmp_path / "b.fits", flux, bands="VIS,Y,J"), bands=("J", "VIS"))
    assert np.array_equal(image.values, flux[[2, 0], ::-1])


def test_a_cube_without_names_has_those_of_the_configuration(tmp_path):
    path = write_cube(tmp_path / "a.fits", noise(3, 8, 8), bands="")
    assert np.array_equal(read(path, cube_bands=("z", "r", "g")).values, read(path).values[::-1])


@pytest.mark.parametrize("suffix", ["gz", "bz2", "fz"])
def test_compressed_fits(tmp_path, suffix):
    flux = noise(3, 32, 32)
    plain = write_cube(tmp_path / "a.fits", flux)
    packed = tmp_path / f"a.fits.{suffix}"
    if suffix == "fz":
        header = fits.getheader(plain)
        fits.CompImageHDU(flux, header, compression_type="GZIP_1", quantize_level=0).writeto(packed)
    else:
        pack = {"gz": gzip.compress, "bz2": bz2.compress}[suffix]
        packed.write_bytes(pack(plain.read_bytes()))
    assert np.array_equal(read(packed).values, read(plain).values)


def test_one_file_a_band(tmp_path):
    flux = noise(3, 8, 8)
    for band, plane in zip(GRZ, flux, strict=True):
        fits.PrimaryHDU(plane).writeto(tmp_path / f"7_{band}band.fits")
    image = read(tmp_path / "7_{band}band.fits", bands=("z", "g"))
    assert image.bands == ("z", "g")
    assert np.array_equal(image.values, flux[[2, 0], ::-1])


def orientations():
    """The eight ways in which a detector may look at the sky: quarter turns, and their mirror images."""
    for east, sign in itertools.product([(-1, 0), (1, 0), (0, -1), (0, 1)], [1, -1]):
        # North is a quarter turn clockwise from east on the sky as it is seen, mirrored where the sign is -1.
        yield east, (sign * east[1], -sign * east[0])


@pytest.mark.parametrize(("east", "north"), list(orientations()))
def test_north_is_up_and_the_hand_survives(tmp_path, east, north):
    # A star north of the centre and a fainter one to the east, where the WCS puts them.
    flux = np.zeros((15, 15), np.float32)
    for direction, light in ((north, 10.0), (east, 5.0)):
        flux[7 + 5 * direction[1], 7 + 5 * direction[0]] = light
    header = wcs_header(east=east, north=north)
    fits.PrimaryHDU(flux, header).writeto(tmp_path / "a_g.fits")
    values = read(tmp_path / "a_{band}.fits", bands=("g",)).values[0]
    assert values[2, 7] == 10.0, "north is not up"
    assert values[7, 2] == 5.0, "east is not to the left"


def test_a_turn_spelled_as_before_the_standard(tmp_path):
    """Pan-STARRS: positive steps in both axes, and PC001001 = -1 turns east to the left."""
    flux, steps = noise(15, 15), {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CDELT1": 7e-5, "CDELT2": 7e-5}
    for east, turn in (("left", {"PC001001": -1.0, "PC002002": 1.0}), ("right", {})):
        fits.PrimaryHDU(flux, fits.Header(steps | turn)).writeto(tmp_path / f"{east}_g.fits")
    left, right = (read(tmp_path / f"{east}_{{band}}.fits", bands=("g",)).values[0] for east in ("left", "right"))
    assert np.array_equal(left, flux[::-1])
    assert np.array_equal(right, flux[::-1, ::-1])


def test_the_first_image_is_not_taken_for_another_band(tmp_path):
    images = [fits.ImageHDU(noise(8, 8, seed=place), name=band) for place, band in enumerate(("g", "r"))]
    fits.HDUList([fits.PrimaryHDU(), *images]).writeto(tmp_path / "a.fits")
    with pytest.raises(BadImage, match=r"is of band g, not r: say data\.fits\.image: bands"):
        read(tmp_path / "a.fits", bands=("r",))
    assert np.array_equal(read(tmp_path / "a.fits", bands=("g",)).values[0], noise(8, 8, seed=0)[::-1])


def test_what_stands_behind_the_name_of_a_file_is_not_ignored(tmp_path):
    path = write_jpeg(tmp_path / "a.jpg")
    assert flag_of(f"{path}#2") == "unreadable"
    assert flag_of(f"{write_cube(tmp_path / 'b.fits', noise(3, 8, 8))}#1") == "unreadable"


def test_a_name_may_have_a_hash(tmp_path):
    path = write_jpeg(tmp_path / "a#2.jpg")
    assert np.array_equal(read(path), read(write_jpeg(tmp_path / "a.jpg")))
    marks = Marks.none(2)
    check_files([str(path), f"{tmp_path}/b#2.jpg"], (), tmp_path, marks)
    assert marks.flag.tolist() == ["", "missing_file"]
    assert marks.reason[1] == f"there is no {tmp_path}/b#2.jpg"


def test_pictures(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (9, 9, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert np.array_equal(read(tmp_path / "a.png"), pixels)
    Image.fromarray(pixels[..., 0]).save(tmp_path / "grey.png")
    assert np.array_equal(read(tmp_path / "grey.png"), np.repeat(pixels[..., :1], 3, axis=2))
    Image.fromarray(pixels[..., 0].astype(np.uint16) * 257).save(tmp_path / "deep.png")
    assert np.array_equal(read(tmp_path / "deep.png"), np.repeat(pixels[..., :1], 3, axis=2))
    assert read(write_jpeg(tmp_path / "a.JPEG", side=24)).shape == (24, 24, 3)


def test_flux_in_hdf5_is_read_as_fits_is(tmp_path):
    """The layout of Stein et al. 2021: `images` float32 (N, 3, H, W) in nanomaggies, y up."""
    flux = noise(2, 3, 9, 9)
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["images"] = flux
    write_cube(tmp_path / "same.fits", flux[1])
    row = read(f"{tmp_path / 's.h5'}#1")
    cube = read(tmp_path / "same.fits")
    assert row.bands == cube.bands
    assert row.values.dtype == np.float32
    assert np.array_equal(row.values, cube.values)
    with pytest.raises(BadImage, match=r"has 3 planes, data\.bands names g, r") as bad:
        read_image(f"{tmp_path / 's.h5'}#1", cube_bands=("g", "r"), bands=("g",))
    assert bad.value.flag == "missing_band"
    with pytest.raises(BadImage, match="wanted are z, i"):
        read_image(f"{tmp_path / 's.h5'}#1", cube_bands=("g", "r", "z"), bands=("z", "i"))


def test_rows_of_hdf5(tmp_path):
    for path in (write_galaxy10(tmp_path / "g.h5"), write_galaxymnist(tmp_path / "m.hdf5", galaxies=8)):
        with h5py.File(path) as file:
            assert np.array_equal(read(f"{path}#5"), file["images"][5])


def test_sdss_and_decam_files(real_data):
    sdss = read(real_data / "fits/sdss_gri/reprojected_sdss_{band}.fits.bz2", bands=("g", "r", "i"))
    # The frame lies on its side: x points north.
    assert sdss.values.shape == (3, 682, 496)
    assert np.isfinite(sdss.values).all()
    decam = read(real_data / "fits/decam_gr/132_{band}band.fits", bands=("r", "g"))
    raw = fits.getdata(real_data / "fits/decam_gr/132_rband.fits")
    # x points south and y east: north up is the transpose, whose mirror image it would be otherwise.
    assert np.array_equal(decam.values[0], raw.T[:, ::-1], equal_nan=True)
    with pytest.raises(BadImage, match="731_rband"):
        read(real_data / "fits/decam_gr/731_{band}band.fits", bands=("g", "r"))


@pytest.fixture
def bad_files(tmp_path):
    """One file for every way in which an image can be bad, by the flag it should get."""
    whole = write_cube(tmp_path / "whole.fits", noise(3, 64, 64)).read_bytes()
    jpeg = write_jpeg(tmp_path / "whole.jpg", side=64).read_bytes()
    Image.fromarray(noise(64, 64, seed=3) > 0.02).convert("RGB").save(tmp_path / "whole.png")
    files = {
        "cut.fits": whole[: len(whole) // 2],
        "cut.fits.gz": gzip.compress(whole)[:9000],
        "cut.fits.bz2": bz2.compress(whole)[:9000],
        "cut.jpg": jpeg[: len(jpeg) // 2],
        "cut.png": (tmp_path / "whole.png").read_bytes()[:300],
        "noise.fits.gz": bytes([31, 139, 8, 0]) + bytes(range(200)),
        "empty.jpg": b"",
        "empty.fits": b"",
        "page.jpg": b"<html><body>503 Service Unavailable</body></html>",
        "page.fits": b"<html><body>503 Service Unavailable</body></html>",
        "page.fits.gz": b"<html><body>503 Service Unavailable</body></html>",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    half = noise(3, 16, 16)
    half[:, :, 8:] = 0
    write_cube(tmp_path / "half.fits", half)
    write_cube(tmp_path / "nan.fits", np.full((3, 16, 16), np.nan, np.float32))
    write_cube(tmp_path / "flat.fits", np.full((3, 16, 16), 7, np.float32))
    write_cube(tmp_path / "zero.fits", np.zeros((3, 16, 16), np.float32))
    one_band = noise(3, 16, 16)
    one_band[2] = np.nan
    write_cube(tmp_path / "dead_band.fits", one_band)
    write_cube(tmp_path / "gr.fits", noise(2, 16, 16), bands="gr")
    write_cube(tmp_path / "four.fits", noise(4, 16, 16), bands="")
    write_cube(tmp_path / "line.fits", noise(16), bands="")
    fits.PrimaryHDU(noise(16, 16)).writeto(tmp_path / "x_g.fits")
    for band, side in (("g", 16), ("r", 17), ("z", 16)):
        fits.PrimaryHDU(noise(side, side)).writeto(tmp_path / f"y_{band}.fits")
    Image.fromarray(np.full((16, 16, 3), 30, np.uint8)).save(tmp_path / "flat.jpg")
    edge = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    edge[40:] = 0
    Image.fromarray(edge).save(tmp_path / "edge.png")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "flag"),
    [
        ("cut.fits", "truncated"),
        ("cut.fits.gz", "truncated"),
        ("cut.fits.bz2", "truncated"),
        ("cut.jpg", "truncated"),
        ("cut.png", "truncated"),
        ("noise.fits.gz", "unreadable"),
        ("empty.jpg", "empty_file"),
        ("empty.fits", "empty_file"),
        ("page.jpg", "unreadable"),
        ("page.fits", "unreadable"),
        ("page.fits.gz", "unreadable"),
        ("picture.gif", "unreadable"),
        ("nowhere.fits", "missing_file"),
        ("nowhere.h5#1", "missing_file"),
        ("half.fits", "edge"),
        ("nan.fits", "blank"),
        ("zero.fits", "blank"),
        ("dead_band.fits", "blank"),
        ("flat.fits", "constant"),
        ("flat.jpg", "constant"),
        ("edge.png", "edge"),
        ("gr.fits", "missing_band"),
        ("four.fits", "missing_band"),
        ("x_{band}.fits", "missing_band"),
        ("y_{band}.fits", "shape"),
        ("line.fits", "unreadable"),
        ("whole.fits", ""),
        ("whole.jpg", ""),
    ],
)
def test_flags(bad_files, name, flag):
    assert flag_of(bad_files / name) == flag


def test_a_row_that_is_not_there(tmp_path):
    path = write_galaxy10(tmp_path / "g.h5", galaxies=10)
    assert flag_of(f"{path}#10") == "unreadable"
    shutil.copy(path, tmp_path / "cut.h5")
    (tmp_path / "cut.h5").write_bytes(path.read_bytes()[:500])
    assert flag_of(f"{tmp_path / 'cut.h5'}#1") == "unreadable"


def test_a_decompression_bomb_is_not_opened(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert flag_of(write_jpeg(tmp_path / "a.jpg", side=12)) == "too_large"
    assert flag_of(write_jpeg(tmp_path / "b.jpg", side=32)) == "too_large"


def test_a_flag_has_a_meaning():
    bad = BadImage("truncated", "a.fits\nends")
    assert (bad.flag, bad.reason) == ("truncated", "a.fits ends")
    assert str(bad) == f"{MEANINGS['truncated']}: a.fits ends"
    with pytest.raises(KeyError):
        BadImage("strange", "a.fits")


@pytest.mark.parametrize(
    ("at", "cards"),
    [
        ((240.0, 89.4), {"CRVAL1": 150.0, "CRVAL2": 89.5}),
        ((150.0, 89.9999), {"CRVAL1": 150.0, "CRVAL2": 90.0}),
        ((20.0, -84.0), {"CRVAL1": 60.0, "CRVAL2": -80.0}),
        ((150.0, 2.0), {"CRVAL1": 150.0, "CRVAL2": 2.0, "LONPOLE": 0.0}),
        ((150.0, 2.0), {"CRVAL1": 150.0, "CRVAL2": 2.0, "LONPOLE": 90.0}),
        ((150.0, 2.0), {"CRVAL1": 150.0, "CRVAL2": 2.0, "PV1_3": 90.0}),
        ((150.0, 2.0), {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV", "PV1_1": -1.0, "PV2_1": -1.0}),
        ((150.0, 2.0), {"CTYPE1": "GLON-TAN", "CTYPE2": "GLAT-TAN"}),
    ],
)
def test_north_is_up_where_the_matrix_alone_does_not_say_so(tmp_path, at, cards):
    header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": at[0], "CRVAL2": at[1]})
    header.update({"CRPIX1": 31.0, "CRPIX2": 31.0, "CDELT1": -1 / 3600, "CDELT2": 1 / 3600} | cards)
    if cards.get("CTYPE1", "").startswith("GLON"):
        galactic = SkyCoord(*at, unit="deg").galactic
        header["CRVAL1"], header["CRVAL2"] = galactic.l.deg, galactic.b.deg
    here = SkyCoord(*at, unit="deg")
    x, y = WCS(header).world_to_pixel(here)
    header["CRPIX1"] += 30 - float(x)
    header["CRPIX2"] += 30 - float(y)
    wcs, flux = WCS(header), np.zeros((61, 61), np.float32)
    for east, north, light in ((0, 20, 10.0), (20, 0, 5.0)):
        there = here.spherical_offsets_by(east * units.arcsec, north * units.arcsec)
        x, y = wcs.world_to_pixel(there)
        flux[round(float(y)), round(float(x))] = light
    fits.PrimaryHDU(flux, header).writeto(tmp_path / "a_g.fits")
    for values in (
        read(tmp_path / "a_{band}.fits", bands=("g",)).values[0],
        read(tmp_path / "a_g.fits", bands=("g",)).values[0],
    ):
        # Quarter turns bring north as near to up, and east to the left, as they can.
        (up, across), (row, left) = (np.argwhere(values == light)[0] - 30 for light in (10.0, 5.0))
        assert -up >= abs(across), (up, across)
        assert -left >= abs(row), (row, left)


def test_a_header_that_says_nonsense_of_the_sky_is_still_read(tmp_path):
    cards = {"CTYPE1": "RA---XYZ", "CTYPE2": "DEC--XYZ", "CRVAL1": 1e9, "CRVAL2": 400.0, "CD1_1": -1e-4, "CD2_2": 1e-4}
    flux = noise(9, 9)
    fits.PrimaryHDU(flux, fits.Header(cards)).writeto(tmp_path / "a.fits")
    assert np.array_equal(read(tmp_path / "a.fits", bands=("g",)).values[0], flux[::-1])
