"""The galaxy pen: geometries as the flux that a survey would measure, many at once."""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from galaxalign.symbols.appearance import Appearance, Observation
from galaxalign.symbols.disks import Places
from galaxalign.symbols.geometry import Geometry
from galaxalign.symbols.light import Light, cusp, light, shares
from galaxalign.symbols.members import Members, Parameters, alike, members_of
from galaxalign.symbols.patterns import Patterns, draw_patterns
from galaxalign.symbols.sky import ZERO_POINT, add_field, add_points, blur, noisy

# The centre of a galaxy is computed again on a finer grid: pixels a side, and points a pixel's side.
CORE, FINE = 9, 6
# Frame around the picture that light is blurred from, in widths of the PSF.
MARGIN = 1.5
# Galaxies that a processor computes at once: few enough that what it works on stays in its cache.
BATCH = 16


def render(
    geometries: Sequence[Geometry],
    appearances: Sequence[Appearance],
    observation: Observation,
    generator: torch.Generator,
    size: int,
    margin: float = MARGIN,
) -> Tensor:
    """Pictures of galaxies as a survey takes them.

    Parameters
    ----------
    geometries, appearances
        Shape and aspect of N galaxies.
    observation
        The survey.
    generator
        Seeds the patterns, the field and the noise; the work is done on its device.
    size
        Pixels a side; the centre of the frame is at (size - 1) / 2.
    margin
        Frame around the picture that light is blurred from, in widths of the PSF; of 0, what leaves at one border comes
        in at the other.

    Returns
    -------
    Flux in nanomaggies, (N, bands, size, size), y up (the first row is the lowest), x to the right.
    """
    device = generator.device
    flux = torch.empty((len(geometries), len(observation.bands), size, size), device=device)

    def fill(batch: list[int], seed: int) -> None:
        some = [geometries[number] for number in batch], [appearances[number] for number in batch]
        flux[batch] = _exposed(*some, observation, device, seed, size, margin)

    each(fill, alike(geometries), generator)
    return flux


def each(work: Callable[[list[int], int], None], order: list[int], generator: torch.Generator) -> None:
    """Do the work for all galaxies, in batches that each have a seed from the generator.

    On a processor, `torch.get_num_threads()` threads share the batches, as sharing out every single operation costs
    more than it saves; batches and seeds do not depend on how many.
    """
    device = generator.device
    count = BATCH if device.type == "cpu" else len(order)
    batches = [order[start : start + count] for start in range(0, len(order), count)]
    seeds = torch.randint(2**62, (len(batches),), generator=generator, device=device).tolist()

    def alone(batch: list[int], seed: int) -> None:
        # Said here as it holds for a thread alone; the precision of a training loop is not that of light.
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            work(batch, seed)

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        if len(batches) == 1:
            alone(batches[0], seeds[0])
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(alone, batches, seeds))
    finally:
        torch.set_num_threads(threads)


def _exposed(
    geometries: list[Geometry],
    appearances: list[Appearance],
    observation: Observation,
    device: torch.device,
    seed: int,
    size: int,
    margin: float,
) -> Tensor:
    """What `render` returns, of galaxies that are computed at once."""
    # Two sources of chance: what the host must know, such as numbers of stars, never waits for the device.
    generator, host = torch.Generator(device).manual_seed(seed), np.random.default_rng(seed)
    members = members_of(geometries, appearances, host.random((len(geometries), 2)).tolist())
    widest = max(band.psf_fwhm for band in observation.bands) / observation.pixel_scale
    side = _fast_side(size + 2 * math.ceil(margin * widest))
    image = starlight(members, observation, generator, side)
    add_field(image, observation, generator, host)
    # One air for all where it never changes.
    seeing = torch.randn((2, len(image) if observation.seeing_scatter else 1), generator=generator, device=device)
    spread, quality = torch.exp(observation.seeing_scatter * seeing)
    edge = (side - size) // 2
    flux = blur(image, observation, spread)[..., edge : edge + size, edge : edge + size]
    return noisy(flux, observation, quality, generator)


