"""Tiles laid out as `data.fits` says: the pixels of a cutout are those of the whole image, read in the same layout."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits

from galaxalign.data.cuts import Cut
from galaxalign.data.fits_layout import PLAIN
from galaxalign.data.flags import BadImage
from galaxalign.data.readers import read_image
from galaxalign.data.sources import check_source
from galaxalign.data.tiles import assign_tiles, write_tile_index
from galaxalign.errors import GalaxAlignError
from tests.data.sky_tiles import ARCSEC, tile_header
from tests.data.synthetic_images import noise

GRZ = ("g", "r", "z")
SKY = tile_header(150.0, 2.0, 60, 60)
# Pixels 20 to 39 of both axes; the image is north up.
CUT = Cut(ra=150.0, dec=2.0, arcsec=20 * ARCSEC)
MASKED = replace(PLAIN, image="SCI", mask="MASKBITS", mask_bits=(2, 15), inverse_variance=3)


def write(path, packed, kind="u2", **values):
    """A file with an extension for each of the values, after a first image that is not the one wanted."""
    make = fits.CompImageHDU if packed else fits.ImageHDU
    units = [make(plane, SKY, name=name) for name, plane in values.items()]
    fits.HDUList([fits.PrimaryHDU(np.ones((5, 5), np.float32)), *units]).writeto(path)
    return path


def both(path, bands, layout):
    """A cutout, and the same pixels of the whole image."""
    cutout = read_image(f"{path}#{CUT}", cube_bands=GRZ, bands=bands, layout=layout)
    assert not cutout.outside.any()
    return cutout.values, read_image(str(path), cube_bands=GRZ, bands=bands, layout=layout).values[:, 20:40, 20:40]


@pytest.mark.parametrize("kind", ["u1", "i2", "u2", "i4", "u4"])
@pytest.mark.parametrize(("packed", "name"), [(False, "t.fits"), (True, "t.fits.fz")])
def test_masks_of_a_cube(tmp_path, kind, packed, name):
    generator = np.random.default_rng(0)
    mask = generator.choice(np.array([0, 1, 4, 5, 2**15 if kind[1] > "1" and kind != "i2" else 8], kind), (60, 60))
    weight = generator.choice(np.array([0, 1, 2], np.float32), (3, 60, 60))
    path = write(tmp_path / name, packed, SCI=noise(3, 60, 60), MASKBITS=mask, INVVAR=weight)
    part, whole = both(path, ("z", "g"), MASKED)
    assert np.array_equal(part, whole, equal_nan=True)
    marked = (mask & 4 > 0) | (mask.astype(np.int64) & 2**15 > 0)
    wanted = marked[None] | (weight[[2, 0]] == 0)
    assert np.array_equal(np.isnan(part), wanted[:, 20:40, 20:40][:, ::-1])


def test_a_mask_of_floats_or_of_another_size_is_flagged(tmp_path):
    plane = noise(60, 60)
    for number, (values, reason) in enumerate(
        [(plane, "holds no integers"), (np.ones((9, 60), np.int16), "extension 'MASKBITS' is 60 x 9 x 1, the image")]
    ):
        path = write(tmp_path / f"{number}.fits", packed=False, SCI=plane, MASKBITS=values, INVVAR=plane)
        with pytest.raises(BadImage, match=reason) as caught:
            both(path, ("g",), MASKED)
        assert caught.value.flag == "shape"


@pytest.mark.parametrize(("packed", "name"), [(False, "t.fits"), (True, "t.fits.fz")])
def test_a_mask_of_integers_may_have_none(tmp_path, packed, name):
    plane, mask = noise(60, 60), np.zeros((60, 60), np.int32)
    mask[25, 25], mask[30, 30], mask[35, 35] = 4, -(2**31), 2
    path = write(tmp_path / name, packed, SCI=plane, MASKBITS=mask)
    with fits.open(path, mode="update", do_not_scale_image_data=True, disable_image_compression=True) as units:
        units["MASKBITS"].header["ZBLANK" if packed else "BLANK"] = -(2**31)
    part, whole = both(path, ("g",), replace(PLAIN, image="SCI", mask="MASKBITS", mask_bits=(2,)))
    assert np.array_equal(part, whole, equal_nan=True)
    assert np.argwhere(np.isnan(part[0, ::-1])).tolist() == [[5, 5], [10, 10]]


@pytest.mark.parametrize(
    ("layout", "bands", "flag"),
    [
        (replace(PLAIN, image="OTHER"), ("g",), "missing_extension"),
        (replace(PLAIN, image=7), ("g",), "missing_extension"),
        (replace(PLAIN, image="bands"), ("g", "y"), "missing_band"),
        (replace(PLAIN, image="G", mask="MASKBITS"), ("g",), "missing_extension"),
    ],
)
def test_what_the_layout_names_and_a_tile_lacks(tmp_path, layout, bands, flag):
    path = write(tmp_path / "t.fits", packed=False, G=noise(60, 60))
    for source in (f"{path}#{CUT}", str(path)):
        with pytest.raises(BadImage) as caught:
            read_image(source, cube_bands=bands, bands=bands, layout=layout)
        assert caught.value.flag == flag


@pytest.mark.parametrize(("packed", "name"), [(False, "t.fits"), (True, "t.fits.fz")])
def test_an_extension_a_band(tmp_path, packed, name):
    layout = replace(PLAIN, image="bands")
    planes = noise(3, 60, 60)
    path = write(tmp_path / name, packed, Z=planes[2], R=planes[1], G=planes[0])
    part, whole = both(path, GRZ, layout)
    assert np.array_equal(part, whole)
    index = tmp_path / "tiles.parquet"
    write_tile_index(pattern=f"{tmp_path}/*.fits*", bands=GRZ, layout=layout, index=index)
    table = pd.read_parquet(index)
    assert table["band"].tolist() == list(GRZ)
    galaxies = pd.DataFrame({"ra": [CUT.ra], "dec": [CUT.dec]})
    found = assign_tiles(galaxies, np.array([CUT.arcsec]), table, GRZ)
    assert found["source"].tolist() == [f"{path}#{CUT}"]


def test_the_index_takes_the_image_that_the_layout_names(tmp_path):
    write(tmp_path / "t.fits", packed=False, SCI=noise(60, 60))
    settings = {"pattern": f"{tmp_path}/*.fits", "bands": ("g",), "index": tmp_path / "tiles.parquet"}
    write_tile_index(**settings, layout=replace(PLAIN, image="SCI"))
    assert pd.read_parquet(settings["index"])["problem"].tolist() == [""]
    with pytest.raises(GalaxAlignError, match="its header has no celestial WCS"):
        write_tile_index(**settings, layout=PLAIN)


def test_one_plane_without_a_name_is_the_band_that_is_wanted(tmp_path):
    path = tmp_path / "t.fits"
    fits.PrimaryHDU(noise(60, 60), SKY).writeto(path)
    part, whole = both(path, ("VIS",), PLAIN)
    assert np.array_equal(part, whole)


def test_bands_of_tiles_lie_along_the_third_axis(tmp_path):
    fits.PrimaryHDU(noise(3, 60, 60), SKY).writeto(tmp_path / "t.fits")
    (tmp_path / "catalog.csv").write_text("id,ra,dec\n1,150,2\n")
    source = {"tiles": {"path": str(tmp_path / "catalog.csv"), "tiles": f"{tmp_path}/*.fits"}}
    for axis in ("header", 3):
        check_source("mine", source, GRZ, axis)
    with pytest.raises(GalaxAlignError, match=r"'datasets.mine.data.fits.band_axis' is 1, .*: set it to header"):
        check_source("mine", source, GRZ, 1)


@pytest.mark.parametrize(("packed", "name"), [(False, "t.fits"), (True, "t.fits.fz")])
def test_axes_of_length_1_are_left_out(tmp_path, packed, name):
    flux = noise(60, 60)
    image = (
        fits.CompImageHDU(flux[None, None], SKY, compression_type="GZIP_1", quantize_level=0)
        if packed
        else fits.ImageHDU(flux[None, None], SKY)
    )
    fits.HDUList([fits.PrimaryHDU(), image]).writeto(tmp_path / name)
    part = read_image(f"{tmp_path / name}#{CUT}", cube_bands=("g",), bands=("g",)).values
    assert np.array_equal(part[0], flux[20:40, 20:40][::-1])


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="bytes read are counted by Linux alone")
def test_of_a_cube_only_the_planes_wanted_are_read(tmp_path):
    flux = noise(12, 500, 500)
    header = tile_header(150.0, 2.0, 500, 500)
    header["BANDS"] = "abcdefghijkl"
    fits.PrimaryHDU(flux, header).writeto(tmp_path / "t.fits")
    source = f"{tmp_path / 't.fits'}#{Cut(ra=150.0, dec=2.0, arcsec=400 * ARCSEC)}"
    read_image(source, cube_bands=(), bands=("a",))
    counts = []
    for bands in (("c",), ("l", "b", "a")):
        before = bytes_read()
        values = read_image(source, cube_bands=(), bands=bands).values
        counts.append(bytes_read() - before)
        places = ["abcdefghijkl".index(band) for band in bands]
        assert np.array_equal(values, flux[places, 50:450, 50:450][:, ::-1])
    plane = 4 * 400 * 400
    assert counts[0] < 1.5 * plane
    assert counts[1] < 3.5 * plane


def bytes_read():
    return int(next(line for line in Path("/proc/self/io").read_text().splitlines() if "rchar" in line).split()[1])


def test_the_first_image_is_not_taken_for_another_band(tmp_path):
    planes = [fits.ImageHDU(np.full((60, 60), number, np.float32), SKY, name=band) for number, band in enumerate("GRZ")]
    fits.HDUList([fits.PrimaryHDU(), *planes]).writeto(tmp_path / "t.fits")
    source = f"{tmp_path / 't.fits'}#{CUT}"
    with pytest.raises(BadImage, match=r"is of band g, not z: say data.fits.image: bands"):
        read_image(source, cube_bands=GRZ, bands=("z",))
    by_band = read_image(source, cube_bands=GRZ, bands=("z",), layout=replace(PLAIN, image="bands"))
    assert (by_band.values == 2).all()


@pytest.mark.parametrize(("packed", "name"), [(False, "t.fits"), (True, "t.fits.fz")])
def test_asinh_magnitudes_of_pan_starrs_become_flux(tmp_path, packed, name):
    """As the survey writes its stacks: C = a asinh((L - BOFFSET) / (2 BSOFTEN)), a = 2.5 / ln 10."""
    flux = np.geomspace(1, 1e5, 3600).reshape(60, 60)
    stored = 2.5 / np.log(10) * np.arcsinh((flux - 5.0) / 40.0)
    header = tile_header(150.0, 2.0, 60, 60)
    header.update({"BOFFSET": 5.0, "BSOFTEN": 20.0, "EXTNAME": "SCI"})
    kind = {"compression_type": "GZIP_1", "quantize_level": 0.0}
    unit = fits.CompImageHDU(stored.astype(">f4"), header, **kind) if packed else fits.ImageHDU(stored, header)
    fits.HDUList([fits.PrimaryHDU(), unit]).writeto(tmp_path / name)
    part, whole = both(tmp_path / name, ("g",), replace(PLAIN, image="SCI"))
    np.testing.assert_allclose(whole[0, ::-1], flux[20:40, 20:40], rtol=1e-5)
    assert np.array_equal(part, whole)
    header["BSOFTEN"] = "high"
    fits.ImageHDU(stored, header).writeto(tmp_path / "odd.fits")
    with pytest.raises(BadImage, match="a BSOFTEN or BOFFSET that is no number"):
        both(tmp_path / "odd.fits", ("g",), PLAIN)
