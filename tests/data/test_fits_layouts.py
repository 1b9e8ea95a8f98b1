"""FITS as surveys write them: where the image is, which axis the bands are, what masks it, and how it is stored."""

import bz2
import gzip
import re
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from galaxalign.data.fits import read_fits
from galaxalign.data.fits_layout import PLAIN
from galaxalign.data.flags import BadImage
from galaxalign.data.orientation import UPRIGHT, sky_axes
from galaxalign.data.readers import read_image
from galaxalign.data.units import read_cards
from tests.data.synthetic_images import noise, wcs_header

GRZ = ("g", "r", "z")
NORTH_UP = wcs_header(east=(-1, 0), north=(0, 1))


def write(path, *units):
    fits.HDUList([fits.PrimaryHDU(), *units]).writeto(path)
    return path


def read(path, bands=GRZ, **changes):
    return read_image(str(path), cube_bands=GRZ, bands=bands, layout=replace(PLAIN, **changes)).values


def as_astropy_reads(path, number):
    with fits.open(path) as units:
        return np.asarray(units[number].data, dtype=np.float32)


@pytest.mark.parametrize(
    ("kind", "scale", "zero", "blank"),
    [
        (np.uint8, 1, 0, None),
        (np.int16, 1, 0, None),
        (np.int16, 0.01, 3.5, None),
        (np.int16, 0.01, 3.5, 7),
        (np.int16, 1, 0, 7),
        (np.uint16, 1, 0, None),
        (np.int32, 0.1, -2, 9),
        (np.uint32, 1, 0, None),
        (np.int64, 1, 0, None),
        (np.float32, 1, 0, None),
        (np.float32, 2.5, 1, None),
        (np.float64, 1, 0, None),
        (np.float64, 2.5, 1, None),
    ],
)
@pytest.mark.parametrize("ending", [".fits", ".fits.gz", ".fits.bz2"])
def test_numbers_are_those_of_astropy(tmp_path, kind, scale, zero, blank, ending):
    generator = np.random.default_rng(0)
    values = generator.integers(0, 200, (5, 9, 7)).astype(kind)
    if blank is not None:
        values[1, 2, 3] = blank
    if values.dtype.kind == "f":
        values[0, 0, :2] = np.nan, np.inf
    unit = fits.PrimaryHDU(values)
    if scale != 1 or zero:
        # The stored numbers are these; their meaning is another.
        unit.header["BSCALE"], unit.header["BZERO"] = scale, zero
    if blank is not None:
        unit.header["BLANK"] = blank
    plain = tmp_path / "plain.fits"
    unit.writeto(plain)
    pack = {".fits": bytes, ".fits.gz": gzip.compress, ".fits.bz2": bz2.compress}[ending]
    path = tmp_path / f"a{ending}"
    path.write_bytes(pack(plain.read_bytes()))
    (planes,) = read_fits(path, PLAIN)
    assert planes.values.dtype.kind == "f"
    assert planes.values.dtype.itemsize == 4
    expected = as_astropy_reads(plain, 0)
    np.testing.assert_array_equal(planes.values, expected)
    assert np.isnan(expected).any() == (blank is not None or values.dtype.kind == "f")


@pytest.mark.parametrize("algorithm", ["RICE_1", "GZIP_1", "GZIP_2", "NOCOMPRESS"])
@pytest.mark.parametrize("kind", [np.int16, np.float32])
def test_tile_compressed(tmp_path, algorithm, kind):
    values = (noise(40, 40) * 1e4).astype(kind)
    path = write(tmp_path / "a.fits.fz", fits.CompImageHDU(values, NORTH_UP, compression_type=algorithm))
    (planes,) = read_fits(path, PLAIN)
    np.testing.assert_array_equal(planes.values[0], as_astropy_reads(path, 1))
    # Integers are kept as they are; floats lose a part of the noise.
    assert np.abs(planes.values[0] - values).max() <= (0 if kind is np.int16 else 0.1 * values.std())


def test_every_real_file_reads_as_astropy_reads_it(real_data):
    paths = sorted(real_data.glob("fits/*/*.fits*"))
    assert len(paths) > 10
    for path in paths:
        (planes,) = read_fits(path, PLAIN)
        expected = fits.getdata(path)
        np.testing.assert_array_equal(planes.values, expected.reshape(-1, *expected.shape[-2:]), err_msg=path.name)


