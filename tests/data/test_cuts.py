"""Galaxies cut from survey tiles: the same pixels as astropy's Cutout2D, north up, and no more bytes than needed."""

from pathlib import Path

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.wcs import WCS

from galaxalign.data.cuts import Cut, parse_cut, read_cut
from galaxalign.data.flags import BadImage
from galaxalign.data.grids import Grid
from galaxalign.data.readers import read_image
from galaxalign.data.regridding import resample
from tests.data.sky_tiles import ARCSEC, offset, read_section, sip_header, tile_header, write_tile
from tests.data.synthetic_images import noise


def expected(path, cut, side):
    """The cutout as astropy makes it, y up, with what lies outside not a number."""
    with fits.open(path) as file:
        image = next(unit for unit in file if unit.data is not None and unit.data.ndim == 2)
        position = SkyCoord(cut.ra, cut.dec, unit="deg")
        wcs = WCS(image.header)
        return Cutout2D(
            image.data.astype(np.float32), position, (side, side), wcs, mode="partial", fill_value=np.nan
        ).data


@pytest.mark.parametrize(("east", "north"), [(0.0, 0.0), (7.3, -11.1), (20.05, 3.0), (24.9, -25.3), (-25.0, 25.0)])
@pytest.mark.parametrize("arcsec", [5.0, 8.1])
def test_the_pixels_are_those_of_cutout2d(tmp_path, east, north, arcsec):
    path = write_tile(tmp_path / "t.fits", 150.0, 2.0)
    cut = Cut(**dict(zip(("ra", "dec"), offset(150.0, 2.0, east, north), strict=True)), arcsec=arcsec)
    side = round(arcsec / ARCSEC)
    section = read_section(path, cut)
    assert section.planes.shape == (1, side, side)
    wanted = expected(path, cut, side)[::-1]
    assert np.array_equal(section.planes[0], wanted, equal_nan=True)
    assert np.array_equal(section.outside, np.isnan(wanted))


@pytest.mark.parametrize(
    ("turn", "mirror", "turned"),
    [
        (0, False, lambda a: a[::-1]),
        (90, False, lambda a: np.rot90(a[::-1], 1)),
        (180, False, lambda a: np.rot90(a[::-1], 2)),
        (270, False, lambda a: np.rot90(a[::-1], -1)),
        (20, False, lambda a: a[::-1]),
        (0, True, lambda a: a[::-1, ::-1]),
    ],
)
def test_north_is_up_whatever_way_the_tile_lies(tmp_path, turn, mirror, turned):
    path = write_tile(tmp_path / "t.fits", 10.0, -40.0, turn=turn, mirror=mirror)
    grid = Grid.from_header(fits.getheader(path))
    # Stars north and east of the galaxy, put where astropy says that they are.
    galaxy = offset(10.0, -40.0, 3.0, 4.0)
    with fits.open(path, mode="update") as file:
        for light, (east, north) in ((100.0, (0.0, 4.0)), (50.0, (4.0, 0.0))):
            x, y = WCS(file[0].header).world_to_pixel(SkyCoord(*offset(*galaxy, east, north), unit="deg"))
            file[0].data[round(float(y)), round(float(x))] = light
    cut = Cut(ra=galaxy[0], dec=galaxy[1], arcsec=41 * ARCSEC)
    planes = read_section(path, cut).planes[0]
    assert np.array_equal(planes, turned(expected(path, cut, 41)))
    middle, step = 20, 4 / ARCSEC
    row, column = np.argwhere(planes == 100.0)[0]
    assert row < middle - 0.8 * step
    assert abs(column - middle) < 0.5 * step
    row, column = np.argwhere(planes == 50.0)[0]
    assert column < middle - 0.8 * step
    assert abs(row - middle) < 0.5 * step
    assert grid.width == 200


@pytest.mark.parametrize("galaxy", [(0.0, 89.9999), (90.0, 89.998), (180.0, 89.997), (271.0, 89.9995), (12.0, 90.0)])
def test_north_is_up_around_the_pole(tmp_path, galaxy):
    path = write_tile(tmp_path / "t.fits", 0.0, 90.0)
    with fits.open(path, mode="update") as file:
        north = (galaxy[0], galaxy[1] + 4 / 3600) if galaxy[1] < 89.998 else None
        if north:
            x, y = WCS(file[0].header).world_to_pixel(SkyCoord(*north, unit="deg"))
            file[0].data[round(float(y)), round(float(x))] = 100.0
    planes = read_section(path, Cut(ra=galaxy[0], dec=galaxy[1], arcsec=10.0)).planes[0]
    assert np.isfinite(planes).all()
    if north:
        row, column = np.argwhere(planes == 100.0)[0]
        assert (row, column) == (pytest.approx(19 - 4 / ARCSEC, abs=6), pytest.approx(19, abs=8))


