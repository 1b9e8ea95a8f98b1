"""Which tile each galaxy is cut from, and tiles that will not do."""

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits

from galaxalign.data.cuts import Cut
from galaxalign.data.flags import BadImage
from galaxalign.data.grids import Grid, unit_vectors
from galaxalign.data.patterns import find_tiles
from galaxalign.data.readers import read_image
from galaxalign.data.tiles import assign_tiles, fields_of_view
from galaxalign.errors import GalaxAlignError
from tests.data.sky_tiles import ARCSEC, GRZ, assign, index_of, offset, read_section, tile_header, write_tile
from tests.data.synthetic_images import noise


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


def test_links_that_lead_in_circles(tmp_path):
    (tmp_path / "a/b").mkdir(parents=True)
    for name in ("a/t1.fits", "a/b/t2.fits", "a/b/.hidden.fits"):
        (tmp_path / name).touch()
    for link in ("current", "latest", "a/b/again", "a/b/back"):
        (tmp_path / link).symlink_to(tmp_path)
    (tmp_path / "0").symlink_to(tmp_path / "a/b")
    # Links to themselves, alone and in pairs.
    for link, target in (("loop", "loop"), ("a/to", "fro"), ("a/fro", "to"), ("a/none", "nowhere")):
        (tmp_path / link).symlink_to(target)
    found = find_tiles(f"{tmp_path}/**/*.fits", ())
    assert [tile.removeprefix(f"{tmp_path}/") for tile in found] == ["a/b/t2.fits", "a/t1.fits"]


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


def test_tiles_without_a_galaxy_and_galaxies_without_a_tile(tmp_path):
    write_tile(tmp_path / "here_g.fits", 150.0, 2.0)
    write_tile(tmp_path / "far_g.fits", 250.0, 2.0)
    names, flags, _ = assign(tmp_path, [(150.0, 2.0), (150.001, 2.0)])
    assert (names, flags) == (["here_{band}.fits"] * 2, ["", ""])
    names, flags, _ = assign(tmp_path, [(10.0, 2.0)])
    assert (names, flags) == ([""], ["outside"])


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
    for name, words in {
        "bad": "bad_g.fits",
        "nosky": "no celestial WCS",
        "galactic": "GLON",
        "old": "equinox 1950",
    }.items():
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


@pytest.mark.parametrize(
    ("cards", "words"),
    [
        ({"RADESYS": "FK5", "EQUINOX": 2015.5}, r"RA and DEC \(FK5\) of equinox 2015.5, not of J2000"),
        ({"EQUINOX": 1991.25}, "of equinox 1991.25, not of J2000"),
        ({"RADESYS": "GAPPT"}, r"RA and DEC \(GAPPT\)"),
        ({"RADESYS": "FK4"}, "FK4"),
        ({"CD1_1": -2 * ARCSEC / 3600}, "its pixels are 2 times as long as wide"),
        ({"RADESYS": "ICRS", "EQUINOX": 2015.5}, ""),
        ({"RADESYS": "FK5", "EQUINOX": 2000.0}, ""),
        *(({"CUNIT1": unit, "CUNIT2": unit}, "") for unit in ("deg", "degree", "degrees", "DEG")),
    ],
)
def test_tiles_of_another_sky_are_left_out(tmp_path, cards, words):
    write_tile(tmp_path / "good_g.fits", 10.0, 2.0)
    header = tile_header(150.0, 2.0, 50, 50)
    header.update(cards)
    fits.PrimaryHDU(noise(50, 50), header).writeto(tmp_path / "t_g.fits")
    (problem,) = index_of(tmp_path).set_index("tile")["problem"].loc[[str(tmp_path / "t_{band}.fits")]]
    assert bool(problem) == bool(words)
    assert re.search(words, problem)


def test_a_cube_that_lacks_a_band_is_the_second_choice(tmp_path):
    for name, bands, east in (("near", "gr", 0.0), ("far", "grz", 10.0)):
        header = tile_header(*offset(150.0, 2.0, east, 0.0), 200, 200)
        header["BANDS"] = bands
        fits.PrimaryHDU(noise(len(bands), 200, 200), header).writeto(tmp_path / f"{name}.fits")
    for bands, wanted in ((("g", "z"), "far.fits"), (("g", "r"), "near.fits")):
        (name,), (flag,), assigned = assign(tmp_path, [(150.0, 2.0)], bands=bands, pattern="*.fits")
        assert (name, flag) == (wanted, "")
        assert read_image(assigned["source"][0], cube_bands=(), bands=bands).values.shape == (2, 38, 38)


def test_the_edge_is_far_in_arcsec_not_in_pixels(tmp_path):
    write_tile(tmp_path / "coarse_g.fits", *offset(150.0, 2.0, 50.0, 0.0), side=200, scale=1.0)
    write_tile(tmp_path / "fine_g.fits", *offset(150.0, 2.0, 0.0, 0.0), side=140, scale=0.1)
    names, _, _ = assign(tmp_path, [(150.0, 2.0)], arcsec=5.0)
    assert names == ["coarse_{band}.fits"]
