"""What a survey makes of light: others beside a galaxy, the air, the stretch, the sky and its noise."""

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from galaxalign.symbols.looks import WHITE, Table
from galaxalign.symbols.matching import border_width

# Full width at half maximum of the air that galaxies are rendered through, pixels; the survey's own is added.
SHARPEST = 1.3
# Pixels around the picture, so that blurring does not carry light from one border to the other.
EDGE = 8
# Noise of the light of a galaxy over what `mottle` measures of it.
UNSMOOTHED = 0.5


def photograph(flux: Tensor, table: Table, generator: torch.Generator) -> Tensor:
    """Galaxies as the survey's pictures show them.

    Parameters
    ----------
    flux
        (N, 3, S, S), white is 1, row 0 at the top; S is the side of the picture and an `EDGE` on both sides.
    table
        As `looks.draw_table` draws it, of the same galaxies.
    generator
        Of the noise.

    Returns
    -------
    uint8 (N, S - 2 EDGE, S - 2 EDGE, 3), red first.
    """
    device = flux.device

    def column(name: str) -> Tensor:
        return torch.from_numpy(table[name].astype(np.float32)).to(device)[:, None, None, None]

    def colours(name: str) -> Tensor:
        return torch.cat([column(f"{name}_{colour}") for colour in ("red", "green", "blue")], 1)

    depth = column("depth")
    flux = flux * torch.tensor(WHITE, device=device)[:, None, None]
    flux /= _peak(flux[..., EDGE:-EDGE, EDGE:-EDGE])
    _add_others(flux, table)
    width = column("psf").square().sub(SHARPEST**2).clamp_min(0.01).sqrt() / 2.3548
    apart = column("fringe") * torch.tensor([0.5, 0.0, -0.5], device=device)[:, None, None]
    angle = column("fringe_angle")
    flux = _smoothed(flux, width, apart * torch.cos(angle), apart * torch.sin(angle))[..., EDGE:-EDGE, EDGE:-EDGE]
    # What of a galaxy reaches the border is part of what was measured as the sky there.
    flux = flux - _border(flux)
    # Whatever is measured of a galaxy is what it shows above the sky.
    sky = colours("sky")
    level = sky.mean(1, keepdim=True)
    dark = _linear(level, depth)
    peak, half = (_linear(level + share * column("peak"), depth) - dark for share in (1.0, 0.5))
    flux *= peak / _peak(flux)
    noise = _grainy(flux.shape, column("grain"), generator)
    # The galaxy's own photons: their noise is `mottle` where it is half as bright as its peak.
    photons = flux.clamp_min(0).sqrt_().mul_(UNSMOOTHED * column("mottle") * half.sqrt())
    flux.addcmul_(photons, noise)
    # The sky's noise counts where there is little light and the galaxy's where there is much: one draw serves both.
    # The stretch shows more light as steeply as its slope says, another colour as strongly as that light is shown.
    rough = _mixed(noise, column("shared_noise")).mul_(colours("noise"))
    light = rough.mean(1, keepdim=True)
    slope = torch.sinh(depth) / (depth * torch.cosh(level * depth))
    shown = _stretch(dark, depth)
    flux.addcmul_(rough, 1 / shown).addcmul_(light, 1 / slope - 1 / shown).add_(sky / shown)
    flux *= 255 * _stretch(flux.mean(1, keepdim=True), depth)
    return torch.stack(flux.round_().clamp_(0, 255).to(torch.uint8).unbind(1), -1)


def _border(flux: Tensor) -> Tensor:
    """Median (N, C, 1, 1) of where the sky is measured."""
    return flux.flatten(-2)[..., _frame(flux.shape[-1]).to(flux.device)].median(-1).values[..., None, None]


def _peak(flux: Tensor) -> Tensor:
    """Brightness (N, 1, 1, 1) of the brightest place in the middle."""
    size = flux.shape[-1]
    low, high = size // 2 - size // 8, size // 2 + size // 8
    mean = flux[..., low:high, low:high].mean(1, keepdim=True)
    return F.avg_pool2d(mean, 3, 1).amax((2, 3), keepdim=True).clamp_min(1e-6)


@lru_cache(maxsize=4)
def _frame(size: int) -> Tensor:
    """Places in a flattened picture of every twelfth pixel of the border that sky is measured in."""
    place = torch.arange(size)
    depth = torch.minimum(place, size - 1 - place)
    return (torch.minimum(depth[:, None], depth) < border_width(size)).flatten().nonzero().flatten()[::12]


