"""Galaxies cut from survey tiles: the same pixels as astropy's Cutout2D, north up, and no more bytes than needed."""

import gzip
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy import units
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.wcs import WCS

from galaxalign.data.cuts import Cut, parse_cut, read_cut
from galaxalign.data.fits import PLAIN
from galaxalign.data.flags import BadImage
from galaxalign.data.grids import Grid, unit_vectors
from galaxalign.data.patterns import find_tiles
from galaxalign.data.pictures import make_picture
from galaxalign.data.quality import LENIENT
from galaxalign.data.readers import read_image
from galaxalign.data.regridding import resample
from galaxalign.data.tiles import assign_tiles, fields_of_view, write_tile_index
from galaxalign.errors import GalaxAlignError
from tests.data.synthetic_images import RECIPE, noise

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


def header_of(values, header):
    """The bytes of the header of an image of these values, BSCALE and BZERO as they are given."""
    whole = fits.PrimaryHDU(values).header
    whole.update(header)
    return whole.tostring().encode()


def offset(ra, dec, east, north):
    """A position so many arcsec away."""
    there = SkyCoord(ra, dec, unit="deg").spherical_offsets_by(east * units.arcsec, north * units.arcsec)
    return float(there.ra.deg), float(there.dec.deg)


def read_section(path, cut):
    """The cutout of a file of one band."""
    return read_cut(str(path), cut, ("g",), ("g",))


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


def sip_header(width, height):
    header = tile_header(150.0, 2.0, width, height, kind="TAN-SIP")
    header.update({"A_ORDER": 2, "B_ORDER": 2, "A_2_0": 3e-5, "A_1_1": -2e-5, "B_0_2": 4e-5, "B_1_1": 1e-5})
    return header


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


def damaged(content, generator):
    """The bytes of a tile with a few of its first blocks' changed, lost or added."""
    content = bytearray(content)
    for _ in range(generator.integers(1, 6)):
        place = int(generator.integers(0, min(len(content), 4 * 2880)))
        match generator.integers(0, 5):
            case 0:
                content[place] = generator.integers(0, 256)
            case 1:
                content[place] = generator.choice(list(b"0123456789-.E"))
            case 2:
                del content[place : place + int(generator.integers(1, 200))]
            case 3:
                del content[place:]
            case _:
                content[place:place] = generator.bytes(int(generator.integers(1, 90)))
        content = content or bytearray(b"x")
    return bytes(content)


@pytest.mark.parametrize("kind", ["plain", "sip", "rice", "gzip"])
def test_tiles_damaged_at_random_are_flagged(tmp_path, kind):
    header = sip_header(60, 60) if kind == "sip" else tile_header(150.0, 2.0, 60, 60)
    flux = noise(60, 60)
    if kind in ("rice", "gzip"):
        flux = (1000 * flux).astype("i2") if kind == "gzip" else flux
        image = fits.CompImageHDU(flux, header, compression_type={"rice": "RICE_1", "gzip": "GZIP_2"}[kind])
    else:
        image = fits.PrimaryHDU(flux, header)
    path = tmp_path / ("t.fits.fz" if kind in ("rice", "gzip") else "t.fits")
    image.writeto(path)
    whole, generator, flags = path.read_bytes(), np.random.default_rng(5), []
    for _ in range(100):
        path.write_bytes(damaged(whole, generator))
        try:
            read_section(path, Cut(ra=150.0, dec=2.0, arcsec=8.0))
            flags.append("")
        except BadImage as bad:
            flags.append(bad.flag)
    assert {"", "unreadable", "truncated"} <= set(flags)


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


def test_cubes_that_lie_about_their_depth(tmp_path):
    write_tile(tmp_path / "t.fits", 150.0, 2.0)
    header = fits.getheader(tmp_path / "t.fits")
    for depth, flag in ((2, "missing_band"), (10**6, "shape"), (0, "unreadable")):
        header["NAXIS"] = 3
        header.set("NAXIS3", depth, after="NAXIS2")
        (tmp_path / "deep.fits").write_bytes(header.tostring().encode() + bytes(4 * 200 * 200))
        with pytest.raises(BadImage) as caught:
            read_section(tmp_path / "deep.fits", Cut(ra=150.0, dec=2.0, arcsec=5.0))
        assert caught.value.flag in (flag, "shape"), depth


