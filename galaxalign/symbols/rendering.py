"""The galaxy pen: geometries as the flux that a survey would measure, many at once."""

import math
from collections.abc import Sequence
from dataclasses import asdict, replace

import torch
from torch import Tensor

from galaxalign.symbols.appearance import Appearance, Observation
from galaxalign.symbols.disks import Parameters
from galaxalign.symbols.geometry import Geometry
from galaxalign.symbols.light import Light, cusp, light
from galaxalign.symbols.patterns import Patterns, draw_patterns
from galaxalign.symbols.sky import ZERO_POINT, add_field, add_points, blur, noisy

# The centre of a galaxy is computed again on a finer grid: pixels a side, and points a pixel's side.
CORE, FINE = 9, 6
# Frame around the picture that light is blurred from, in widths of the PSF.
MARGIN = 1.5


def render(
    geometries: Sequence[Geometry],
    appearances: Sequence[Appearance],
    observation: Observation,
    generator: torch.Generator,
    size: int,
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

    Returns
    -------
    Flux in nanomaggies, (N, bands, size, size), y up (the first row is the lowest), x to the right.
    """
    with torch.no_grad():
        widest = max(band.psf_fwhm for band in observation.bands) / observation.pixel_scale
        side = _fast_side(size + 2 * math.ceil(MARGIN * widest))
        image = starlight(geometries, appearances, observation, generator, side)
        add_field(image, observation, generator)
        seeing = torch.randn((2, len(image)), generator=generator, device=generator.device)
        spread, quality = torch.exp(observation.seeing_scatter * seeing)
        edge = (side - size) // 2
        flux = blur(image, observation, spread)[..., edge : edge + size, edge : edge + size]
        return noisy(flux, observation, quality, generator)


def starlight(
    geometries: Sequence[Geometry],
    appearances: Sequence[Appearance],
    observation: Observation,
    generator: torch.Generator,
    side: int,
) -> Tensor:
    """Flux of the galaxies alone, above the air: (N, bands, side, side) nanomaggies."""
    shapes, looks, tails, pairs = _members(geometries, appearances, generator)
    device = generator.device
    parameters = _parameters(shapes, looks, tails, device)
    scale = observation.pixel_scale
    parameters["soft"] = 0.5 * scale / FINE / parameters["radius"] / parameters["axis_ratio"].sqrt()
    old, young = (_nanomaggies([getattr(look, age) for look in looks], device) for age in ("old", "young"))
    shine = _on_grid(parameters, draw_patterns(shapes, generator), side, scale)
    pixel = (scale / parameters["radius"])[:, None].square()
    flux = shine.old[:, None] * (old * pixel) + shine.young[:, None] * (young * pixel)
    if bool((parameters["dust"] > 0).any()):
        depth = torch.tensor([550.0 / band.wavelength for band in observation.bands], device=device)
        flux *= torch.exp(-depth[:, None, None] * shine.dust[:, None])
    members = torch.arange(len(looks), device=device)
    x, y = _centre(parameters, side, scale)
    add_points(flux, members, x, y, cusp(parameters)[:, None] * old[..., 0, 0])
    image = flux[: len(geometries)]
    image[torch.tensor(pairs, dtype=torch.long, device=device)] += flux[len(geometries) :]
    return image


def _nanomaggies(magnitudes: list[tuple[float, ...]], device: torch.device) -> Tensor:
    """Flux (N, bands, 1, 1)."""
    return 10 ** (-0.4 * (torch.tensor(magnitudes, device=device) - ZERO_POINT))[..., None, None]


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


def _members(
    geometries: Sequence[Geometry], appearances: Sequence[Appearance], generator: torch.Generator
) -> tuple[list[Geometry], list[Appearance], list[float], list[int]]:
    """Single galaxies: all first ones, then the companions of those that have one.

    Returns
    -------
    shapes, looks, the direction that the tail of each leaves in (degrees), and whose companion the later ones are.
    """
    chance = torch.rand((len(geometries), 2), generator=generator, device=generator.device).tolist()
    shapes = [replace(geometry, tails=min(geometry.tails, 1)) for geometry in geometries]
    looks = list(appearances)
    tails = [geometry.companion_angle + 180 for geometry in geometries]
    pairs = [number for number, geometry in enumerate(geometries) if geometry.companion]
    for number in pairs:
        geometry, look = geometries[number], appearances[number]
        shape, aspect = _companion(geometry, look, *chance[number])
        shapes.append(shape)
        looks.append(aspect)
        tails.append(geometry.companion_angle + look.angle - aspect.angle)
    return shapes, looks, tails, pairs


def _parameters(
    shapes: list[Geometry], looks: list[Appearance], tails: list[float], device: torch.device
) -> Parameters:
    """Numbers of all galaxies as tensors (N, 1, 1), angles in radians."""
    columns = {name: [float(getattr(shape, name)) for shape in shapes] for name in asdict(shapes[0])}
    colours = ("old", "young")
    columns |= {
        name: [float(getattr(look, name)) for look in looks] for name in asdict(looks[0]) if name not in colours
    }
    columns["tail_angle"] = tails
    parameters = {name: torch.tensor(column, device=device)[:, None, None] for name, column in columns.items()}
    return parameters | {name: torch.deg2rad(parameters[name]) for name in ("angle", "phase", "tail_angle")}


def _companion(geometry: Geometry, look: Appearance, turn: float, tilt: float) -> tuple[Geometry, Appearance]:
    """The second galaxy of a pair: alike in shape, seen from elsewhere."""
    direction = math.radians(geometry.companion_angle + look.angle)
    distance = geometry.companion_distance * look.radius
    dimmer = -2.5 * math.log10(geometry.companion)
    shape = replace(geometry, companion=0.0, tails=max(geometry.tails - 1, 0), axis_ratio=0.4 + 0.6 * tilt)
    return shape, replace(
        look,
        radius=look.radius * math.sqrt(geometry.companion),
        x=look.x + distance * math.cos(direction),
        y=look.y + distance * math.sin(direction),
        angle=look.angle + 180 * turn,
        old=tuple(m + dimmer for m in look.old),
        young=tuple(m + dimmer for m in look.young),
    )


def _centre(p: Parameters, side: int, scale: float) -> tuple[Tensor, Tensor]:
    """Pixels from pixel [0, 0] to the centre of each galaxy, (N,) each."""
    return p["x"].flatten() / scale + (side - 1) / 2, p["y"].flatten() / scale + (side - 1) / 2


def _on_grid(p: Parameters, patterns: Patterns, side: int, scale: float) -> Light:
    """Light at the pixels' centres, but averaged over each pixel near the centre of the galaxy."""
    x, y = _centre(p, side, scale)
    steps = torch.arange(side, device=x.device, dtype=torch.float32)
    whole = light(p, patterns, *_in_galaxy(p, scale, steps - x[:, None], steps - y[:, None]))
    left, low = ((c.round() - CORE // 2).clamp(0, side - CORE) for c in (x, y))
    fine = (torch.arange((CORE + 1) * FINE, device=x.device) + 0.5) / FINE - 1
    across, upwards = left[:, None] + fine - x[:, None], low[:, None] + fine - y[:, None]
    core = light(p, patterns, *_in_galaxy(p, scale, across, upwards))
    number = torch.arange(len(x), device=x.device)[:, None, None]
    pixels = torch.arange(CORE, device=x.device)
    rows, columns = (c.long()[:, None] + pixels for c in (low, left))
    # Each point is shared between the pixels on both sides of it, as `add_points` does; `blur` knows.
    shares = (1 - (fine - pixels[:, None]).abs()).clamp_min(0) / FINE
    for coarse, precise in ((whole.old, core.old), (whole.young, core.young), (whole.dust, core.dust)):
        coarse[number, rows[:, :, None], columns[:, None, :]] = shares @ precise @ shares.T
    return whole


def _in_galaxy(p: Parameters, scale: float, right: Tensor, up: Tensor) -> tuple[Tensor, Tensor]:
    """Places (N, H, W) in the galaxy's frame, outer radii, from columns (N, W) and rows (N, H) in pixels."""
    right, up = (axis * scale / p["radius"][:, 0] for axis in (right, up))
    cos, sin = torch.cos(p["angle"]), torch.sin(p["angle"])
    x, y = right[:, None, :], up[:, :, None]
    return x * cos + y * sin, y * cos - x * sin