def test_a_cutout_across_right_ascension_zero(tmp_path):
    path = write_tile(tmp_path / "t.fits", 0.0, 5.0)
    for ra in (0.0, 359.9999, 0.0001, 360.0):
        cut = Cut(ra=ra, dec=5.0, arcsec=30 * ARCSEC)
        assert np.array_equal(read_section(path, cut).planes[0], expected(path, cut, 30)[::-1])


def test_distortions_by_sip(tmp_path):
    fits.PrimaryHDU(noise(400, 400), sip_header(400, 400)).writeto(tmp_path / "t.fits")
    cut = Cut(ra=offset(150.0, 2.0, 35.0, 35.0)[0], dec=2.01, arcsec=8.0)
    planes = read_section(tmp_path / "t.fits", cut).planes[0]
    # The distortion moves the galaxy by pixels, and stretches the sky by almost a percent.
    assert planes.shape == (31, 31)
    assert np.array_equal(planes, expected(tmp_path / "t.fits", cut, 31)[::-1], equal_nan=True)
    plain = tile_header(150.0, 2.0, 400, 400)
    x, _ = WCS(plain).world_to_pixel(SkyCoord(cut.ra, cut.dec, unit="deg"))
    moved, _ = Grid.from_header(fits.getheader(tmp_path / "t.fits")).pixels(np.array([cut.ra]), np.array([cut.dec]))
    assert abs(moved[0] - x) > 0.3


def test_real_decam_cutouts_with_tpv(real_data):
    for name in ("132_gband", "132_rband", "150_rband", "360_gband"):
        path = real_data / f"fits/decam_gr/{name}.fits"
        middle = WCS(fits.getheader(path)).pixel_to_world(100.3, 140.8)
        cut = Cut(ra=float(middle.ra.deg), dec=float(middle.dec.deg), arcsec=60 * 0.2626)
        planes = read_section(path, cut).planes[0]
        side = planes.shape[0]
        assert side in (59, 60, 61)
        # x points south and y east: north up is the transpose with its columns the other way round.
        assert np.array_equal(planes, expected(path, cut, side).T[:, ::-1], equal_nan=True)


def test_real_legacy_survey_cubes(real_data):
    for path in sorted((real_data / "fits/decals_grz").glob("*.fits")):
        flux, header = fits.getdata(path, header=True)
        ra, dec = offset(header["CRVAL1"], header["CRVAL2"], 10.0, -8.0)
        cut = Cut(ra=ra, dec=dec, arcsec=64 * 3600 * header["CD2_2"])
        image = read_image(f"{path}#{cut}", cube_bands=(), bands=("z", "g"))
        for plane, name in zip(image.values, image.bands, strict=True):
            position = SkyCoord(ra, dec, unit="deg")
            wanted = Cutout2D(flux["grz".index(name)], position, (64, 64), WCS(header, naxis=2))
            assert np.array_equal(plane, wanted.data[::-1])


