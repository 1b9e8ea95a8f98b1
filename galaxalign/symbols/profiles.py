"""Light profiles as formulae: how bright a component is at a place, and how much light it holds in all.

Every profile is normalised to a total of 1, so that shares of light are its amplitudes.  Arguments
broadcast: parameters of N components, shape (N, 1, 1), over places (N, H, W).
"""

import math
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import kv
from torch import Tensor

# Integral of (1 - rho^2)^2 over the superellipse |x|^4 + |y|^4 < rho^4 = 1, see `bar`.
_BAR_LIGHT = 1.0 / 3.0 * math.gamma(0.25) ** 2 / (2.0 * math.gamma(0.5))
# Exponents below this are light that nobody sees, and numbers so small that processors are slow with them.
_FAINTEST = -60.0


def sersic_b(index: Tensor) -> Tensor:
    """b_n of a Sersic profile, such that half the light lies within the half-light radius.

    Ciotti & Bertin 1999, A&A 352, 447, eq. 18; wrong by 4e-4 of itself at an index of 0.5, by less than 1e-4 from 0.75.
    """
    series = (-1 / 3, 4 / 405, 46 / 25515, 131 / 1148175, -2194697 / 30690717750)
    return 2 * index + sum(term * index ** (-power) for power, term in enumerate(series))


def sersic(square: Tensor, half_light: Tensor, index: Tensor, axis_ratio: Tensor) -> Tensor:
    """Surface brightness of a Sersic profile of total light 1, exp(-b_n (r / r_e)^(1/n)).

    Parameters
    ----------
    square
        r^2, the squared radius along the major axis, above zero.
    half_light
        r_e, in the unit of r; the result is per that unit squared.
    index, axis_ratio
        Sersic index n, and minor over major axis of the (elliptical or boxy) isophotes.
    """
    b = sersic_b(index)
    log_light = math.log(2 * math.pi) + torch.log(index) + torch.lgamma(2 * index) - 2 * index * torch.log(b)
    amplitude = torch.exp(-log_light) / (half_light**2 * axis_ratio)
    # A power as exp(log), several times as fast as pow.
    steepness = torch.log(square).sub_(2 * torch.log(half_light)).mul_(0.5 / index).exp_().mul_(-b)
    return steepness.clamp_min_(_FAINTEST).exp_().mul_(amplitude)


def sersic_within(radius: Tensor, half_light: Tensor, index: Tensor) -> Tensor:
    """Share of a Sersic profile's light inside an isophote of the given major radius."""
    share: Tensor = torch.special.gammainc(2 * index, sersic_b(index) * (radius / half_light).pow(1 / index))
    return share


def superelliptic(x: Tensor, y: Tensor, power: Tensor) -> Tensor:
    """Radius of boxy isophotes, (|x|^c + |y|^c)^(1/c); c = 2 is a circle, more is a box."""
    return (x.abs().clamp_min(1e-6).pow(power) + y.abs().clamp_min(1e-6).pow(power)).pow(1 / power)


def exponential(radius: Tensor, scale: Tensor) -> Tensor:
    """Face-on exponential disk of total light 1."""
    return (radius * (-1 / scale)).clamp_min_(_FAINTEST).exp_().mul_(1 / (2 * math.pi * scale**2))


def edge_on_disk(x: Tensor, z: Tensor, scale: Tensor, height: Tensor) -> Tensor:
    """Exponential disk of total light 1 seen from the side, (x/h) K_1(x/h) sech^2(z/z_0).

    van der Kruit & Searle 1981, A&A 95, 105.  t K_1(t) is taken as e^-t (1 + pi t / 2 + a t / (1 + c t))^(1/2),
    which has its limits at both ends and is better than 1e-3 everywhere.
    """
    ratio = x.abs().mul_(1 / scale)
    square = (ratio * 0.3384).div_(1 + 2.1433 * ratio).add_(ratio, alpha=math.pi / 2).add_(1)
    # sech^2(t) is 4 e^-2t / (1 + e^-2t)^2.
    flat = (z / height).abs_().mul_(-2)
    fall = torch.exp(flat)
    along = (flat - ratio).clamp_min_(_FAINTEST).exp_().mul_(square.sqrt_())
    return along.div_((1 + fall).square_()).mul_(2 / (math.pi * scale)).div_(height)


def bar(x: Tensor, y: Tensor, length: Tensor, width: Tensor) -> Tensor:
    """A bar of total light 1 with boxy ends: (1 - rho^2)^2 inside rho^4 = (x/length)^4 + (y/width)^4 = 1."""
    along, aside = (x * (1 / length)).square_(), (y * (1 / width)).square_()
    square = along.square_().addcmul_(aside, aside).sqrt_()
    return square.sub_(1).clamp_max_(0).square_().mul_(1 / (_BAR_LIGHT * length * width))


def bell(square: Tensor, spread: Tensor | float) -> Tensor:
    """exp(-square / (2 spread^2))."""
    return (square * (-0.5 / spread**2)).clamp_min_(_FAINTEST).exp_()


def spiral_ridge(phase: Tensor, sharpness: Tensor) -> Tensor:
    """Crests where `phase` is a multiple of 2 pi, of mean 1 over a turn: exp(k (cos(phase) - 1)) / (e^-k I_0(k)).

    (e^-k I_0(k))^-2 is nearly a straight line; this fit of it makes the mean 1 within 0.2 % for k of 1.2 to 12.
    """
    inverse = 1 / sharpness
    square = (inverse * 3.0247 - 3.4956).mul_(inverse).add_(sharpness, alpha=6.25043).sub_(0.99224)
    return torch.cos(phase).sub_(1).mul_(sharpness).exp_().mul_(square.sqrt_())


@lru_cache(maxsize=4)
def moffat_transfer(beta: float, count: int, step: float) -> NDArray[np.float32]:
    """Fourier transform of a Moffat profile of scale radius 1 at frequencies 0, step, 2 step... radians.

    2 (k/2)^(beta - 1) K_(beta - 1)(k) / Gamma(beta - 1), with beta above 1; the profile is Moffat 1969,
    A&A 3, 455, of total light 1.
    """
    frequency = step * np.arange(1, count)
    order = beta - 1
    tail = 2 * (frequency / 2) ** order * kv(order, frequency) / math.gamma(order)
    return np.concatenate([[1.0], tail]).astype(np.float32)


def moffat_scale(fwhm: Tensor, beta: float) -> Tensor:
    """Scale radius of a Moffat profile."""
    return fwhm / (2 * math.sqrt(2 ** (1 / beta) - 1))
