"""Where a galaxy shines: the surface brightness of a `Geometry`, component by component, for many at once.

Places x, y are in outer radii in the frame of the galaxy, major axis along x, shape (N, H, W); parameters
come as a dictionary of tensors (N, 1, 1).  A component is only computed for the galaxies that have it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from galaxalign.symbols import disks, profiles
from galaxalign.symbols.disks import Parameters, selected, where
from galaxalign.symbols.patterns import Patterns, patchy, sampled

# Light that a Geometry does not name.  Shares: of a bar as long as the galaxy, of clumps, of a tail.
BAR, CLUMPS, TAIL = 0.5, 0.25, 0.1
# Besides the galaxy's own: of a lensed arc, of a star's spikes.
ARC, SPIKES = 0.1, 0.1
# Half-light radius of a bulge over its visible rim.
BULGE_HALF_LIGHT = 0.6
# How far a disturbed body is bent, and slid along its major axis, over `disturbed`; how patchy it is.
BEND, SLIDE, STIR = 0.3, 0.4, 1.2
# Beads on a tidal tail.
BEADS = 24

Component = Callable[[Parameters, Patterns, Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Light:
    """Surface brightness of N galaxies of total light 1, per square outer radius, shape (N, H, W) each.

    `dust` is the optical depth in front of it at 550 nm.
    """

    old: Tensor
    young: Tensor
    dust: Tensor


def light(p: Parameters, patterns: Patterns, x: Tensor, y: Tensor) -> Light:
    """The light of galaxies at places of the sky; see the module for shapes.

    Besides the Geometry's and the Appearance's own parameters: `soft`, the radius inside which cores are
    smoothed (see `cusp`), and `tail_angle`, the direction a tail leaves in, radians.
    """
    old, young, dust = torch.zeros_like(x), torch.zeros_like(x), torch.zeros_like(x)
    stirred = where((p["disturbed"] > 0) & (p["clumps"] == 0))
    if len(stirred):
        here = x[stirred], y[stirred]
        before = _undisturbed(selected(p, stirred), patterns.of(stirred), *here)
        x, y = x.index_copy(0, stirred, before[0]), y.index_copy(0, stirred, before[1])
    for share, component in _components(p):
        on = where(share > 0)
        if len(on):
            shine, youth = component(selected(p, on), patterns.of(on), x[on], y[on])
            shine = shine * share[on]
            old[on] += shine * (1 - youth)
            young[on] += shine * youth
    if len(stirred):
        uneven = patchy(patterns.coarse[stirred, 2:], *here, STIR * p["disturbed"][stirred])
        old[stirred] *= uneven
        young[stirred] *= uneven
    on = where(p["dust"] > 0)
    if len(on):
        dust[on] = _dust(selected(p, on), x[on], y[on])
    return Light(old, young, dust)


def cusp(p: Parameters) -> Tensor:
    """Light that softened cores lack, (N,): that of the Sersic profiles within `soft` of the centre.

    A profile f(sqrt(r^2 + s^2)) holds exactly as much light as f(r) has outside s.
    """
    bulge = p["bulge"] * profiles.sersic_within(p["soft"], _bulge_radius(p), p["bulge_index"])
    body = profiles.sersic_within(p["soft"], p["spheroid_radius"], p["spheroid_index"])
    return (torch.where(p["bulge_boxy"] > 0, 0, bulge) + _spheroid_share(p) * body).flatten()


def _body_share(p: Parameters) -> Tensor:
    """What bulge, bar, clumps and tail leave for the main body."""
    extra = BAR * p["bar"] + CLUMPS * (p["clumps"] > 0) + TAIL * (p["tails"] > 0)
    return (1 - p["bulge"]) * (1 - extra)


def _spheroid_share(p: Parameters) -> Tensor:
    return _body_share(p) * (1 - p["disk"]) * (p["edge_on"] == 0)


def _components(p: Parameters) -> list[tuple[Tensor, Component]]:
    """Each component with its share of the light."""
    besides = 1 - p["bulge"]
    return [
        (_spheroid_share(p), _spheroid),
        (_body_share(p) * p["disk"] * (p["edge_on"] == 0), disks.disk),
        (_body_share(p) * (p["edge_on"] > 0), disks.edge_on),
        (p["bulge"], _bulge),
        (besides * BAR * p["bar"], disks.bar),
        (besides * CLUMPS * (p["clumps"] > 0), disks.clumps),
        (besides * TAIL * (p["tails"] > 0), _tail),
        (ARC * (p["arc"] > 0), _arc),
        (SPIKES * (p["spikes"] > 0), _spikes),
    ]


def _undisturbed(p: Parameters, patterns: Patterns, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Places before the halves slid along the major axis and the isophotes were bent; the centre stays."""
    nowhere = torch.zeros_like(p["disturbed"])
    bend = sampled(patterns.coarse[:, :2], x, y) - sampled(patterns.coarse[:, :2], nowhere, nowhere)
    bend = BEND * p["disturbed"][:, None] * bend
    slide = SLIDE * p["disturbed"] * torch.tanh(y / (0.4 * p["axis_ratio"] + 0.05))
    return x - slide + bend[:, 0], y + bend[:, 1] * p["axis_ratio"].sqrt()


