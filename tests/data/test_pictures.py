"""The size that pictures are stored at, and the flags that a picture's own light brings."""

from dataclasses import replace

import numpy as np
import pytest
import yaml
from PIL import Image

from galaxalign.data.pictures import ImageRecipe, make_picture
from galaxalign.data.quality import Quality, find_source, measure_flux, measure_picture
from galaxalign.data.resizing import resize
from tests.conftest import ROOT
from tests.data.synthetic_images import LENIENT, RECIPE, STRETCH, noise, write_cube

DATA = yaml.safe_load((ROOT / "config/config.yaml").read_text())["data"]
DEFAULTS = Quality.from_dict(DATA["quality"])


@pytest.mark.parametrize(("side", "size"), [(424, 128), (256, 128), (212, 128), (100, 128), (64, 64)])
def test_resizing_is_pillow_s(side, size):
    generator = np.random.default_rng(side)
    smooth = np.kron(
        generator.integers(0, 256, (side // 4 + 1, side // 4 + 1, 3), np.uint8), np.ones((4, 4, 1), np.uint8)
    )
    pixels = np.ascontiguousarray(smooth[:side, :side])
    expected = np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC))
    assert np.abs(resize(pixels, size).astype(int) - expected).max() <= 1
    # Colours plane by plane, as those of flux lie, are another way through the same filter.
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1)).transpose(1, 2, 0)
    small = resize(planes, size)
    assert small.flags.c_contiguous
    assert np.abs(small.astype(int) - expected).max() <= 1


# ---------------------------------------------------------------- flags


def sky(side=128, seed=0, level=32.0, spread=4.0):
    return np.random.default_rng(seed).normal(level, spread, (side, side, 3))


def with_source(x, y, light, side=128, sigma=3.0):
    rows, columns = np.mgrid[:side, :side]
    spot = light * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))
    return np.clip(sky(side) + spot[..., None], 0, 255).astype(np.uint8)


def flag_of(folder, pixels, quality=DEFAULTS, name="a.png"):
    Image.fromarray(pixels).save(folder / name)
    return make_picture(str(folder / name), replace(RECIPE, size=128, quality=quality), 0.2).flag


def test_sky_alone_is_too_faint(tmp_path):
    for seed in range(20):
        pixels = np.clip(sky(seed=seed), 0, 255).astype(np.uint8)
        assert find_source(pixels, 128, 5)[0] < 5
    assert flag_of(tmp_path, pixels) == "faint"
    assert flag_of(tmp_path, pixels, LENIENT) == ""
    assert flag_of(tmp_path, with_source(64, 64, 60)) == ""


@pytest.mark.parametrize("side", [2, 3, 4, 7, 11, 16, 22, 31])
def test_sky_of_few_pixels_is_too_faint(tmp_path, side):
    """Enlarged to 128 pixels, neighbours look alike, and any of its pixels would stand out from them."""
    skies = [np.clip(sky(side, seed), 0, 255).astype(np.uint8) for seed in range(40)]
    assert np.mean([find_source(resize(pixels, 128), side, 5)[0] >= 5 for pixels in skies]) <= 0.05
    assert flag_of(tmp_path, skies[0]) == "faint"
    cube = write_cube(tmp_path / "a.fits", noise(3, side, side))
    assert make_picture(str(cube), replace(RECIPE, size=128, quality=DEFAULTS), 0.2).flag == "faint"


def test_one_pixel_is_no_source():
    assert find_source(np.full((128, 128, 3), np.random.default_rng(0).integers(0, 256, 3, np.uint8)), 1, 5) == (
        0,
        np.inf,
    )


@pytest.mark.parametrize("side", [8, 12, 20, 31])
def test_a_galaxy_of_few_pixels(tmp_path, side):
    middle = (side - 1) / 2
    assert flag_of(tmp_path, with_source(middle, middle, 150, side, side / 12)) == ""
    assert flag_of(tmp_path, with_source(side - 2, middle, 150, side, side / 12)) == "off_centre"


def test_from_32_pixels_on_cells_are_those_of_the_picture():
    pixels = np.random.default_rng(0).integers(0, 200, (140, 140, 3), np.uint8)
    assert find_source(pixels, 32, 3) == find_source(pixels, 4000, 3) != find_source(pixels, 31, 3)


def test_the_signal_is_light_over_noise():
    # One cell of 4 x 4 pixels of three colours stands 10 above a sky whose cells scatter by 4 / sqrt(48).
    pixels = np.clip(np.rint(sky(level=100)), 0, 255)
    pixels[64:68, 64:68] += 10
    signal, distance = find_source(pixels.astype(np.uint8), 128, 5)
    # At least one grey level is taken as noise.
    assert signal == pytest.approx(10, abs=2)
    assert distance == pytest.approx(np.hypot(0.5, 0.5) / 32)


@pytest.mark.parametrize(("place", "flag"), [(64, ""), (78, ""), (90, "off_centre"), (110, "off_centre")])
def test_sources_far_from_the_middle(tmp_path, place, flag):
    assert flag_of(tmp_path, with_source(place, 64, 100)) == flag
    assert flag_of(tmp_path, with_source(64, 127 - place, 100)) == flag


