"""The galaxy pen: its light against GalSim's, its shapes against the schematic pen's."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from observations import CAMERA, FLUX, LOOK, picture
from spirals import measured_hand

from galaxalign.symbols import profiles
from galaxalign.symbols.appearance import Band
from galaxalign.symbols.drawing import draw
from galaxalign.symbols.geometry import Geometry
from galaxalign.symbols.library import SYMBOLS
from galaxalign.symbols.rendering import BATCH, each, render

SIZE, SCALE = 112, CAMERA.pixel_scale
SPIRAL = Geometry(disk=1.0, arms=2, pitch=18.0, arm_width=0.1, arm_strength=0.9)


def distance(x: float = 0.0, y: float = 0.0) -> np.ndarray:
    """Arcseconds of each pixel from a place."""
    axis = (np.arange(SIZE) - (SIZE - 1) / 2) * SCALE
    return np.hypot(axis[None, :] - x, axis[:, None] - y)


@pytest.mark.parametrize("index", [1.0, 2.5, 4.0])
@pytest.mark.parametrize(("axis_ratio", "angle", "x", "y"), [(1.0, 0.0, 0.0, 0.0), (0.6, 30.0, 0.11, -0.07)])
@pytest.mark.parametrize(("radius", "fwhm"), [(10.0, 1.3), (5.0, 0.9)])
def test_sersic_profiles_through_the_air_are_galsims(index, axis_ratio, angle, x, y, radius, fwhm):
    galsim = pytest.importorskip("galsim")
    camera = replace(CAMERA, bands=(replace(CAMERA.bands[0], psf_fwhm=fwhm),))
    ours = picture(
        Geometry(axis_ratio=axis_ratio), SIZE, camera, radius=radius, angle=angle, x=x, y=y, spheroid_index=index
    )[0]
    galaxy = galsim.Sersic(index, half_light_radius=0.3 * radius).transform(1, 0, 0, axis_ratio).withFlux(FLUX)
    seen = galsim.Convolve(galaxy.rotate(angle * galsim.degrees).shift(x, y), galsim.Moffat(3.0, fwhm=fwhm))
    theirs = seen.drawImage(nx=SIZE, ny=SIZE, scale=SCALE).array
    assert np.abs(ours - theirs).max() < 0.01 * theirs.max()
    assert ours.sum() == pytest.approx(theirs.sum(), rel=0.01)
    for aperture in (1.0, 2.0, 4.0, 8.0, 14.0):
        inside = distance(x, y) < aperture
        assert ours[inside].sum() == pytest.approx(theirs[inside].sum(), rel=0.01)


@pytest.mark.parametrize(
    "geometry",
    [
        Geometry(disk=1.0, axis_ratio=0.7),
        Geometry(disk=0.9, axis_ratio=0.7, bulge=0.2, bulge_radius=0.2),
        replace(SPIRAL, bulge=0.2, bulge_radius=0.15),
        replace(SPIRAL, bar=0.4, bar_width=0.1),
        Geometry(edge_on=True, disk=1.0, axis_ratio=0.15, bulge=0.3, bulge_radius=0.2),
        Geometry(edge_on=True, disk=1.0, axis_ratio=0.15, bulge=0.3, bulge_radius=0.2, bulge_boxy=1.0),
        Geometry(tails=1, tail_length=1.0),
    ],
)
def test_the_light_of_all_components_adds_up(geometry):
    total = picture(geometry, 256, radius=6.0, disk_scale=0.2)[0].sum()
    assert total == pytest.approx(FLUX, rel=0.05)


def test_fitted_profiles_are_the_special_functions():
    x = torch.logspace(-4, 1.5, 500)
    z, height = torch.tensor([0.0, 0.05, 0.3])[:, None], torch.tensor(0.1)
    expected = x * torch.special.modified_bessel_k1(x) / torch.pi / torch.cosh(z / height).square() / (2 * height)
    seen = profiles.edge_on_disk(x, z, torch.tensor(1.0), height)
    assert np.allclose(seen, expected, rtol=2e-3, atol=1e-12)
    sharpness = torch.linspace(1.2, 12, 100)[:, None]
    turn = torch.linspace(-np.pi, np.pi, 1001)[:-1].expand(100, -1)
    assert np.allclose(profiles.spiral_ridge(turn, sharpness).mean(1), 1, atol=3e-3)


@pytest.mark.parametrize("hand", [-1, 1])
@pytest.mark.parametrize("angle", [0.0, 70.0])
def test_a_tail_turns_by_150_degrees_with_its_hand(hand, angle):
    tail = (
        picture(Geometry(tails=1, tail_length=1.2, hand=hand), angle=angle)[0]
        - 0.9 * picture(Geometry(), angle=angle)[0]
    )
    along = np.linspace(0, 1, 24)

    def on_path(hand: int) -> np.ndarray:
        heading = np.radians(angle + 180 + hand * (150 * along - 35))
        start = 0.25 * np.exp(1j * np.radians(angle + 180))
        path = (start + (np.exp(1j * heading) * 1.8 / 24).cumsum()) * LOOK.radius / SCALE + (1 + 1j) * (SIZE - 1) / 2
        return tail[path.imag.round().astype(int), path.real.round().astype(int)]

    assert (on_path(hand)[16:] > 2 * on_path(-hand)[16:].clip(0)).all()


def test_a_companion_brings_its_own_light():
    pair = Geometry(companion=0.5, companion_distance=1.0, companion_angle=90.0)
    seen = picture(pair, radius=5.0, spheroid_radius=0.15)[0]
    assert seen.sum() == pytest.approx(1.5 * FLUX, rel=0.05)
    first, second = seen[distance(0.0, 0.0) < 1.5].sum(), seen[distance(0.0, 5.0) < 1.5].sum()
    assert 0.4 < second / first < 0.8
    assert seen[distance(0.0, -5.0) < 1.5].sum() < 0.1 * second


def test_rows_go_up_and_angles_anticlockwise():
    needle = picture(Geometry(edge_on=True, disk=1.0, axis_ratio=0.1), angle=45.0)[0]
    assert needle[80, 80] > 20 * needle[80, 31]


@pytest.mark.parametrize("hand", [-1, 1])
@pytest.mark.parametrize("phase", [0.0, 100.0])
def test_both_pens_draw_the_same_hand(hand, phase):
    spiral = replace(SPIRAL, hand=hand)
    seen = picture(spiral, 64, radius=7.5, phase=phase)[0]
    # The disk's own fall with radius hides the arms: take it off.
    rings = (distance()[24:88, 24:88] / SCALE).astype(int)
    means = np.bincount(rings.ravel(), seen.ravel()) / np.bincount(rings.ravel())
    contrast = (seen / means[rings] - 1) * (rings < 26)
    drawing = draw(spiral, 64, angle=phase)[::-1].astype(float)
    mirrored = draw(replace(spiral, hand=-hand), 64, angle=phase)[::-1].astype(float)
    agreement, otherwise = (np.corrcoef(contrast.ravel(), other.ravel())[0, 1] for other in (drawing, mirrored))
    assert agreement > 0.4
    assert agreement > 2 * abs(otherwise)
    assert hand * measured_hand(seen[::-1]) > 0.5


def test_old_stars_are_in_the_bulge_and_young_ones_in_the_arms():
    camera = replace(CAMERA, bands=(CAMERA.bands[0], replace(CAMERA.bands[0], name="i", wavelength=760.0)))
    shape = replace(SPIRAL, bulge=0.2, bulge_radius=0.15)
    first, second = picture(shape, SIZE, camera, old=(17.0, 16.0), young=(16.0, 16.0))
    near, far = distance() < 1.5, (distance() > 6) & (distance() < 9)
    assert second[near].sum() / first[near].sum() > 1.3 * second[far].sum() / first[far].sum()


def test_a_dust_lane_dims_blue_light_more():
    camera = replace(CAMERA, bands=tuple(replace(CAMERA.bands[0], wavelength=w) for w in (450.0, 900.0)))
    lane = Geometry(edge_on=True, disk=1.0, axis_ratio=0.3, dust=1.0)
    look = {"old": (16.0, 16.0), "young": (16.0, 16.0)}
    dusty, clear = (picture(shape, SIZE, camera, **look) for shape in (lane, replace(lane, dust=0.0)))
    blue, red = (dusty / clear)[:, SIZE // 2, SIZE // 2]
    assert blue < red < 0.8


def test_noise_is_the_skys_and_the_photons():
    band = Band(name="r", wavelength=640.0, psf_fwhm=1.3, sky=0.02, gain=50.0)
    camera = replace(CAMERA, bands=(band,), sky_correlation=0.3)
    geometries, looks = [Geometry()] * 100, [replace(LOOK, old=(12.0,), young=(12.0,))] * 100
    stack = render(geometries, looks, camera, torch.Generator().manual_seed(1), 64).numpy()[:, 0]
    mean, spread = stack.mean(axis=0), stack.std(axis=0)
    expected = np.sqrt(0.02**2 + mean / 50.0)
    assert np.median(spread / expected) == pytest.approx(1.0, abs=0.03)
    noise = (stack - mean) / expected
    assert (noise[..., 1:] * noise[..., :-1]).mean() == pytest.approx(0.3 / (1 + 0.3**2), abs=0.03)


def test_a_camera_without_noise_adds_none():
    camera = replace(CAMERA, bands=(replace(CAMERA.bands[0], sky=0.0, gain=math.inf),))
    first, other = (render([Geometry()], [LOOK], camera, torch.Generator().manual_seed(s), 64) for s in (1, 2))
    assert torch.equal(first, other)
    noisy = replace(CAMERA, bands=(replace(CAMERA.bands[0], sky=0.0, gain=50.0),))
    assert not torch.allclose(
        first, render([Geometry()], [LOOK], noisy, torch.Generator().manual_seed(1), 64), rtol=0.01
    )


def test_a_picture_without_a_margin_is_the_same_but_for_its_border():
    small = replace(LOOK, radius=4.0)
    wide, bare = (
        render([SPIRAL], [small], CAMERA, torch.Generator().manual_seed(1), 64, margin) for margin in (1.5, 0.0)
    )
    assert torch.allclose(wide[..., 8:-8, 8:-8], bare[..., 8:-8, 8:-8], atol=2e-4 * float(wide.max()))
    assert not torch.allclose(wide, bare, atol=2e-4 * float(wide.max()))


def test_stars_and_other_galaxies_come_when_asked_for():
    crowded = replace(CAMERA, stars=30.0, galaxies=60.0)
    empty, full = (
        render(
            [Geometry()] * 8, [replace(LOOK, old=(40.0,), young=(40.0,))] * 8, c, torch.Generator().manual_seed(2), 96
        )
        for c in (CAMERA, crowded)
    )
    assert empty.sum() < 1e-3
    assert (full.flatten(1).max(1).values > 0.05).all()


def test_the_same_seed_gives_the_same_picture_and_a_batch_is_of_single_ones():
    shapes = [symbol.geometry for symbol in SYMBOLS.values()]
    looks = [LOOK] * len(shapes)
    camera = replace(CAMERA, stars=5.0, galaxies=20.0, seeing_scatter=0.1, background=0.1)
    first, again, other = (render(shapes, looks, camera, torch.Generator().manual_seed(s), 48) for s in (3, 3, 4))
    assert first.shape == (len(shapes), 1, 48, 48)
    assert torch.isfinite(first).all()
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    smooth = [Geometry(), Geometry(axis_ratio=0.5), Geometry(disk=1.0)]
    together = render(smooth, [LOOK] * 3, CAMERA, torch.Generator().manual_seed(0), 48)
    for alone, one in zip(smooth, together, strict=True):
        assert np.allclose(picture(alone, 48), one, atol=1e-4)


def test_many_galaxies_keep_their_order_whatever_the_threads():
    shapes = [Geometry(), SPIRAL, Geometry(edge_on=True, disk=1.0, axis_ratio=0.2)] * BATCH
    looks = [replace(LOOK, angle=7.0 * number, radius=4.0 + 0.1 * number) for number in range(len(shapes))]
    camera = replace(CAMERA, stars=5.0, galaxies=20.0)
    before = torch.get_num_threads()
    stacks = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            stacks.append(render(shapes, looks, camera, torch.Generator().manual_seed(5), 32))
            assert torch.get_num_threads() == threads
        calm = render(shapes, looks, CAMERA, torch.Generator().manual_seed(5), 32)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*stacks)
    for number in range(0, len(shapes), 3):
        alone = picture(shapes[number], 32, angle=looks[number].angle, radius=looks[number].radius)
        assert np.allclose(alone, calm[number], atol=1e-4 * alone.max())


@pytest.mark.parametrize("count", [BATCH, 3 * BATCH + 1])
def test_each_batch_has_its_own_seed_and_the_precision_of_light(count):
    found: dict[int, list[int]] = {}

    def note(batch: list[int], seed: int) -> None:
        assert torch.get_num_threads() == 1
        assert not torch.is_autocast_enabled("cpu")
        assert not torch.is_grad_enabled()
        found[seed] = batch

    order = list(range(count))[::-1]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        each(note, order, torch.Generator().manual_seed(3))
    assert len(found) == math.ceil(count / BATCH)
    assert sorted(number for batch in found.values() for number in batch) == order[::-1]


@pytest.mark.parametrize("name", list(SYMBOLS))
def test_every_symbol_shines(name):
    symbol = SYMBOLS[name]
    shape = symbol.vary(np.random.default_rng(0))
    seen = picture(shape, texture=0.5, flocculence=0.5)[0]
    assert 0.3 * FLUX < seen.sum() < 3 * FLUX
    assert seen.min() > -1e-3 * seen.max()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_renders_the_same_galaxies():
    generator = torch.Generator(device="cuda").manual_seed(0)
    shapes = [Geometry(axis_ratio=0.5), Geometry(disk=1.0), Geometry(edge_on=True, disk=1.0, axis_ratio=0.2)]
    there = render(shapes, [LOOK] * 3, CAMERA, generator, 64).cpu().numpy()
    for shape, one in zip(shapes, there, strict=True):
        if not shape.edge_on:
            assert np.allclose(picture(shape, 64), one, atol=1e-3 * one.max())
