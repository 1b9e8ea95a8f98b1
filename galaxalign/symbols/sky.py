"""What lies between a galaxy and its picture: other galaxies, stars, the air, the camera and its noise."""

import math
from collections.abc import Sequence

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
    side = image.shape[-1]
    left, low = x.floor(), y.floor()
    for right in (0, 1):
        for up in (0, 1):
            column, row = left + right, low + up
            weight = (1 - (x - column).abs()) * (1 - (y - row).abs())
            inside = (column >= 0) & (column < side) & (row >= 0) & (row < side)
            weight = torch.where(inside, weight, torch.zeros_like(weight))
            place = (frame[:, None], torch.arange(image.shape[1], device=image.device)[None, :])
            at = tuple(axis.long().clamp(0, side - 1)[:, None] for axis in (row, column))
            image.index_put_((*place, *at), flux * weight[:, None], accumulate=True)


def add_field(image: Tensor, observation: Observation, generator: torch.Generator) -> None:
    """Add foreground stars and background galaxies to images (N, B, S, S) that no air has blurred."""
    side = image.shape[-1]
    area = (side * observation.pixel_scale / 60) ** 2
    for density, counts in ((observation.stars, STAR_COUNTS), (observation.galaxies, GALAXY_COUNTS)):
        expected = torch.full((len(image),), density * area, device=image.device)
        number = torch.poisson(expected, generator=generator).long()
        frame = torch.arange(len(image), device=image.device).repeat_interleave(number)
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
    side = image.shape[-1]
    steps = torch.arange(-REACH, REACH + 1, device=image.device)
    column = x.round().long()[:, None, None] + steps[None, None, :]
    row = y.round().long()[:, None, None] + steps[None, :, None]
    dx, dy = column - x[:, None, None], row - y[:, None, None]
    angle, ratio = math.pi * chance[0][:, None, None], 0.35 + 0.65 * chance[1][:, None, None]
    along = dx * torch.cos(angle) + dy * torch.sin(angle)
    aside = (dy * torch.cos(angle) - dx * torch.sin(angle)) / ratio
    scale = (0.75 * 10 ** (-0.1 * (magnitude - 22.0))).clamp(0.5, 2.5)[:, None, None]
    shine = torch.exp(-torch.sqrt(along.square() + aside.square() + 0.1) / scale)
    shine = shine / shine.sum(dim=(1, 2), keepdim=True)
    inside = (column >= 0) & (column < side) & (row >= 0) & (row < side)
    shine = (shine * inside).flatten(1)
    pixel = (row.clamp(0, side - 1) * side + column.clamp(0, side - 1)).flatten(1)
    # One plane at a time: the same pixels in each.
    for band in range(image.shape[1]):
        plane = torch.zeros((len(image), side * side), device=image.device)
        plane.index_put_((frame[:, None], pixel), shine * flux[:, band, None], accumulate=True)
        image[:, band] += plane.view(-1, side, side)


def blur(image: Tensor, observation: Observation, spread: Tensor) -> Tensor:
    """Convolve images (N, B, S, S) with the PSF; `spread` (N,) multiplies its width."""
    side = image.shape[-1]
    table = torch.from_numpy(moffat_transfer(observation.psf_beta, _STEPS, _STEP)).to(image.device)
    fwhm = _of_bands(observation.bands, "psf_fwhm", image.device) / observation.pixel_scale
    scale = moffat_scale(fwhm, observation.psf_beta) * spread[:, None]
    rows = 2 * math.pi * torch.fft.fftfreq(side, device=image.device)
    columns = 2 * math.pi * torch.fft.rfftfreq(side, device=image.device)
    frequency = torch.hypot(rows[:, None], columns[None, :])
    place = (frequency * scale[..., None, None] / _STEP).clamp_max(_STEPS - 1.001)
    below = place.long()
    transfer = torch.lerp(table[below], table[below + 1], place - below)
    # Points shared between neighbouring pixels are blurred twice by the width of a pixel; a camera does it once.
    transfer = transfer / (torch.sinc(rows[:, None] / (2 * math.pi)) * torch.sinc(columns / (2 * math.pi)))
    blurred: Tensor = torch.fft.irfft2(torch.fft.rfft2(image) * transfer, s=(side, side))
    return blurred


def noisy(flux: Tensor, observation: Observation, quality: Tensor, generator: torch.Generator) -> Tensor:
    """Add the noise of sky and photons, and what sky subtraction leaves; `quality` (N,) multiplies the sky's noise."""
    number, bands, side, _ = flux.shape
    near = observation.sky_correlation / 2
    white = torch.randn((number, bands, side + 2, side + 2), generator=generator, device=flux.device)
    noise = white[..., 1:-1, 1:-1] + near * (
        white[..., :-2, 1:-1] + white[..., 2:, 1:-1] + white[..., 1:-1, :-2] + white[..., 1:-1, 2:]
    )
    sky = _of_bands(observation.bands, "sky", flux.device) * quality[:, None]
    gain = _of_bands(observation.bands, "gain", flux.device)[:, None, None]
    spread = torch.sqrt(sky.square()[..., None, None] + flux.clamp_min(0) / gain)
    ramp = torch.linspace(-1, 1, side, device=flux.device)
    level = torch.randn((3, number, bands, 1, 1), generator=generator, device=flux.device)
    left = level[0] + 0.5 * level[1] * ramp[:, None] + 0.5 * level[2] * ramp
    return flux + spread * noise / math.sqrt(1 + 4 * near**2) + observation.background * sky[..., None, None] * left
