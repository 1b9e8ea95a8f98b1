"""Random changes of pictures that leave their class as it is, on the device, from uint8."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Augmentation:
    """How much galaxies are changed: the angle is any, `zoom` and `shift` are shares of the side,
    `brightness` a share of the value, `noise` the standard deviation of a value between 0 and 1.
    """

    rotate: bool
    flip: bool
    zoom: float
    shift: float
    brightness: float
    noise: float


def resize(pictures: Tensor, size: int) -> Tensor:
    """Pictures uint8 (N, H, W, C) as float (N, C, size, size) between 0 and 1, antialiased."""
    values = pictures.permute(0, 3, 1, 2).float() / 255
    if values.shape[-1] == size:
        return values
    return F.interpolate(values, (size, size), mode="bilinear", antialias=True, align_corners=False)


def augment(pictures: Tensor, size: int, settings: Augmentation, *, flip: bool, generator: torch.Generator) -> Tensor:
    """Rotate, mirror, zoom, shift, brighten and add noise, one random draw a picture.

    Parameters
    ----------
    pictures
        uint8 (N, H, W, 3) or, grey, (N, H, W, 1), row 0 at the top.
    size
        Side of the result, pixels.
    flip
        Whether a mirror image means the same; overrides `settings.flip` where it does not.
    generator
        On the device of `pictures`.

    Returns
    -------
    Float (N, 3, size, size) between 0 and 1.  What lies outside a picture is filled by its reflection,
    so that no corner is black.
    """
    # Sampling at single points would skip pixels of a far larger picture.
    values = resize(pictures, size if pictures.shape[1] > 1.5 * size else pictures.shape[1])
    n, device = len(values), values.device

    def draw(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(n, generator=generator, device=device)

    angle = draw(-torch.pi, torch.pi) if settings.rotate else torch.zeros(n, device=device)
    mirror = torch.where(draw(0, 1) < 0.5, -1.0, 1.0) if flip and settings.flip else torch.ones(n, device=device)
    zoom = torch.exp(draw(-settings.zoom, settings.zoom))
    cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    rows = (cos * mirror, -sin, draw(-2, 2) * settings.shift), (sin * mirror, cos, draw(-2, 2) * settings.shift)
    matrix = torch.stack([torch.stack(row, -1) for row in rows], 1)
    grid = F.affine_grid(matrix, [n, values.shape[1], size, size], align_corners=False)
    values = F.grid_sample(values, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    values = values * draw(1 - settings.brightness, 1 + settings.brightness)[:, None, None, None]
    # Colours of a grey picture are alike but for their noise.
    values = values.expand(-1, 3, -1, -1)
    if settings.noise:
        values = values + settings.noise * torch.randn(values.shape, generator=generator, device=device)
    return values.clamp(0, 1)
