"""What is measured of pictures is what they were made with, and no label tells anything."""

import json

import h5py
import numpy as np
import pytest
from scipy import ndimage

from galaxalign.errors import GalaxAlignError
from galaxalign.symbols.matching import (
    DEPTH,
    LEVELS,
    QUANTITIES,
    SurveyLook,
    measure,
    measure_look,
    read_look,
    write_look,
)
from tests.data.synthetic_images import RECIPE

SIDE = 96
SKY = np.array([0.10, 0.14, 0.18])
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE]


def blob(x: float, y: float, spread: float, ratio: float = 1.0) -> np.ndarray:
    """A Gaussian of peak 1, longer along x where `ratio` is below 1."""
    return np.exp(-0.5 * (((COLUMNS - x) / spread) ** 2 + ((ROWS - y) / (ratio * spread)) ** 2))


def picture(
    light: np.ndarray, *, noise: float = 0.02, grain: float = 0.0, shared: float = 0.0, seed: int = 0
) -> np.ndarray:
    """Light (H, W) or (H, W, 3) on a sky with noise, uint8."""
    chance = np.random.default_rng(seed)
    own, common = chance.normal(size=(SIDE, SIDE, 3)), chance.normal(size=(SIDE, SIDE, 1))
    grains = np.sqrt(1 - shared) * own + np.sqrt(shared) * common
    if grain:
        grains = ndimage.gaussian_filter(grains, (grain, grain, 0), mode="wrap")
        grains /= grains.std()
    light = light if light.ndim == 3 else light[..., None]
    return (255 * (SKY + light + noise * grains)).round().clip(0, 255).astype(np.uint8)


GALAXY = 0.5 * blob(47.5, 47.5, 8.0)


@pytest.mark.parametrize("noise", [0.01, 0.03])
@pytest.mark.parametrize("grain", [0.6, 1.2])
@pytest.mark.parametrize("shared", [0.2, 0.8])
def test_sky_and_noise_are_what_they_were_made_with(noise, grain, shared):
    found = [measure(picture(GALAXY, noise=noise, grain=grain, shared=shared, seed=seed)) for seed in range(6)]
    mean = {name: np.mean([one[name] for one in found]) for name in QUANTITIES if "neighbour" not in name}
    for place, colour in enumerate(("red", "green", "blue")):
        assert mean[f"sky_{colour}"] == pytest.approx(SKY[place], abs=0.005)
        assert mean[f"noise_{colour}"] == pytest.approx(noise, rel=0.2)
    assert mean["grain"] == pytest.approx(grain, rel=0.2)
    assert mean["shared_noise"] == pytest.approx(shared, abs=0.15)


@pytest.mark.parametrize("cut", [False, True])
def test_noise_is_that_of_the_half_that_black_does_not_cut_off(cut):
    found = []
    for seed in range(4):
        grains = np.random.default_rng(seed).normal(0, 0.03, (SIDE, SIDE, 3))
        values = (255 * (GALAXY[..., None] + grains)).round()
        found.append(measure(values.clip(0) if cut else values)["noise_green"])
    assert np.mean(found) == pytest.approx(0.03, rel=0.1)


def test_a_galaxys_size_shape_place_and_colours():
    plain = measure(picture(GALAXY))
    large = measure(picture(0.5 * blob(47.5, 47.5, 14.0)))
    assert 1.5 < large["radius"] / plain["radius"] < 2.0
    assert plain["peak"] == pytest.approx(0.5, rel=0.1)
    assert plain["axis_ratio"] > 0.9
    assert measure(picture(0.5 * blob(47.5, 47.5, 12.0, 0.5)))["axis_ratio"] == pytest.approx(0.5, abs=0.08)
    assert measure(picture(0.5 * blob(52.0, 50.0, 8.0)))["offset"] == pytest.approx(np.hypot(4.5, 2.5), abs=1.0)
    red = measure(picture(GALAXY[..., None] * [1.2, 1.0, 0.6]))
    for part in ("core", "outer"):
        assert red[f"{part}_red"] == pytest.approx(np.log(1.2), abs=0.08)
        assert red[f"{part}_blue"] == pytest.approx(np.log(0.6), abs=0.08)
    shifted = np.stack([0.5 * blob(47.5 + shift, 47.5, 8.0) for shift in (1, 0, -1)], axis=-1)
    assert measure(picture(shifted, noise=0.005))["fringe"] == pytest.approx(2.0, abs=0.5)