def test_an_extension_by_number_or_name(tmp_path):
    first, second = noise(3, 8, 8), noise(3, 8, 8, seed=1)
    path = write(tmp_path / "a.fits", fits.ImageHDU(first, name="ERR"), fits.ImageHDU(second, NORTH_UP, name="SCI"))
    assert np.array_equal(read(path), first[:, ::-1])
    for image in (2, "SCI", "sci"):
        assert np.array_equal(read(path, image=image), second[:, ::-1])
    for image in (0, 7, "DQ"):
        with pytest.raises(BadImage, match=r"no image in an extension named") as bad:
            read(path, image=image)
        assert bad.value.flag == "missing_extension"


def test_an_extension_a_band(tmp_path):
    cube = noise(3, 8, 8)
    units = [fits.ImageHDU(cube[2], name="z"), fits.ImageHDU(cube[0]), fits.ImageHDU(cube[1])]
    units[1].header["FILTER"] = "g DECam SDSS c0001 4720.0 1520.0"
    units[2].header["FILTER2"] = "r"
    path = write(tmp_path / "a.fits", *units)
    assert np.array_equal(read(path, image="bands"), cube[:, ::-1])
    with pytest.raises(BadImage, match="of band 'Y'") as bad:
        read(path, bands=("g", "Y"), image="bands")
    assert bad.value.flag == "missing_band"


def test_one_file_a_band_in_an_extension(tmp_path):
    cube = noise(2, 8, 8)
    for band, plane in zip(("F606W", "F814W"), cube, strict=True):
        write(tmp_path / f"7_{band}_drz.fits", fits.ImageHDU(plane, NORTH_UP, name="SCI"))
    found = read(tmp_path / "7_{band}_drz.fits", bands=("F814W", "F606W"), image="SCI")
    assert np.array_equal(found, cube[::-1, ::-1])


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_bands_along_any_axis(tmp_path, axis):
    cube = noise(3, 8, 10)
    stored = np.moveaxis(cube, 0, 3 - axis).copy()
    header = fits.Header([("BANDS", "grz")])
    fits.PrimaryHDU(stored, header).writeto(tmp_path / "named.fits")
    fits.PrimaryHDU(stored).writeto(tmp_path / "unnamed.fits")
    # The length of BANDS tells the axis.
    assert np.array_equal(read(tmp_path / "named.fits"), cube[:, ::-1])
    assert np.array_equal(read(tmp_path / "unnamed.fits", band_axis=axis), cube[:, ::-1])
    # So do the axes of the sky, which then give the orientation too: here x points north.
    x, y = [number for number in (1, 2, 3) if number != axis]
    header = fits.Header([(f"CTYPE{x}", "DEC--TAN"), (f"CTYPE{y}", "RA---TAN"), (f"CTYPE{axis}", "WAVE")])
    header[f"CDELT{x}"] = header[f"CDELT{y}"] = 1e-4
    fits.PrimaryHDU(stored, header).writeto(tmp_path / "sky.fits")
    # North to the right and east up: a quarter turn anticlockwise makes it upright.
    assert np.array_equal(read(tmp_path / "sky.fits"), np.rot90(cube[:, ::-1], 1, axes=(1, 2)))


def test_axes_of_length_1_are_left_out(tmp_path):
    plane = noise(8, 8)
    fits.PrimaryHDU(plane[None, None], NORTH_UP).writeto(tmp_path / "radio.fits")
    assert np.array_equal(read(tmp_path / "radio.fits", bands=("VIS",)), plane[None, ::-1])
    fits.PrimaryHDU(np.zeros((2, 2, 8, 8), np.float32)).writeto(tmp_path / "four.fits")
    with pytest.raises(BadImage, match="has 4 axes"):
        read(tmp_path / "four.fits")


def test_a_single_band_needs_no_name(tmp_path):
    plane = noise(8, 8)
    fits.PrimaryHDU(plane, NORTH_UP).writeto(tmp_path / "vis.fits")
    assert np.array_equal(read(tmp_path / "vis.fits", bands=("VIS",)), plane[None, ::-1])


