"""What chance gives a galaxy besides its Geometry: knots of star formation, bends, broken arms."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from galaxalign.symbols.geometry import Geometry, knots, ragged
from galaxalign.symbols.members import Rows

# Half the side of the square that patterns are laid out on, outer radii.
REACH = 1.6
# Cells of the fine and of the coarse pattern; directions of a ragged rim; waves that arms break up into.
FINE_CELLS, COARSE_CELLS, DIRECTIONS, WAVES = 44, 6, 128, 4


@dataclass(frozen=True)
class Patterns:
    """Random patterns of N galaxies.

    Attributes
    ----------
    fine : (N, 1, P, P) unit normal: logarithm of the brightness of knots.
    coarse : (N, 3, Q, Q) unit normal: displacement in x and y, and logarithm of brightness.
    waves : (N, WAVES, 3) number, phase and winding (relative to the arms') of the pieces that arms break up into.
    clumps : (N, C, 3) x, y and radius of clumps; radius 0 where there is none.
    rim : (N, DIRECTIONS) outer radius of a ragged body in directions from 0 to 2 pi.
    """

    fine: Tensor
    coarse: Tensor
    waves: Tensor
    clumps: Tensor
    rim: Tensor

    def of(self, rows: Rows) -> "Patterns":
        """Those of some of the galaxies."""
        return Patterns(self.fine[rows], self.coarse[rows], self.waves[rows], self.clumps[rows], self.rim[rows])


def draw_patterns(geometries: Sequence[Geometry], generator: torch.Generator) -> Patterns:
    """Patterns by chance, but the clumps and the ragged rims as their Geometry arranges them."""
    number, device = len(geometries), generator.device
    waves = torch.rand((number, WAVES, 3), generator=generator, device=device)
    low, span = (torch.tensor(row, device=device) for row in ((2.0, 0.0, 0.6), (7.0, 2 * math.pi, 0.8)))
    waves = low + span * waves
    # A whole number of waves fits a turn.
    waves[..., 0] = waves[..., 0].round()
    clumps = np.zeros((number, max([1, *(geometry.clumps for geometry in geometries)]), 3), np.float32)
    rim = np.ones((number, DIRECTIONS), np.float32)
    directions = np.linspace(0, 2 * np.pi, DIRECTIONS, endpoint=False)
    for row, geometry in enumerate(geometries):
        if geometry.clumps:
            clumps[row, : geometry.clumps] = knots(geometry)
            rim[row] = ragged(geometry, directions)
    return Patterns(
        fine=torch.randn((number, 1, FINE_CELLS, FINE_CELLS), generator=generator, device=device),
        coarse=torch.randn((number, 3, COARSE_CELLS, COARSE_CELLS), generator=generator, device=device),
        waves=waves,
        clumps=torch.from_numpy(clumps).to(device),
        rim=torch.from_numpy(rim).to(device),
    )


def sampled(pattern: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """A pattern (N, C, P, P) at places (N, H, W) in outer radii: (N, C, H, W)."""
    # Stacking them takes four times as long.
    places = x.new_empty((*x.shape, 2))
    torch.mul(x, 1 / REACH, out=places[..., 0])
    torch.mul(y, 1 / REACH, out=places[..., 1])
    return functional.grid_sample(pattern, places, mode="bilinear", padding_mode="border", align_corners=False)


def patchy(pattern: Tensor, x: Tensor, y: Tensor, spread: Tensor) -> Tensor:
    """Uneven brightness of mean 1: log-normal, its logarithm spread by the standard deviation given."""
    return (sampled(pattern, x, y)[:, 0] * spread).sub_(0.5 * spread**2).exp_()