def test_neighbours_are_counted_and_the_sharpest_tells_the_psf():
    star, smudge = 0.3 * blob(12.0, 80.0, 1.5), 0.3 * blob(80.0, 15.0, 3.0)
    alone, beside = (measure(picture(light, noise=0.008)) for light in (GALAXY, GALAXY + star + smudge))
    assert alone["neighbours"] == 0
    assert np.isnan(alone["psf"])
    assert beside["neighbours"] == 2
    # The stretch that is undone sharpens: a star of a linear picture seems narrower than it is.
    assert 1.5 < beside["psf"] < 2.3548 * 1.5 + 0.5
    assert beside["radius"] == pytest.approx(alone["radius"], rel=0.1)


@pytest.mark.parametrize("fwhm", [1.05, 1.5, 2.5, 4.0])
def test_the_psf_of_stars_is_theirs_as_sharp_as_it_may_be(fwhm):
    # Shown by the stretch that the measurement undoes.
    light = blob(47.5, 47.5, 8.0) + blob(12.0, 80.0, fwhm / 2.3548)
    shown = np.arcsinh(0.3 * light * np.sinh(DEPTH)) / DEPTH
    assert measure(picture(shown, noise=0.004))["psf"] == pytest.approx(fwhm, rel=0.06)


def test_hot_pixels_are_no_stars():
    light = GALAXY.copy()
    light[12, 80] += 0.5
    assert np.isnan(measure(picture(light))["psf"])


def test_a_look_keeps_distributions_and_what_goes_with_what():
    sizes = np.linspace(6, 14, 40)
    pictures = np.stack(
        [picture(0.5 * blob(47.5, 47.5, s)[..., None] * [1, 1, s / 14], seed=k) for k, s in enumerate(sizes)]
    )
    look = measure_look(pictures)
    assert (look.side, look.pictures) == (SIDE, 40)
    assert all(len(look.quantiles[name]) == len(LEVELS) for name in QUANTITIES)
    assert all(np.isfinite(look.quantiles[name]).all() for name in QUANTITIES)
    correlation = np.array(look.correlation)
    assert correlation[QUANTITIES.index("radius"), QUANTITIES.index("core_blue")] > 0.8
    np.linalg.cholesky(correlation)
    assert SurveyLook.from_dict(json.loads(json.dumps(look.to_dict()))) == look


def test_sources_of_a_single_pixel_have_a_look_too():
    points = np.array([picture(0.5 * blob(47.5, 47.5, 0.4), seed=seed) for seed in range(20)])
    look = measure_look(points)
    assert all(np.isfinite(values).all() for values in look.quantiles.values())


def store(path, labels, splits):
    """A store of pictures, all alike but for their noise."""
    with h5py.File(path, "w") as file:
        file["images"] = np.stack([picture(GALAXY, seed=seed) for seed in range(len(labels))])
        file["label"] = np.array(labels, np.int16)
        for name, values in {"id": map(str, range(len(labels))), "split": splits}.items():
            file.create_dataset(name, data=list(values), dtype=h5py.string_dtype())
        for name in ("flag", "reason"):
            file.create_dataset(name, data=[""] * len(labels), dtype=h5py.string_dtype())
        for name in ("ra", "dec"):
            file[name] = np.full(len(labels), np.nan)
        recipe = {**RECIPE.to_dict(), "size": SIDE}
        file.attrs.update(dataset="d", code="c", classes='["a", "b"]', names='["A", "B"]', recipe=json.dumps(recipe))
    return path


def test_a_look_needs_no_label_and_no_picture_that_is_judged(tmp_path):
    # A galaxy without a label is in no split.
    splits = ["train"] * 12 + [""] * 12 + ["validation"] * 4 + ["test"] * 4
    looks = []
    for number, labels in enumerate(([0, 1] * 16, [-1] * 32)):
        path = tmp_path / f"look{number}.json"
        write_look(images=store(tmp_path / f"images{number}.h5", labels, splits), look=path)
        looks.append(read_look(path))
    assert looks[0] == looks[1]
    assert looks[0].pictures == 24


def test_too_few_pictures_and_a_broken_file_are_told(tmp_path):
    few = store(tmp_path / "images.h5", [0] * 5, ["train"] * 5)
    with pytest.raises(GalaxAlignError, match=r"5 good pictures in training or without a label.*living\.matched"):
        write_look(images=few, look=tmp_path / "look.json")
    broken = tmp_path / "broken.json"
    broken.write_text('{"side": 3}')
    with pytest.raises(GalaxAlignError, match="no look of a survey"):
        read_look(broken)