def test_masks_make_pixels_without_data(tmp_path):
    cube = noise(3, 8, 8)
    bits = np.zeros((8, 8), np.int16)
    bits[0, 0], bits[1, 1], bits[2, 2] = 1 << 2, 1 << 5, (1 << 2) | 1
    weights = np.ones((3, 8, 8), np.float32)
    weights[1, 5, 5] = 0
    weights[2, 6, 6] = np.nan
    path = write(
        tmp_path / "a.fits",
        fits.ImageHDU(cube, NORTH_UP),
        fits.ImageHDU(bits, name="MASKBITS"),
        fits.ImageHDU(weights, name="INVVAR"),
    )

    def lost(**changes):
        values = read(path, **changes)[:, ::-1]
        assert np.array_equal(values[np.isfinite(values)], cube[np.isfinite(values)])
        return {tuple(place) for place in np.argwhere(np.isnan(values)).tolist()}

    assert lost() == set()
    assert lost(mask="MASKBITS", mask_bits=(2,)) == {(b, y, y) for b in range(3) for y in (0, 2)}
    assert lost(mask="MASKBITS", mask_bits=(0, 5)) == {(b, y, y) for b in range(3) for y in (1, 2)}
    assert lost(mask=2) == {(b, y, y) for b in range(3) for y in (0, 1, 2)}
    assert lost(inverse_variance="INVVAR") == {(1, 5, 5), (2, 6, 6)}
    with pytest.raises(BadImage, match="'DQ'") as bad:
        lost(mask="DQ")
    assert bad.value.flag == "missing_extension"
    with pytest.raises(BadImage, match="holds no integers"):
        lost(mask="INVVAR", mask_bits=(1,))


@pytest.mark.filterwarnings("ignore::astropy.wcs.FITSFixedWarning")
def test_directions_are_those_of_astropy():
    generator = np.random.default_rng(0)
    for trial in range(60):
        angle, scale = generator.uniform(0, 360), generator.choice([-1, 1]) * 1e-4
        first, second = ("RA---TAN", "DEC--TAN") if trial % 2 else ("DEC--TAN", "RA---TAN")
        header = fits.Header([("NAXIS", 2), ("CTYPE1", first), ("CTYPE2", second)])
        cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        turn = np.array([[cosine, -sine], [sine, cosine]])
        if trial % 3 == 0:
            header["CDELT1"], header["CDELT2"] = scale, 1e-4
            header["CROTA2" if first == "RA---TAN" else "CROTA1"] = angle
        else:
            name, factor = ("CD", 1e-4) if trial % 3 == 1 else ("PC", 1.0)
            for row in (1, 2):
                for column in (1, 2):
                    header[f"{name}{row}_{column}"] = turn[row - 1, column - 1] * factor
                header[f"CDELT{row}"] = scale if name == "PC" else 1.0
        if header.get("CDELT1") == 1.0:
            del header["CDELT1"], header["CDELT2"]
        wcs = WCS(header)
        expected = wcs.celestial.pixel_scale_matrix
        expected = expected if first == "RA---TAN" else expected[::-1]
        found = sky_axes(read_cards(header.tostring().encode()))
        np.testing.assert_allclose(found, expected, atol=1e-12, err_msg=str(dict(header)))


