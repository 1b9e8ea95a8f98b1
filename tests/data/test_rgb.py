"""Both functions from flux to colour against their formulas, by hand and on real cutouts."""

import math

import numpy as np
import pytest
from astropy.io import fits
from astropy.visualization import (
    AsinhStretch,
    AsymmetricPercentileInterval,
    ManualInterval,
    ZScaleInterval,
    make_lupton_rgb,
)

from galaxalign.data.rgb import Stretch, to_rgb
from galaxalign.errors import GalaxAlignError
from tests.data.synthetic_images import STRETCH

LEGACY = Stretch.from_dict(STRETCH)
LUPTON = Stretch.from_dict({**STRETCH, "name": "lupton"})


def test_legacy_survey_by_hand():
    # A bright pixel, sky, a negative pixel, and one so negative that every plane is below -m.
    flux = np.array([[[0.5, 0.0], [-0.001, -1.0]], [[0.8, 0.0], [0.01, -1.0]], [[1.0, 0.0], [0.02, -1.0]]], np.float32)
    m, q, expected = 0.03, 20.0, []
    for y, x in ((0, 0), (0, 1), (1, 0)):
        raised = [float(flux[band, y, x]) * scale + m for band, scale in ((2, 2.2), (1, 3.4), (0, 6.0))]
        intensity = sum(max(0.0, value) for value in raised) / 3
        factor = math.asinh(q * intensity) / (math.sqrt(q) * intensity)
        expected.append([int(255 * min(1.0, max(0.0, value * factor))) for value in raised])
    rgb = to_rgb(flux, ("g", "r", "z"), LEGACY)
    assert rgb.dtype == np.uint8
    assert rgb.shape == (2, 2, 3)
    assert rgb[[0, 0, 1], [0, 1, 0]].tolist() == expected
    assert rgb[1, 1].tolist() == [0, 0, 0]


def test_sky_has_the_viewer_s_grey():
    # No flux: I = m, C = asinh(Q m) / sqrt(Q) = asinh(0.6) / sqrt(20) = 0.1272.
    rgb = to_rgb(np.zeros((3, 1, 1), np.float32), ("g", "r", "z"), LEGACY)
    assert rgb.ravel().tolist() == [int(255 * math.asinh(0.6) / math.sqrt(20))] * 3 == [32, 32, 32]


def test_lupton_by_hand():
    # Lupton et al. 2004: F(I) = asinh(Q I / stretch) / (Q slope) with 0.1 of the slope at frac, as astropy has it.
    flux = np.array([[[0.3]], [[0.4]], [[0.5]]], np.float32)
    planes = [2.2 * 0.5, 3.4 * 0.4, 6.0 * 0.3]
    intensity = sum(planes) / 3
    slope = 0.1 * 255 / math.asinh(0.1 * 8)
    factor = math.asinh(8 * intensity / 5) * slope / intensity
    expected = [int(value * factor) for value in planes]
    assert np.abs(to_rgb(flux, ("g", "r", "z"), LUPTON).ravel().astype(int) - expected).max() <= 1


def named(name, **numbers):
    return Stretch.from_dict({**STRETCH, "name": name, name: {**STRETCH[name], **numbers}})


def test_a_single_band_is_grey():
    grey = {colour: {"VIS": 1.0} for colour in ("red", "green", "blue")}
    flux = np.linspace(-0.5, 3, 64, dtype=np.float32).reshape(1, 8, 8)
    for name in ("legacy_survey", "lupton", "asinh", "percentile", "zscale"):
        stretch = Stretch.from_dict({**STRETCH, "name": name, "colours": grey})
        rgb = to_rgb(flux, ("VIS",), stretch)
        assert (rgb == rgb[..., :1]).all(), name
        assert (np.diff(rgb[..., 0].astype(int).ravel()) >= 0).all(), f"{name} is not monotonic"
        assert rgb.max() > rgb.min(), name


def test_asinh_is_astropy_s():
    flux = np.random.default_rng(0).normal(0.5, 1, (3, 9, 7)).astype(np.float32)
    rgb = to_rgb(flux, ("g", "r", "z"), named("asinh", low=-0.2, high=1.5, softening=0.05))
    for place, (band, weight) in enumerate(((2, 2.2), (1, 3.4), (0, 6.0))):
        share = ManualInterval(-0.2, 1.5)(weight * flux[band].astype(np.float64))
        assert np.abs(rgb[..., place] - 255 * AsinhStretch(0.05)(share)).max() <= 1.001


