"""The sheet that helps to choose how flux becomes colour."""

import matplotlib.image
import numpy as np
import pytest
from astropy.io import fits

from galaxalign.data.__main__ import main, mix_bands
from tests.conftest import ROOT
from tests.data.synthetic_images import noise, write_cube, write_jpeg


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_a_cube_is_drawn_every_way(tmp_path, capsys):
    flux = noise(3, 48, 48)
    flux[:, 20:28, 20:28] += 1
    path = write_cube(tmp_path / "a.fits", flux)
    assert main(["show", str(path), "--output", str(tmp_path / "sheet.png")]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"flag: none, {path}")
    for band, plane in zip("grz", flux, strict=True):
        assert f"{band}: 1 % below {np.percentile(plane, 1):.4g}, median {np.median(plane):.4g}" in said
    drawn = matplotlib.image.imread(tmp_path / "sheet.png")
    # Five pictures above three: something is drawn in each place, and white paper where none is.
    height, width = drawn.shape[:2]
    for column in range(5):
        for row, there in ((0.2, True), (0.66, column < 3)):
            spot = drawn[int(row * height), int((0.1 + 0.2 * column) * width), :3]
            assert (spot.min() < 1) == there, (column, row)


def test_bands_are_named_on_the_command_line(tmp_path, capsys):
    fits.PrimaryHDU(noise(32, 32)).writeto(tmp_path / "a.fits")
    output = ["--output", str(tmp_path / "sheet.png")]
    assert main(["show", str(tmp_path / "a.fits"), *output]) == 1
    assert "name its bands, blue first: --bands" in capsys.readouterr().err
    assert main(["show", str(tmp_path / "a.fits"), "--bands", "VIS", "--crop", "0.5", *output]) == 0
    said = capsys.readouterr().out
    assert not said.startswith("flag: none"), "there is nothing but noise"
    assert "VIS: 1 % below" in said


def test_a_picture_has_nothing_to_choose(tmp_path, capsys):
    path = write_jpeg(tmp_path / "a.jpg", side=64)
    assert main(["show", str(path), "--output", str(tmp_path / "sheet.png")]) == 0
    assert (tmp_path / "sheet.png").is_file()
    assert main(["show", str(tmp_path / "b.jpg")]) == 1
    assert "there is no such file" in capsys.readouterr().err


@pytest.mark.parametrize("crop", ["0", "1.5", "-1"])
def test_a_share_that_is_none(tmp_path, capsys, crop):
    path = write_jpeg(tmp_path / "a.jpg", side=64)
    assert main(["show", str(path), "--crop", crop, "--output", str(tmp_path / "sheet.png")]) == 1
    assert f"--crop is {float(crop):g}: give a share of the side" in capsys.readouterr().err


def test_an_overlay_that_is_not_there(tmp_path, capsys):
    assert main(["show", str(tmp_path / "a.jpg"), "--configfile", str(tmp_path / "nix.yaml")]) == 1
    assert "nix.yaml" in capsys.readouterr().err


def test_any_number_of_bands_makes_three_colours():
    assert mix_bands(["V"]) == {colour: {"V": 1.0} for colour in ("blue", "green", "red")}
    assert mix_bands(["g", "i"])["green"] == {"g": 0.5, "i": 0.5}
    assert mix_bands(["g", "r", "z"]) == {"blue": {"g": 1.0}, "green": {"r": 1.0}, "red": {"z": 1.0}}
    for count in (2, 3, 4, 5, 8):
        bands = [f"b{place}" for place in range(count)]
        mixed = mix_bands(bands)
        assert {band for weights in mixed.values() for band in weights} == set(bands)
        for weights in mixed.values():
            assert sum(weights.values()) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("overlay", "output", "words"),
    [
        ("data: {crop: half}", "sheet.png", "'data.crop' is 'half': it must be of type number"),
        ("active: {datasets: [zzz]}", "sheet.png", "'active.datasets' is 'zzz'"),
        ("data: [1, 2", "sheet.png", "cannot be read as YAML"),
        ("- 1", "sheet.png", "holds no keys with values"),
        (None, "sheet.png", "there is no configuration file"),
        ("", "sheet.xyz", "name a file that ends in one of .png"),
        ("", "", "name a file that ends in one of .png"),
    ],
)
def test_mistakes_are_named(tmp_path, capsys, overlay, output, words):
    path = write_jpeg(tmp_path / "a.jpg", side=64)
    if overlay is not None:
        (tmp_path / "mine.yaml").write_text(overlay)
    command = ["show", str(path), "--configfile", str(tmp_path / "mine.yaml"), "--output", str(tmp_path / output)]
    assert main(command) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert words in said


@pytest.mark.parametrize("place", ["a.jpg/sheet.png", "folder.png", "x" * 300 + ".png"])
def test_a_sheet_that_cannot_be_written(tmp_path, capsys, place):
    path = write_jpeg(tmp_path / "a.jpg", side=64)
    (tmp_path / "folder.png").mkdir()
    assert main(["show", str(path), "--output", str(tmp_path / place)]) == 1
    assert f"error: --output is {tmp_path / place}, which cannot be written (" in capsys.readouterr().err


def test_names_with_dollars_are_drawn_as_they_are(tmp_path):
    path = write_cube(tmp_path / "a$b_{$ {z}.fits", noise(3, 48, 48))
    assert main(["show", str(path), "--output", str(tmp_path / "sheet.png")]) == 0