def test_a_saturated_star(tmp_path):
    # Half of the side is the middle: 64 x 64 pixels.
    for radius, flag in ((10, ""), (25, "saturated")):
        rows, columns = np.mgrid[:128, :128] - 64
        pixels = with_source(64, 64, 100)
        disk = rows**2 + columns**2 < radius**2
        pixels[disk] = 255
        assert measure_picture(pixels).saturated == pytest.approx(np.pi * radius**2 / 64**2, rel=0.05)
        assert flag_of(tmp_path, pixels) == flag
        # What is red alone is not as bright as can be.
        pixels[disk] = 255, 100, 100
        assert measure_picture(pixels).saturated == 0


def test_a_detector_s_full_well(tmp_path):
    flux = noise(3, 64, 64)
    flux[:, 20:44, 20:44] += 5
    assert measure_flux(flux).saturated == 0
    flux[1, 20:44, 20:44] = 8.0
    # 24 x 24 of the 32 x 32 pixels of the middle.
    assert measure_flux(flux).saturated == (24 / 32) ** 2
    recipe = replace(RECIPE, quality=DEFAULTS)
    assert make_picture(str(write_cube(tmp_path / "a.fits", flux)), recipe, 0.2).flag == "saturated"


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_the_edge_of_a_survey_and_holes(value):
    flux = noise(3, 40, 40)
    flux[:, :, 30:] = value
    flux[:, :4] = value
    found = measure_flux(flux)
    assert found.edge == found.blank == pytest.approx(1 - 30 / 40 * 36 / 40)
    # A band of its own may end earlier.
    flux[0, 20:] = value
    assert measure_flux(flux).edge == pytest.approx(1 - 30 / 40 * 16 / 40)
    holes = noise(3, 40, 40)
    holes[:, 5:35, 5:35] = value
    assert measure_flux(holes).edge == 0
    assert measure_flux(holes).blank == (30 / 40) ** 2
    assert measure_flux(np.full((3, 8, 8), value, np.float32)).edge == 0
    assert measure_flux(np.full((3, 8, 8), value, np.float32)).blank == 1


def test_a_band_of_one_value(tmp_path):
    flux = noise(3, 16, 16)
    flux[1] = -1
    assert make_picture(str(write_cube(tmp_path / "a.fits", flux)), RECIPE, 0.2).flag == "constant"
    for value in (np.nan, 0):
        flux[1, :4] = value
        path = write_cube(tmp_path / f"{value}.fits", flux)
        assert make_picture(str(path), RECIPE, 0.3).flag == "constant"


def test_extreme_flux_is_survived(tmp_path):
    for number, value in enumerate((np.inf, -np.inf, 3e38, -3e38, 1e-45)):
        flux = noise(3, 16, 16)
        flux[:, ::2, ::3] = value
        path = str(write_cube(tmp_path / f"{number}.fits", flux))
        for name in ("legacy_survey", "lupton", "asinh", "percentile", "zscale"):
            recipe = ImageRecipe.from_dict(
                {**DATA, "size": 16, "stretch": {**STRETCH, "name": name}, "quality": LENIENT.to_dict()}
            )
            assert make_picture(path, recipe, 1.0).pixels.shape == (16, 16, 3)


NO_GALAXY = "gz1/images/587729387686002878.jpeg"


@pytest.mark.parametrize("name", ["gz1", "gz2", "galaxy10_decals_sample"])
def test_what_volunteers_classified_is_not_rejected(real_data, name):
    recipe = ImageRecipe.from_dict(DATA)
    # One is a server's error message, see below.
    files = sorted(set((real_data / name / "images").iterdir()) - {real_data / NO_GALAXY})
    flags = [make_picture(str(file), recipe, DATA["max_blank"]).flag for file in files]
    assert not any(flags), [str(file) for file, flag in zip(files, flags, strict=True) if flag]


def test_a_server_s_error_message_is_no_galaxy(real_data):
    # The one picture of Galaxy Zoo 1 in which SDSS wrote "getFrames() has failed".
    path = real_data / NO_GALAXY
    assert make_picture(str(path), ImageRecipe.from_dict(DATA), DATA["max_blank"]).flag == "edge"


@pytest.mark.parametrize("key", RECIPE.to_dict())
def test_a_recipe_that_lacks_a_key_is_refused(key):
    older = {name: value for name, value in RECIPE.to_dict().items() if name != key}
    with pytest.raises(KeyError, match=key):
        ImageRecipe.from_dict(older)


def test_a_recipe_applied_to_other_files_keeps_its_look():
    other = replace(RECIPE, size=32, bands=("VIS",), quality=DEFAULTS, fits=replace(RECIPE.fits, image="SCI"))
    applied = RECIPE.applied_to(other)
    assert (applied.size, applied.bands, applied.fits.image, applied.quality) == (16, ("VIS",), "SCI", DEFAULTS)
    assert applied.looks_like(RECIPE)
    assert not applied.looks_like(other)
