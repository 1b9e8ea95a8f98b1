"""Both functions from flux to colour against their formulas, by hand and on real cutouts."""

import math

import numpy as np
import pytest
from astropy.io import fits

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