def test_stretches_that_hardly_bend_keep_every_level():
    flux = np.repeat(np.linspace(0, 1, 4096, dtype=np.float32).reshape(1, 64, 64), 3, axis=0)
    grey = {colour: {"g": 1.0} for colour in ("red", "green", "blue")}
    for softening in (5, 20, 1e4, 1e8):
        stretch = Stretch.from_dict({**named("asinh", low=0, high=1, softening=softening).to_dict(), "colours": grey})
        expected = 255 * np.arcsinh(flux[0].astype(np.float64) / softening) / math.asinh(1 / softening)
        assert np.abs(to_rgb(flux, ("g", "r", "z"), stretch)[..., 0] - expected).max() <= 1.001
    for Q in (0.2, 0.05, 1e-3, 1e-9):
        stretch = Stretch.from_dict({**named("lupton", stretch=0.1, Q=Q, minimum=0).to_dict(), "colours": grey})
        expected = np.minimum(255, 255 * 0.1 * np.arcsinh(Q / 0.1 * flux[0].astype(np.float64)) / math.asinh(0.1 * Q))
        assert np.abs(to_rgb(flux, ("g", "r", "z"), stretch)[..., 0] - expected).max() <= 1.001


@pytest.mark.parametrize("name", ["percentile", "zscale"])
def test_limits_of_the_image_s_own_are_astropy_s(name):
    flux = np.random.default_rng(1).gamma(0.5, 3, (3, 40, 30)).astype(np.float32)
    flux[:, 10:12], flux[:, 12:14] = np.nan, 0
    stretch = named(name)
    interval = AsymmetricPercentileInterval(1, 99.5) if name == "percentile" else ZScaleInterval(contrast=0.25)
    rgb = to_rgb(flux, ("g", "r", "z"), stretch)
    for place, band in enumerate((2, 1, 0)):
        there = np.isfinite(flux[band]) & (flux[band] != 0)
        known = flux[band][there].astype(np.float64)
        low, high = interval.get_limits(known)
        share = AsinhStretch(stretch.numbers["softening"])(np.clip((known - low) / (high - low), 0, 1))
        assert np.abs(rgb[there, place] - 255 * share).max() <= 1.01
    # Pixels without data are black.
    assert not rgb[10:12].any()
    # Counts, magnitudes or nanomaggies: the unit does not matter.
    counts = np.where(flux == 0, 0, 1000 * flux + 50)
    assert np.abs(to_rgb(counts, ("g", "r", "z"), stretch).astype(int) - rgb).max() <= 1


@pytest.mark.parametrize("name", ["legacy_survey", "lupton", "asinh", "percentile", "zscale"])
def test_a_picture_is_its_own_whatever_was_made_before(name):
    images = np.random.default_rng(2).normal(0.1, 0.2, (6, 3, 17, 23)).astype(np.float32)
    alone = [to_rgb(image, ("g", "r", "z"), named(name)) for image in images]
    for order in ([5, 4, 3, 2, 1, 0], [0, 0, 3, 3, 5, 5]):
        for place in order:
            assert np.array_equal(to_rgb(images[place], ("g", "r", "z"), named(name)), alone[place])
            # Neither the byte order nor the order in memory matters.
            swapped = np.asfortranarray(images[place].astype(">f4"))
            assert np.array_equal(to_rgb(swapped, ("g", "r", "z"), named(name)), alone[place])


def test_five_bands_make_three_colours():
    bands = ("u", "g", "r", "i", "z")
    colours = {"blue": {"u": 0.5, "g": 0.5}, "green": {"r": 1.0}, "red": {"i": 0.25, "z": 0.75}}
    five = Stretch.from_dict({**STRETCH, "name": "lupton", "colours": colours})
    assert five.bands == ("u", "g", "r", "i", "z")
    flux = np.random.default_rng(3).uniform(0, 9, (5, 6, 6)).astype(np.float32)
    planes = [0.25 * flux[3] + 0.75 * flux[4], flux[2], 0.5 * flux[0] + 0.5 * flux[1]]
    expected = make_lupton_rgb(*planes, stretch=5, Q=8, minimum=0)
    assert np.abs(to_rgb(flux, bands, five).astype(int) - expected).max() <= 1