def read_bytes():
    return int(next(line for line in Path("/proc/self/io").read_text().splitlines() if "rchar" in line).split()[1])


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="bytes read are counted by Linux alone")
@pytest.mark.parametrize("east", [0.0, 0.4 * ARCSEC])
def test_a_large_tile_is_not_read(tmp_path, east):
    side = 10_000
    for band, shift in (("g", 0.0), ("r", east)):
        header = fits.Header({"SIMPLE": True, "BITPIX": -32, "NAXIS": 2, "NAXIS1": side, "NAXIS2": side})
        header.update(tile_header(*offset(150.0, 2.0, shift, 0.0), side, side))
        start = header.tostring().encode()
        with (tmp_path / f"t_{band}.fits").open("wb") as file:
            # 400 MB that take no room on the disk.
            file.write(start)
            file.truncate(-(-(len(start) + 4 * side * side) // 2880) * 2880)
    # What modules are loaded is read too.
    resample(np.ones((9, 9), np.float32), "", WCS(header), WCS(header), (9, 9), "")
    before = read_bytes()
    cutout = read_cut(str(tmp_path / "t_{band}.fits"), Cut(ra=150.3, dec=2.3, arcsec=60.0), (), ("g", "r"))
    assert cutout.planes.shape == (2, 229, 229)
    assert not cutout.outside.any()
    # A line of 229 pixels is 916 bytes, of a band that is moved some more; the headers are read besides.
    assert read_bytes() - before < 2 * 240 * 960 + 2**20


def test_of_a_compressed_tile_only_the_rows_needed_are_unpacked(tmp_path):
    path, plain = tmp_path / "t.fits.fz", write_tile(tmp_path / "t.fits", 150.0, 2.0, side=1000)
    flux, header = fits.getdata(plain, header=True)
    fits.CompImageHDU(flux, header, compression_type="RICE_1", quantize_level=16).writeto(path)
    cut = Cut(ra=150.01, dec=2.02, arcsec=16.0)
    wanted = expected(path, cut, 61)[::-1]
    assert np.array_equal(read_section(path, cut).planes[0], wanted)
    # Each row of the image is compressed by itself: those far from the cutout are spoilt, and are not missed.
    with fits.open(path, disable_image_compression=True) as file:
        table, place = file[1].header, file[1].fileinfo()["datLoc"]
    content = bytearray(path.read_bytes())
    lengths = np.frombuffer(bytes(content), ">i4", table["NAXIS1"] * 1000 // 4, place).reshape(1000, -1)[:, :2]
    heap = place + table["NAXIS1"] * 1000
    for row in (*range(700), *range(850, 1000)):
        length, start = map(int, lengths[row])
        content[heap + start : heap + start + length] = b"\xff" * length
    path.write_bytes(content)
    assert np.array_equal(read_section(path, cut).planes[0], wanted)
    with fits.open(path) as file, pytest.raises(Exception, match=r"\w"):
        assert np.array_equal(file[1].data, flux)


@pytest.mark.parametrize(
    ("kind", "cards"),
    [("i2", {"BLANK": -99, "BSCALE": 0.5, "BZERO": 10.0}), ("u2", {}), ("f8", {}), ("i4", {"BLANK": -99})],
)
@pytest.mark.parametrize("packed", [False, True])
def test_numbers_of_every_kind(tmp_path, kind, cards, packed):
    values = np.random.default_rng(0).integers(0, 90, (60, 60)).astype(kind)
    image = (fits.CompImageHDU if packed else fits.PrimaryHDU)(values, tile_header(150.0, 2.0, 60, 60))
    if kind.startswith("i"):
        image.data[25:35, 25:35] = -99
    path = tmp_path / ("t.fits.fz" if packed else "t.fits")
    image.writeto(path)
    if cards:
        with fits.open(path, mode="update", do_not_scale_image_data=True, disable_image_compression=True) as file:
            file[-1].header.update(cards)
    cut = Cut(ra=150.0, dec=2.0, arcsec=40 * ARCSEC)
    with fits.open(path) as file:
        wanted = file[-1].data[10:50, 10:50].astype(np.float32)
    planes = read_section(path, cut).planes[0]
    assert np.array_equal(planes, wanted[::-1], equal_nan=True)
    assert np.isnan(planes).any() == ("BLANK" in cards)


def test_a_tile_in_an_extension(tmp_path):
    flux = noise(100, 100)
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(flux, tile_header(150.0, 2.0, 100, 100))]).writeto(
        tmp_path / "t.fits"
    )
    planes = read_section(tmp_path / "t.fits", Cut(ra=150.0, dec=2.0, arcsec=20 * ARCSEC)).planes[0]
    assert np.array_equal(planes, flux[40:60, 40:60][::-1])


def test_a_cut_and_its_text():
    for words in ("1,2", "1,2,x", "nan,2,3", "1,inf,3", "1e308,2,3", "1,90.1,3", "1,2,inf", "1,2,0", "1,2,-3"):
        with pytest.raises(BadImage, match="names no cutout"):
            parse_cut(f"cut={words}")
    cut = Cut(ra=0.1 + 0.2, dec=-1e-7, arcsec=60.0)
    assert parse_cut(str(cut)) == cut


def test_a_tile_that_changed_is_opened_again(tmp_path):
    cut = Cut(ra=150.0, dec=2.0, arcsec=5.0)
    path = write_tile(tmp_path / "t.fits", 150.0, 2.0)
    first = read_section(path, cut).planes
    path.unlink()
    write_tile(path, 150.0, 2.0, seed=1, side=210)
    assert not np.array_equal(read_section(path, cut).planes, first)