def _add_others(flux: Tensor, table: Table) -> None:
    """To some pictures add the one before in the batch, made smaller, turned and moved away from the middle."""
    some = np.flatnonzero(table["beside"])
    if len(some) == 0:
        return

    def column(name: str) -> Tensor:
        return torch.from_numpy(table[name][some].astype(np.float32)).to(flux.device)

    half = flux.shape[-1] / 2
    cos, sin = (column("smaller") * turn(column("beside_turn")) for turn in (torch.cos, torch.sin))
    x, y = (column("apart") * column("outer") * turn(column("beside_angle")) / half for turn in (torch.cos, torch.sin))
    # The one before the first is the last.
    others = flux[(some - 1).tolist()]
    # Several times as fast as affine_grid.
    steps = (torch.arange(flux.shape[-1], device=flux.device) + 0.5) / half - 1
    right, down = steps - x[:, None], (steps - y[:, None])[..., None]
    places = flux.new_empty((len(some), len(steps), len(steps), 2))
    for axis, (across, along) in enumerate(((cos, -sin), (sin, cos))):
        torch.add((across[:, None] * right)[:, None], along[:, None, None] * down, out=places[..., axis])
    others = F.grid_sample(others, places, mode="bilinear", padding_mode="zeros", align_corners=False)
    flux[some.tolist()] += others.mul_(column("beside")[:, None, None, None])


def _linear(shown: Tensor, depth: Tensor) -> Tensor:
    """Flux that the stretch shows as bright as `shown`."""
    return torch.sinh(shown * depth) / torch.sinh(depth)


def _stretch(intensity: Tensor, depth: Tensor) -> Tensor:
    """What light of so much intensity, the mean of the colours, is multiplied by to be shown."""
    intensity = intensity.clamp_min(1e-6)
    steep = intensity * torch.sinh(depth)
    # asinh(x) as a logarithm, ten times as fast as asinh.
    return steep.square().add_(1).sqrt_().add_(steep).log_().div_(depth * intensity)


def _frequencies(side: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Frequencies of the Fourier modes of rows (side, 1) and columns (side // 2 + 1), radians a pixel."""
    rows = 2 * math.pi * torch.fft.fftfreq(side, device=device)
    return rows[:, None], 2 * math.pi * torch.fft.rfftfreq(side, device=device)


def _smoothed(image: Tensor, width: Tensor, right: Tensor, down: Tensor) -> Tensor:
    """Images (N, C, S, S) smoothed by Gaussians of standard deviation (N, 1, 1, 1), shifted by pixels (N, C, 1, 1)."""
    rows, columns = _frequencies(image.shape[-1], image.device)
    spectrum = torch.fft.rfft2(image)
    # A product of one factor for each axis.
    for turns, shift in ((rows, down), (columns, right)):
        spectrum *= torch.polar(torch.exp(-0.5 * (width * turns).square()), -turns * shift)
    smooth: Tensor = torch.fft.irfft2(spectrum, s=image.shape[-2:])
    return smooth


def _grainy(shape: torch.Size, grain: Tensor, generator: torch.Generator) -> Tensor:
    """Noise (N, C, S, S) of variance 1: white noise smoothed by Gaussians as wide as `grain` (N, 1, 1, 1)."""
    side = shape[-1]
    rows, columns = _frequencies(side, grain.device)
    # Modes of a column lie beside one another: they are transformed first.
    transfer = torch.exp(-0.5 * grain.square() * (columns[:, None].square() + rows.T.square()))
    # The first column, and the last of an even side, are their own mirror images: half of their power is kept.
    weight = torch.full((len(columns), 1), 2.0, device=grain.device)
    weight[0] = 1.0
    if side % 2 == 0:
        weight[-1] = 1.0
    power = (transfer.square() * weight).sum((-2, -1), keepdim=True) / side**2
    modes = torch.randn((*shape[:-2], len(columns), side, 2), generator=generator, device=grain.device)
    modes = torch.view_as_complex(modes).mul_(transfer / power.sqrt() * (side / weight.sqrt()))
    noise: Tensor = torch.fft.irfft2(modes.mT, s=shape[-2:])
    return noise


def _mixed(noise: Tensor, shared: Tensor) -> Tensor:
    """Noise of three colours, each of variance 1, that correlate by `shared`."""
    own = (1 - shared).sqrt()
    common = ((own.square() + 3 * shared).sqrt() - own) / 3
    return (own * noise).addcmul_(common, noise.sum(1, keepdim=True))