def test_a_cut_and_its_text():
    for words in ("1,2", "1,2,x", "nan,2,3", "1,inf,3", "1e308,2,3", "1,90.1,3", "1,2,inf", "1,2,0", "1,2,-3"):
        with pytest.raises(BadImage, match="names no cutout"):
            parse_cut(f"cut={words}")
    cut = Cut(ra=0.1 + 0.2, dec=-1e-7, arcsec=60.0)
    assert parse_cut(str(cut)) == cut
    assert parse_cut("17") is None


def test_a_tile_that_changed_is_opened_again(tmp_path):
    cut = Cut(ra=150.0, dec=2.0, arcsec=5.0)
    path = write_tile(tmp_path / "t.fits", 150.0, 2.0)
    first = read_section(path, cut).planes
    path.unlink()
    write_tile(path, 150.0, 2.0, seed=1, side=210)
    assert not np.array_equal(read_section(path, cut).planes, first)


def flag_of(path, cut):
    return make_picture(f"{path}#{cut}", RECIPE, 0.2).flag


def test_flags_of_cutouts(tmp_path):
    for band in GRZ:
        write_tile(tmp_path / f"t_{band}.fits", 150.0, 2.0)
    tile = tmp_path / "t_{band}.fits"
    edge = 100 * ARCSEC
    inside = offset(150.0, 2.0, edge - 4.5, 0.0)
    assert flag_of(tile, Cut(ra=150.0, dec=2.0, arcsec=10.0)) == ""
    assert flag_of(tile, Cut(ra=inside[0], dec=inside[1], arcsec=10.0)) == ""
    over = offset(150.0, 2.0, edge - 1.0, 0.0)
    strict = replace(RECIPE, quality=replace(LENIENT, max_edge=0.2))
    picture = make_picture(f"{tile}#{Cut(ra=over[0], dec=over[1], arcsec=10.0)}", strict, 0.2)
    assert picture.flag == "edge"
    assert "39.5 % of it lie beyond an edge, 20 % are allowed" in picture.reason
    assert picture.pixels.any(), "what the tile holds is shown"
    assert flag_of(tile, Cut(ra=150.1, dec=2.0, arcsec=10.0)) == "outside"
    assert flag_of(tile, Cut(ra=330.0, dec=-2.0, arcsec=10.0)) == "outside"
    assert flag_of(tile, Cut(ra=150.0, dec=2.0, arcsec=1e7)) == "too_large"
    (tmp_path / "t_r.fits").unlink()
    assert flag_of(tile, Cut(ra=150.0, dec=2.0, arcsec=10.0)) == "missing_band"