def starlight(members: Members, observation: Observation, generator: torch.Generator, side: int) -> Tensor:
    """Flux of the galaxies and their companions, above the air: (N, bands, side, side) nanomaggies."""
    device, scale = generator.device, observation.pixel_scale
    numbers = members.numbers()
    numbers |= shares(numbers)
    numbers["soft"] = 0.5 * scale / FINE / numbers["radius"] / numbers["axis_ratio"].sqrt()
    numbers["cusp"] = cusp(numbers)
    parameters = Parameters.on(device, numbers)
    old, young = (_nanomaggies([getattr(look, age) for look in members.looks], device) for age in ("old", "young"))
    shine = _on_grid(parameters, draw_patterns(members.shapes, generator), side, scale)
    flux = _coloured(shine, old, young, (scale / parameters["radius"])[:, None].square())
    dusty = parameters.having("dust")
    if dusty:
        depth = torch.tensor([-550.0 / band.wavelength for band in observation.bands], device=device)
        flux[dusty] *= torch.exp(depth[:, None, None] * shine.dust[:, None])
    x, y = _centre(parameters, side, scale)
    rows = torch.arange(len(parameters), device=device)
    add_points(flux, rows, x, y, (parameters["cusp"][:, None] * old)[..., 0, 0])
    image = flux[: len(flux) - len(members.pairs)]
    return image.index_add_(0, torch.tensor(members.pairs, dtype=torch.long, device=device), flux[len(image) :])


def _nanomaggies(magnitudes: list[tuple[float, ...]], device: torch.device) -> Tensor:
    """Flux (N, bands, 1, 1)."""
    return 10 ** (-0.4 * (torch.tensor(magnitudes) - ZERO_POINT)).to(device)[..., None, None]


def _coloured(shine: Light, old: Tensor, young: Tensor, pixel: Tensor) -> Tensor:
    """Flux in each band, (N, B, H, W), of light in squared outer radii, of which a pixel holds `pixel`."""
    return (shine.total[:, None] * (old * pixel)).addcmul_(shine.young[:, None], (young - old) * pixel)


def _fast_side(least: int) -> int:
    """The next even number without prime factors above 5, which Fourier transforms like."""
    side = least + least % 2
    while True:
        rest = side
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return side
        side += 2


def _centre(p: Parameters, side: int, scale: float) -> tuple[Tensor, Tensor]:
    """Pixels from pixel [0, 0] to the centre of each galaxy, (N,) each."""
    return p["x"].flatten() / scale + (side - 1) / 2, p["y"].flatten() / scale + (side - 1) / 2


def _on_grid(p: Parameters, patterns: Patterns, side: int, scale: float) -> Light:
    """Light at the pixels' centres, but averaged over each pixel near the centre of the galaxy."""
    x, y = _centre(p, side, scale)
    steps = torch.arange(side, device=x.device, dtype=torch.float32)
    whole = light(p, patterns, _in_galaxy(p, scale, steps - x[:, None], steps - y[:, None]))
    left, low = ((c.round() - CORE // 2).clamp(0, side - CORE) for c in (x, y))
    fine = (torch.arange((CORE + 1) * FINE, device=x.device) + 0.5) / FINE - 1
    core = light(p, patterns, _in_galaxy(p, scale, left[:, None] + fine - x[:, None], low[:, None] + fine - y[:, None]))
    number = torch.arange(len(x), device=x.device)[:, None, None]
    pixels = torch.arange(CORE, device=x.device)
    rows, columns = (c.long()[:, None] + pixels for c in (low, left))
    # Each point is shared between the pixels on both sides of it, as `add_points` does; `blur` knows.
    weights = (1 - (fine - pixels[:, None]).abs()).clamp_min(0) / FINE
    dusty = p.having("dust")
    for coarse, precise, of in (
        (whole.total, core.total, slice(None)),
        (whole.young, core.young, slice(None)),
        (whole.dust, core.dust, dusty),
    ):
        coarse[number[: len(coarse)], rows[of, :, None], columns[of, None, :]] = weights @ precise @ weights.T
    return whole


def _in_galaxy(p: Parameters, scale: float, right: Tensor, up: Tensor) -> Places:
    """Places from columns (N, W) and rows (N, H) in pixels from the centre of the galaxy."""
    right, up = (axis * (scale / p["radius"][:, 0]) for axis in (right, up))
    cos, sin = torch.cos(p["angle"]), torch.sin(p["angle"])
    x, y = right[:, None, :], up[:, :, None]
    return Places(right, up, x * cos + y * sin, y * cos - x * sin)