def _spheroid(p: Parameters, patterns: Patterns, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    radius = torch.sqrt(x.square() + (y / p["axis_ratio"]).square() + p["soft"].square())
    shine = profiles.sersic(radius, p["spheroid_radius"], p["spheroid_index"], p["axis_ratio"])
    return shine, 0.6 * p["disturbed"].clamp(0, 1)


def _bulge_radius(p: Parameters) -> Tensor:
    return (BULGE_HALF_LIGHT * p["bulge_radius"]).clamp_min(1e-3)


def _bulge(p: Parameters, patterns: Patterns, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """A Sersic bulge, round or boxy; it looks rounder than its disk."""
    flat = torch.where(p["edge_on"] > 0, 1 - 0.3 * p["bulge_boxy"], p["axis_ratio"].clamp_min(0.7))
    radius = torch.sqrt(x.square() + (y / flat).square() + p["soft"].square())
    on = where(p["bulge_boxy"] > 0)
    if len(on):
        radius[on] = profiles.superelliptic(x[on], y[on] / flat[on], 2 + 2 * p["bulge_boxy"][on])
    return profiles.sersic(radius, _bulge_radius(p), p["bulge_index"], flat), torch.zeros_like(flat)


def _tail(p: Parameters, patterns: Patterns, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """A tail as beads on the line that the drawing draws: it turns by 150 degrees and thins out."""
    along = torch.linspace(0, 1, BEADS, device=x.device)
    heading = p["tail_angle"] + p["hand"] * torch.deg2rad(150 * along - 35)
    step = (p["tail_length"] + 0.6) / BEADS
    path_x = 0.25 * torch.cos(p["tail_angle"]) + (torch.cos(heading) * step).cumsum(-1)
    path_y = 0.25 * torch.sin(p["tail_angle"]) + (torch.sin(heading) * step).cumsum(-1)
    weight, width = 1.2 - along, 0.22 - 0.13 * along
    shine = torch.zeros_like(x)
    for bead in range(BEADS):
        square = (x - path_x[..., bead, None]).square() + (y - path_y[..., bead, None]).square()
        shine += weight[bead] * profiles.gaussian(square, width[bead])
    return shine / weight.sum(), torch.full_like(p["tails"], 0.55)


def _arc(p: Parameters, patterns: Patterns, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """A lensed arc over some 90 degrees, thinning at its ends."""
    radius, angle = torch.hypot(x, y), torch.rad2deg(torch.atan2(y, x))
    width, span = 0.07, 30.0
    shine = torch.exp(-0.5 * ((radius - p["arc"]) / width).square() - 0.5 * ((angle - 35) / span).square())
    return shine / (2 * math.pi * width * p["arc"] * math.radians(span)), torch.ones_like(p["arc"])


def _spikes(p: Parameters, patterns: Patterns, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Diffraction spikes up, down and to the sides."""
    width, length = 0.015, 0.3
    shine = torch.zeros_like(x)
    for along, aside in ((x, y), (y, x)):
        shine += torch.exp(-along.abs() / length - aside.abs() / width)
    return shine / (8 * length * width), torch.zeros_like(p["spikes"])


def _dust(p: Parameters, x: Tensor, y: Tensor) -> Tensor:
    """Optical depth of a lane along the major axis, bent as in the drawing where a body is seen from above."""
    flat, side = p["axis_ratio"], p["edge_on"] > 0
    bent = torch.where(side, 0, 0.12 * flat) * torch.sin(2.5 * x)
    width = torch.where(side, 0.16 * flat, 0.1 * flat)
    lane = torch.exp(-0.5 * ((y - bent) / width).square())
    return p["reddening"] * p["dust"] * lane * torch.sigmoid((0.8 - x.abs()) / 0.1)