def test_a_header_without_sky_is_upright():
    assert sky_axes({}) is UPRIGHT
    assert sky_axes({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CD1_1": 0.0}) is UPRIGHT
    assert sky_axes({"CTYPE1": "WAVE", "CTYPE2": "DEC--TAN"}) is UPRIGHT
    assert sky_axes({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0}) is UPRIGHT


@pytest.mark.parametrize("matrix", [None, (0, 0, 0, 0), (0, 0, 0, 1e-4), (-1e-4, 1e-4, -1e-4, 1e-4)])
def test_a_matrix_that_describes_no_sky_neither_turns_nor_mirrors(tmp_path, matrix):
    header = fits.Header([("CTYPE1", "RA---TAN"), ("CTYPE2", "DEC--TAN"), ("CRVAL1", 10.0), ("CRVAL2", 10.0)])
    header["CRPIX1"] = header["CRPIX2"] = 4.0
    names = ("CD1_1", "CD1_2", "CD2_1", "CD2_2")
    header.update({} if matrix is None else dict(zip(names, map(float, matrix), strict=True)))
    plane = noise(1, 8, 10)
    path = write(tmp_path / "a.fits", fits.ImageHDU(plane[0], header))
    assert np.array_equal(read(path, bands=("r",)), plane[:, ::-1])


@pytest.mark.parametrize(("scale", "words"), [(1.01, ""), (2.0, "2 times as long as wide"), (0.5, "2 times as long")])
def test_pixels_must_be_square(tmp_path, scale, words):
    header = fits.Header([("CTYPE1", "RA---TAN"), ("CTYPE2", "DEC--TAN"), ("CRVAL1", 10.0), ("CRVAL2", 10.0)])
    header.update({"CRPIX1": 4.0, "CRPIX2": 4.0, "CD1_1": -0.6e-4 * scale, "CD1_2": 0.8e-4, "CD2_1": 0.8e-4 * scale})
    header["CD2_2"] = 0.6e-4
    path = write(tmp_path / "a.fits", fits.ImageHDU(noise(8, 8), header))
    if not words:
        assert read(path, bands=("r",)).shape == (1, 8, 8)
        return
    with pytest.raises(BadImage, match=words) as bad:
        read(path, bands=("r",))
    assert bad.value.flag == "shape"


def test_a_header_with_a_degree_sign_is_looked_up_on_the_sky_too(tmp_path):
    """Near the pole north is not where the matrix says."""
    plane = noise(1, 40, 40)
    cards = [("CTYPE1", "RA---TAN"), ("CTYPE2", "DEC--TAN"), ("CRVAL1", 10.0), ("CRVAL2", 89.9), ("CRPIX1", 2000.0)]
    cards += [("CRPIX2", 20.5), ("CD1_1", -1e-4), ("CD2_2", 1e-4), ("ROTANG", 12.5, "angle, XX")]
    path = write(tmp_path / "a.fits", fits.ImageHDU(plane[0], fits.Header(cards)))
    turned = read(path, bands=("r",))
    assert not np.array_equal(turned, plane[:, ::-1])
    path.write_bytes(path.read_bytes().replace(b"XX", b" \xb0", 1))
    assert np.array_equal(read(path, bands=("r",)), turned)


def test_a_primary_header_names_the_planes_of_an_extension(tmp_path):
    cube = noise(3, 8, 8)
    primary = fits.PrimaryHDU(header=fits.Header([("BANDS", "zrg")]))
    fits.HDUList([primary, fits.ImageHDU(cube)]).writeto(tmp_path / "a.fits")
    found = read(tmp_path / "a.fits", bands=("g", "r", "z"))
    assert np.array_equal(found, cube[::-1, ::-1])


def test_cards_are_read_as_astropy_reads_them():
    header = fits.Header(
        [
            ("SIMPLE", True),
            ("TEXT", "it's 'so' / and"),
            ("EMPTY", ""),
            ("WHOLE", -12, "a comment / with a slash"),
            ("REAL", 1.5e-7),
            ("YES", False),
            ("COMMENT", "= 3"),
        ]
    )
    cards = read_cards(header.tostring().encode())
    assert cards == {key: header[key] for key in ("SIMPLE", "TEXT", "EMPTY", "WHOLE", "REAL", "YES")}
    assert read_cards(b"DOUBLE  =              1.25D+02".ljust(80))["DOUBLE"] == 125.0


@pytest.mark.parametrize(
    ("card", "value", "kind"),
    [
        ("BSCALE", "          1.0 E+01", np.float32),
        ("BSCALE", "(1.0, 2.0)", np.float32),
        ("BZERO", "1,5", np.int16),
        ("BLANK", "0x7F", np.int16),
        ("BSCALE", "'not closed", np.int16),
    ],
)
def test_a_number_that_cannot_be_read_is_not_taken_for_none(tmp_path, card, value, kind):
    path = tmp_path / "a.fits"
    fits.PrimaryHDU(np.ones((3, 8, 8), kind), fits.Header([*NORTH_UP.cards, ("XX", 1)])).writeto(path)
    content = path.read_bytes()
    place = content.index(b"XX      =")
    path.write_bytes(content[:place] + f"{card:8}= {value}".ljust(80).encode() + content[place + 80 :])
    for locator, words in (
        (path, f"unit 0 has a {card} of {value.strip()}, no number"),
        (f"{path}#cut=150,2,1", "a.fits"),
    ):
        with pytest.raises(BadImage, match=re.escape(words)) as bad:
            read(locator)
        assert bad.value.flag == "unreadable"


def test_unsigned_integers_of_64_bits(tmp_path):
    values = (np.arange(2000, dtype=np.uint64).reshape(40, 50) + 1) * np.uint64(2**40)
    fits.PrimaryHDU(values).writeto(tmp_path / "a.fits")
    (planes,) = read_fits(tmp_path / "a.fits", PLAIN)
    assert np.array_equal(planes.values[0], values.astype(np.float32))


def test_a_word_names_a_single_plane(tmp_path):
    fits.PrimaryHDU(noise(8, 8), fits.Header({"BANDS": "F814W"})).writeto(tmp_path / "a.fits")
    assert read_image(str(tmp_path / "a.fits"), cube_bands=("g",), bands=("F814W",)).bands == ("F814W",)
    with pytest.raises(BadImage, match=r"has F814W, not f814w: write F814W in data.bands"):
        read_image(str(tmp_path / "a.fits"), cube_bands=("g",), bands=("f814w",))
