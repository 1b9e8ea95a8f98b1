"""What lies between a galaxy and its picture: other galaxies, stars, the air, the camera and its noise."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from galaxalign.symbols.appearance import Band, Observation
from galaxalign.symbols.profiles import moffat_scale, moffat_transfer

# Nanomaggies: magnitude 22.5 is 1.
ZERO_POINT = 22.5
# nm; where magnitudes of stars and distant galaxies are given.
REFERENCE = 640.0
# Half the side of the picture of a distant galaxy, pixels.
REACH = 14
# Numbers of stars and of galaxies grow with magnitude as 10^(slope m).
STAR_COUNTS, GALAXY_COUNTS = 0.16, 0.36
# Brighter ones are not in a cutout by chance.
BRIGHTEST = 16.5
# Steps of the tabulated transfer function of the PSF, radians.
_STEP, _STEPS = 0.02, 4096


def add_points(image: Tensor, frame: Tensor, x: Tensor, y: Tensor, flux: Tensor) -> None:
    """Add points of light to images (N, B, S, S), each shared among the four nearest pixels.

    Parameters
    ----------
    frame : (M,) which image.
    x, y : (M,) pixels from the centre of pixel [0, 0].
    flux : (M, B).
    """
    step = torch.arange(2, device=image.device)
    column, row = (axis.floor()[:, None] + step for axis in (x, y))
    across, upwards = 1 - (x[:, None] - column).abs(), 1 - (y[:, None] - row).abs()
    _add_stamps(image, frame, column.long(), row.long(), upwards[:, :, None] * across[:, None, :], flux)


def _add_stamps(image: Tensor, frame: Tensor, column: Tensor, row: Tensor, shine: Tensor, flux: Tensor) -> None:
    """Add small pictures (M, H, W) to images (N, B, S, S) at columns (M, W) and rows (M, H); flux (M, B)."""
    side = image.shape[-1]
    within, upright = ((axis >= 0) & (axis < side) for axis in (column, row))
    shine = (shine * upright[:, :, None] * within[:, None, :]).flatten(1)
    pixel = row.clamp(0, side - 1)[:, :, None] * side + column.clamp(0, side - 1)[:, None, :]
    # One plane at a time: the same pixels in each.
    for plane, band in zip(image.flatten(2).unbind(1), flux.unbind(1), strict=True):
        plane.index_put_((frame[:, None], pixel.flatten(1)), shine * band[:, None], accumulate=True)


def add_field(image: Tensor, observation: Observation, generator: torch.Generator, host: np.random.Generator) -> None:
    """Add foreground stars and background galaxies to images (N, B, S, S) that no air has blurred.

    `host` says how many there are, as the host must know how long arrays are.
    """
    side = image.shape[-1]
    area = (side * observation.pixel_scale / 60) ** 2
    for density, counts in ((observation.stars, STAR_COUNTS), (observation.galaxies, GALAXY_COUNTS)):
        number = host.poisson(density * area, len(image))
        frame = torch.from_numpy(np.arange(len(image)).repeat(number)).to(image.device)
        chance = torch.rand((6, len(frame)), generator=generator, device=image.device)
        magnitude = (observation.limit + torch.log10(chance[0].clamp_min(1e-9)) / counts).clamp_min(BRIGHTEST)
        x, y = chance[1] * side - 0.5, chance[2] * side - 0.5
        flux = 10 ** (-0.4 * (magnitude - ZERO_POINT))[:, None]
        if counts == STAR_COUNTS:
            add_points(image, frame, x, y, flux * _star_colours(chance[3], observation.bands))
        else:
            _add_galaxies(
                image, frame, x, y, flux * _galaxy_colours(chance[3], observation.bands), magnitude, chance[4:]
            )


def _of_bands(bands: Sequence[Band], name: str, device: torch.device) -> Tensor:
    return torch.tensor([getattr(band, name) for band in bands], dtype=torch.float32, device=device)


def _star_colours(chance: Tensor, bands: Sequence[Band]) -> Tensor:
    """Planck's law at 2900 to 7000 K, cool ones more often; (M, B) flux over that at the reference wavelength."""
    temperature = (2900 * (7000 / 2900) ** (chance**1.6))[:, None]
    wavelength = _of_bands(bands, "wavelength", chance.device)

    def planck(nm: Tensor) -> Tensor:
        return nm**-3 / torch.expm1(1.4388e7 / (nm * temperature))

    return planck(wavelength) / planck(torch.full_like(wavelength, REFERENCE))


def _galaxy_colours(chance: Tensor, bands: Sequence[Band]) -> Tensor:
    """Power laws of wavelength, from blue to red; (M, B) flux over that at the reference wavelength."""
    slope = (0.3 + 4.2 * chance)[:, None]
    wavelength = _of_bands(bands, "wavelength", chance.device)
    return (wavelength / REFERENCE) ** slope