def test_lupton_is_astropy_s_on_every_kind_of_pixel():
    flux = np.random.default_rng(4).normal(0, 3, (3, 50, 50)).astype(np.float32)
    for minimum in (0.0, -1.0, 0.5):
        stretch = named("lupton", minimum=minimum)
        planes = [2.2 * flux[2], 3.4 * flux[1], 6.0 * flux[0]]
        expected = make_lupton_rgb(*planes, stretch=5, Q=8, minimum=minimum)
        assert np.abs(to_rgb(flux, ("g", "r", "z"), stretch).astype(int) - expected).max() <= 1


def test_planes_are_weighted_sums_of_bands():
    colours = {"blue": {"g": 1.0}, "green": {"g": 0.5, "i": 0.5}, "red": {"i": 1.0}}
    two = Stretch.from_dict({**STRETCH, "colours": colours})
    assert two.bands == ("g", "i")
    flux = np.array([[[0.1]], [[0.3]]], np.float32)
    same = Stretch.from_dict({**STRETCH, "colours": {"blue": {"a": 1.0}, "green": {"b": 1.0}, "red": {"c": 1.0}}})
    by_plane = np.array([[[0.1]], [[0.2]], [[0.3]]], np.float32)
    assert np.array_equal(to_rgb(flux, ("g", "i"), two), to_rgb(by_plane, ("a", "b", "c"), same))


def test_a_weight_of_0_takes_a_band_out():
    colours = {**STRETCH["colours"], "red": {"z": 0, "r": 2.0}}
    assert Stretch.from_dict({**STRETCH, "colours": colours}).bands == ("g", "r")


def test_pixels_without_data_count_as_no_flux():
    flux = np.array([[[np.nan, 0.0]], [[np.inf, 0.0]], [[0.1, 0.1]]], np.float32)
    rgb = to_rgb(flux, ("g", "r", "z"), LEGACY)
    assert np.array_equal(rgb[0, 0], rgb[0, 1])


def test_settings_survive_the_store():
    assert Stretch.from_dict(LUPTON.to_dict()) == LUPTON


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "lupten"}, "data.stretch.name is 'lupten'.*did you mean 'lupton'"),
        ({"colours": {**STRETCH["colours"], "red": {"z": 0.0}}}, "data.stretch.colours.red has no band"),
        ({"name": "asinh", "asinh": {"low": 2, "high": 2, "softening": 1}}, "'high' that is not above its 'low'"),
    ],
)
def test_wrong_settings_are_named(change, words):
    with pytest.raises(GalaxAlignError, match=words):
        Stretch.from_dict({**STRETCH, **change})


def test_a_missing_band_is_named():
    with pytest.raises(GalaxAlignError, match="needs band 'z', but the image has g, r"):
        to_rgb(np.zeros((2, 4, 4), np.float32), ("g", "r"), LEGACY)


@pytest.mark.parametrize("name", ["dr3dr5_example_a", "dr3dr5_example_e", "97f650e_example_a", "06e38a4_temp_small"])
def test_real_cutouts_agree_with_both_formulas(real_data, name):
    flux = fits.getdata(real_data / f"fits/decals_grz/{name}.fits").astype(np.float64)
    planes = np.stack([2.2 * flux[2], 3.4 * flux[1], 6.0 * flux[0]], axis=-1)

    raised = planes + 0.03
    intensity = np.maximum(raised, 0).mean(axis=-1, keepdims=True)
    intensity[intensity == 0] = 1e-6
    viewer = np.clip(raised * np.arcsinh(20 * intensity) / (math.sqrt(20) * intensity), 0, 1)
    made = to_rgb(flux.astype(np.float32), ("g", "r", "z"), LEGACY)
    assert np.abs(made - 255 * viewer).max() <= 1.001
    assert made.std() > 5

    intensity = planes.mean(axis=-1, keepdims=True)
    positive = intensity[..., 0] > 0
    slope = 0.1 * 255 / math.asinh(0.1 * 8)
    lupton = planes * np.arcsinh(8 * intensity / 5) * slope / np.where(intensity > 0, intensity, 1)
    lupton = np.maximum(lupton, 0)
    lupton *= np.minimum(1, 255 / np.maximum(lupton.max(axis=-1, keepdims=True), 1e-9))
    made = to_rgb(flux.astype(np.float32), ("g", "r", "z"), LUPTON)
    assert np.abs(made - lupton)[positive].max() <= 1.001