def test_bad_tiles_are_named(tmp_path):
    whole = write_tile(tmp_path / "whole.fits", 150.0, 2.0).read_bytes()
    cut = Cut(ra=150.0, dec=2.0, arcsec=10.0)
    files = {
        "cut.fits": (whole[: len(whole) // 3], "truncated"),
        "header.fits": (whole[:1000], "truncated"),
        "blocks.fits": (whole[:2000] + b" " * 880, "truncated"),
        "empty.fits": (b"", "empty_file"),
        "page.fits": (b"<html>503</html>", "unreadable"),
        "packed.fits.gz": (whole, "unreadable"),
    }
    for name, (content, flag) in files.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BadImage) as caught:
            read_section(tmp_path / name, cut)
        assert caught.value.flag == flag, name
        assert name in caught.value.reason
    with pytest.raises(BadImage, match="there is no such file"):
        read_section(tmp_path / "nowhere.fits", cut)
    fits.PrimaryHDU(noise(20, 20)).writeto(tmp_path / "no_sky.fits")
    with pytest.raises(BadImage, match="no celestial WCS"):
        read_section(tmp_path / "no_sky.fits", cut)


@pytest.mark.parametrize(
    ("packing", "keyword", "value"),
    [
        ("", "BSCALE", "'half'"),
        ("", "BZERO", "''"),
        ("HCOMPRESS_1", "", ""),
        ("RICE_1", "TFIELDS", "2147483647"),
        ("gzip", "", ""),
    ],
)
def test_tiles_that_readers_cannot_be_trusted_with(tmp_path, packing, keyword, value):
    header, path = tile_header(150.0, 2.0, 60, 60), tmp_path / "t_g.fits"
    values = (1000 * noise(60, 60)).astype("i2")
    if packing.endswith("_1"):
        fits.CompImageHDU(values, header, compression_type=packing, tile_shape=(20, 60)).writeto(path)
    else:
        header["BSCALE"], header["BZERO"] = 0.5, 10.0
        path.write_bytes(header_of(values, header) + values.astype(">i2").tobytes() + bytes(-values.nbytes % 2880))
    cut = Cut(ra=150.0, dec=2.0, arcsec=4.0)
    content = path.read_bytes()
    if not packing:
        assert np.isfinite(read_section(path, cut).planes).all()
    if keyword:
        place = content.index(f"{keyword:<8}=".encode())
        content = content[:place] + f"{keyword:<8}= {value:>20}".ljust(80).encode() + content[place + 80 :]
    path.write_bytes(gzip.compress(content) if packing == "gzip" else content)
    assert flag_of(path, cut) == "unreadable"
    write_tile(tmp_path / "good_g.fits", 150.0, 2.0)
    problems = index_of(tmp_path).set_index("tile")["problem"]
    # What is wrong with the numbers alone shows when they are read.
    assert bool(problems[str(tmp_path / "t_{band}.fits")]) == bool(packing)


def test_patterns(tmp_path):
    for name in ("a/t1_g.fits", "a/t1_r.fits", "b/t2_g.fits", "b/c/t3_r.fits", "b/t[4]_g.fits"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    root = str(tmp_path)
    found = find_tiles(f"{root}/*/t*_{{band}}.fits", ("g", "r"))
    assert {tile.removeprefix(f"{root}/"): sorted(files) for tile, files in found.items()} == {
        "a/t1_{band}.fits": ["g", "r"],
        "b/t2_{band}.fits": ["g"],
        "b/t[4]_{band}.fits": ["g"],
    }
    assert found[f"{root}/a/t1_{{band}}.fits"]["r"] == f"{root}/a/t1_r.fits"
    assert list(find_tiles(f"{root}/**/t?_{{band}}.fits", ("r",))) == [
        f"{root}/a/t1_{{band}}.fits",
        f"{root}/b/c/t3_{{band}}.fits",
    ]
    assert find_tiles(f"{root}/b/t[4]_g.fits", GRZ) == {f"{root}/b/t[4]_g.fits": {"": f"{root}/b/t[4]_g.fits"}}
    assert find_tiles(f"{root}/nothing_{{band}}", GRZ) == {}


def index_of(folder, pattern="*_{band}.fits", bands=("g",)):
    write_tile_index(pattern=str(folder / pattern), bands=bands, layout=PLAIN, index=folder / "tiles.parquet")
    return pd.read_parquet(folder / "tiles.parquet")


def assign(folder, rows, arcsec=10.0, bands=("g",), **options):
    galaxies = pd.DataFrame(rows, columns=["ra", "dec"], dtype=np.float64)
    assigned = assign_tiles(galaxies, np.full(len(galaxies), arcsec), index_of(folder, bands=bands, **options), bands)
    names = [Path(source.partition("#")[0]).name for source in assigned["source"]]
    return names, list(assigned["flag"]), assigned


def test_a_galaxy_is_cut_from_the_tile_that_holds_it_whole(tmp_path):
    # Two tiles of 52 arcsec that overlap by 12, and one that covers both sparsely placed corners.
    write_tile(tmp_path / "east_g.fits", *offset(150.0, 2.0, 20.0, 0.0))
    write_tile(tmp_path / "west_g.fits", *offset(150.0, 2.0, -20.0, 0.0))
    places = [(20.0, 0.0), (-20.0, 0.0), (1.5, 0.0), (-1.5, 0.0), (0.3, 0.0), (46.5, 0.0), (300.0, 0.0), (20.0, 30.5)]
    rows = [offset(150.0, 2.0, *place) for place in places]
    names, flags, assigned = assign(tmp_path, rows)
    assert names == [f"{side}_{{band}}.fits" for side in ("east", "west", "east", "west", "east", "east")] + [
        "",
        "east_{band}.fits",
    ]
    assert flags == [""] * 6 + ["outside", ""]
    assert "no tile holds any of 10 arcsec around 150.08" in assigned["reason"][6]
    # What was chosen is what is read.
    for row, source in enumerate(assigned["source"][:5]):
        image = read_image(source, cube_bands=(), bands=("g",))
        assert image.values.shape == (1, 38, 38)
        assert not image.outside.any(), row


def test_assignment_agrees_with_every_tile_tried(tmp_path):
    generator = np.random.default_rng(3)
    for number in range(12):
        ra, dec = offset(359.99, -1.0, *generator.uniform(-100, 100, 2))
        write_tile(tmp_path / f"t{number:02d}_g.fits", ra, dec, turn=generator.uniform(0, 360), seed=number)
    rows = [offset(359.99, -1.0, *generator.uniform(-140, 140, 2)) for _ in range(80)]
    names, flags, _ = assign(tmp_path, rows, arcsec=12.0)
    for row, name, flag in zip(rows, names, flags, strict=True):
        cut, shares = Cut(ra=row[0], dec=row[1], arcsec=12.0), {}
        for path in sorted(tmp_path.glob("*.fits")):
            try:
                shares[path.name.replace("_g", "_{band}")] = 1 - read_section(path, cut).outside.mean()
            except BadImage:
                continue
        assert (flag == "outside") == (not shares)
        assert not name or shares[name] == max(shares.values())
    assert 5 < flags.count("outside") < 60


def test_tiles_at_the_pole_and_across_right_ascension_zero(tmp_path):
    write_tile(tmp_path / "pole_g.fits", 0.0, 90.0)
    write_tile(tmp_path / "south_g.fits", 77.0, -90.0)
    write_tile(tmp_path / "zero_g.fits", 0.0, 0.0)
    rows = [(123.0, 89.999), (310.0, 90.0), (0.0, -89.998), (359.9999, 0.0001), (0.001, 0.0), (180.0, 0.0)]
    names, flags, assigned = assign(tmp_path, rows)
    assert [name.partition("_")[0] for name in names] == ["pole", "pole", "south", "zero", "zero", ""]
    assert flags == [""] * 5 + ["outside"]
    for source in assigned["source"][:5]:
        assert not read_image(source, cube_bands=(), bands=("g",)).outside.any()


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


def write_source(path, galaxy, sigma, flux, **options):
    """A tile with one round source: a Gaussian of `sigma` arcsec and `flux` in all, where astropy says that it lies."""
    side, scale = 240, options.get("scale", ARCSEC)
    header = tile_header(*offset(150.0, 2.0, options.pop("east", 0.0), 0.0), side, side, **options)
    x, y = WCS(header).world_to_pixel(SkyCoord(*galaxy, unit="deg"))
    down, across = np.mgrid[:side, :side]
    light = np.exp(-((across - x) ** 2 + (down - y) ** 2) / 2 / (sigma / scale) ** 2)
    light *= flux * scale**2 / (2 * np.pi * sigma**2)
    fits.PrimaryHDU(light.astype(np.float32), header).writeto(path)


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


def test_a_tile_with_every_band_goes_before_one_that_lacks_some(tmp_path):
    write_tile(tmp_path / "full_g.fits", *offset(150.0, 2.0, 0.0, 0.0))
    write_tile(tmp_path / "full_r.fits", *offset(150.0, 2.0, 0.0, 0.0))
    write_tile(tmp_path / "half_g.fits", *offset(150.0, 2.0, 20.0, 0.0))
    rows = [offset(150.0, 2.0, 15.0, 0.0), offset(150.0, 2.0, 40.0, 0.0)]
    names, flags, _ = assign(tmp_path, rows, bands=("g", "r"))
    assert names == ["full_{band}.fits", "half_{band}.fits"]
    assert flags == ["", ""]


def test_galaxies_without_a_position_or_size(tmp_path):
    write_tile(tmp_path / "t_g.fits", 150.0, 2.0)
    rows = [(np.nan, 2.0), (150.0, np.nan), (150.0, 2.0), (150.0, 2.0)]
    galaxies = pd.DataFrame(rows, columns=["ra", "dec"])
    assigned = assign_tiles(galaxies, np.array([10.0, 10.0, 10.0, np.nan]), index_of(tmp_path), ("g",))
    assert list(assigned["flag"]) == ["position", "position", "", "no_size"]
    assert [bool(source) for source in assigned["source"]] == [False, False, True, False]
    assert assigned["reason"].tolist() == ["ra is nan, dec is 2", "ra is 150, dec is nan", "", "its size is empty or 0"]


def test_fields_of_view():
    sizes = np.array([0.5, 4.0, 100.0, np.nan, 0.0])
    assert fields_of_view({"arcsec": 60}, sizes).tolist() == [60.0] * 5
    times = {"times": 8.48, "smallest": 20.0, "largest": 300.0}
    assert fields_of_view(times, sizes)[:3].tolist() == [20.0, 4.0 * 8.48, 300.0]
    assert np.isnan(fields_of_view(times, sizes)[3:]).all()


def test_tiles_that_will_not_do_are_left_out(tmp_path):
    write_tile(tmp_path / "good_g.fits", 150.0, 2.0)
    (tmp_path / "bad_g.fits").write_bytes(b"<html>")
    fits.PrimaryHDU(noise(9, 9)).writeto(tmp_path / "nosky_g.fits")
    galactic = tile_header(150.0, 2.0, 9, 9)
    galactic["CTYPE1"], galactic["CTYPE2"] = "GLON-TAN", "GLAT-TAN"
    fits.PrimaryHDU(noise(9, 9), galactic).writeto(tmp_path / "galactic_g.fits")
    old = tile_header(150.0, 2.0, 9, 9)
    old["RADESYS"], old["EQUINOX"] = "FK4", 1950.0
    fits.PrimaryHDU(noise(9, 9), old).writeto(tmp_path / "old_g.fits")
    table = index_of(tmp_path).set_index("tile")["problem"]
    problems = {Path(tile).name.partition("_")[0]: problem for tile, problem in table.items()}
    assert problems.pop("good") == ""
    for name, words in {"bad": "bad_g.fits", "nosky": "no celestial WCS", "galactic": "GLON", "old": "B1950"}.items():
        assert words in problems[name]
    (tmp_path / "good_g.fits").unlink()
    with pytest.raises(GalaxAlignError, match="none of the 4 files of"):
        index_of(tmp_path)
    shutil.rmtree(tmp_path)
    tmp_path.mkdir()
    with pytest.raises(GalaxAlignError, match="no file fits the pattern"):
        index_of(tmp_path)


def test_the_circle_holds_the_tile(tmp_path):
    for ra, dec, turn in ((0.0, 0.0, 0.0), (200.0, 89.99, 30.0), (359.99, -60.0, 45.0)):
        header = tile_header(ra, dec, 300, 100, turn=turn)
        header["NAXIS1"], header["NAXIS2"] = 300, 100
        grid = Grid.from_header(header)
        middle, around = unit_vectors(*map(np.array, grid.circle()[:2])), grid.circle()[2]
        x, y = (axis.ravel() for axis in np.meshgrid(np.arange(300.0), np.arange(100.0)))
        vectors = unit_vectors(*grid.wcs.all_pix2world(x, y, 0, ra_dec_order=True))
        apart = np.degrees(2 * np.arcsin(np.linalg.norm(vectors - middle, axis=-1) / 2))
        assert 0.98 * around < apart.max() <= around