def _add_galaxies(
    image: Tensor, frame: Tensor, x: Tensor, y: Tensor, flux: Tensor, magnitude: Tensor, chance: Tensor
) -> None:
    """Distant galaxies: exponential ellipses with scale lengths of half a pixel to 2.5, fainter ones smaller."""
    steps = torch.arange(-REACH, REACH + 1, device=image.device)
    column, row = (axis.round().long()[:, None] + steps for axis in (x, y))
    dx, dy = (column - x[:, None])[:, None, :], (row - y[:, None])[:, :, None]
    angle, ratio = math.pi * chance[0][:, None, None], 0.35 + 0.65 * chance[1][:, None, None]
    cos, sin = torch.cos(angle), torch.sin(angle)
    along, aside = dx * cos + dy * sin, dy * (cos / ratio) - dx * (sin / ratio)
    scale = (0.75 * 10 ** (-0.1 * (magnitude - 22.0))).clamp(0.5, 2.5)[:, None, None]
    shine = along.square_().addcmul_(aside, aside).add_(0.1).sqrt_().mul_(-1 / scale).exp_()
    _add_stamps(image, frame, column, row, shine / shine.sum(dim=(1, 2), keepdim=True), flux)


def blur(image: Tensor, observation: Observation, spread: Tensor) -> Tensor:
    """Convolve images (N, B, S, S), S even, with the PSF; `spread` (N,), or (1,) for all, multiplies its width."""
    side = image.shape[-1]
    half = side // 2
    fwhm = _of_bands(observation.bands, "psf_fwhm", image.device) / observation.pixel_scale
    transfer = _transfer(moffat_scale(fwhm, observation.psf_beta) * spread[:, None], observation.psf_beta, half)
    spectrum = torch.fft.rfft2(image)
    # Rows of the spectrum: frequencies 0 to half, then the negative ones back to -1.
    spectrum[..., : half + 1, :] *= transfer
    spectrum[..., half + 1 :, :] *= transfer[..., 1:half, :].flip(-2)
    blurred: Tensor = torch.fft.irfft2(spectrum, s=(side, side))
    return blurred


def _transfer(scale: Tensor, beta: float, half: int) -> Tensor:
    """Transfer functions of PSFs of scale radii (N, B) at frequencies of 0 to half turns in 2 half pixels, both ways.

    Points shared between neighbouring pixels are blurred twice by the width of a pixel; a camera does it once,
    so that one is taken off.
    """
    table = torch.from_numpy(moffat_transfer(beta, _STEPS, _STEP)).to(scale.device)
    turns = torch.arange(half + 1, device=scale.device) / (2 * half)
    frequency = (2 * math.pi / _STEP) * torch.hypot(turns[:, None], turns)
    place = (frequency * scale[..., None, None]).clamp_max_(_STEPS - 1.001)
    below = place.int()
    beyond, below = place.sub_(below), below.flatten()
    low, high = (ends.index_select(0, below).view_as(place) for ends in (table[:-1], table[1:]))
    pixel = torch.sinc(turns)
    return low.lerp_(high, beyond).mul_(1 / (pixel[:, None] * pixel))


def noisy(flux: Tensor, observation: Observation, quality: Tensor, generator: torch.Generator) -> Tensor:
    """Add the noise of sky and photons, and what sky subtraction leaves.

    `quality` (N,), or (1,) for all, multiplies the sky's noise.  A camera without sky whose gain has no end adds none.
    """
    if all(band.sky == 0 and math.isinf(band.gain) for band in observation.bands):
        return flux
    number, bands, side, _ = flux.shape
    near = observation.sky_correlation / 2
    white = torch.randn((number, bands, side + 2, side + 2), generator=generator, device=flux.device)
    noise = white[..., :-2, 1:-1] + white[..., 2:, 1:-1]
    noise.add_(white[..., 1:-1, :-2]).add_(white[..., 1:-1, 2:]).mul_(near).add_(white[..., 1:-1, 1:-1])
    sky = (_of_bands(observation.bands, "sky", flux.device) * quality[:, None])[..., None, None]
    gain = _of_bands(observation.bands, "gain", flux.device)[:, None, None]
    spread = flux.clamp_min(0).mul_(1 / gain).add_(sky.square()).sqrt_().mul_(1 / math.sqrt(1 + 4 * near**2))
    ramp = torch.linspace(-1, 1, side, device=flux.device)
    level = (
        torch.randn((3, number, bands, 1, 1), generator=generator, device=flux.device) * observation.background * sky
    )
    left = (level[0] + 0.5 * level[1] * ramp[:, None]) + 0.5 * level[2] * ramp
    return left.addcmul_(spread, noise).add_(flux)
