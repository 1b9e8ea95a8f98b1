"""Where a galaxy shines: the surface brightness of a `Geometry`, component by component, for many at once.

Places x, y are in outer radii in the frame of the galaxy, major axis along x, shape (N, H, W); parameters
are (N, 1, 1).  A component is only computed for the galaxies that have it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from galaxalign.symbols import disks, profiles
from galaxalign.symbols.disks import Places, Shine
from galaxalign.symbols.members import Parameters
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


@dataclass(frozen=True)
class Light:
    """Surface brightness of N galaxies of total light 1, per square outer radius, shape (N, H, W) each.

    `young` is the part of `total` that young stars shine; `dust` is the optical depth in front of both at
    550 nm, of the galaxies that have any.
    """

    total: Tensor
    young: Tensor
    dust: Tensor


def shares(numbers: dict[str, Tensor]) -> dict[str, Tensor]:
    """Share of the light of each component, (N,), by the names that `COMPONENTS` has, and how `stirred` a body is.

    What bulge, bar, clumps and tail leave is the main body's.
    """
    besides = 1 - numbers["bulge"]
    clumpy, tailed = numbers["clumps"] > 0, numbers["tails"] > 0
    body = besides * (1 - BAR * numbers["bar"] - CLUMPS * clumpy - TAIL * tailed)
    face_on = body * (numbers["edge_on"] == 0)
    return {
        "spheroid": face_on * (1 - numbers["disk"]),
        "disk seen from above": face_on * numbers["disk"],
        "disk seen from the side": body * (numbers["edge_on"] > 0),
        "bulge": numbers["bulge"],
        "light of the bar": besides * BAR * numbers["bar"],
        "light of the clumps": besides * CLUMPS * clumpy,
        "light of the tail": besides * TAIL * tailed,
        "light of the arc": ARC * (numbers["arc"] > 0),
        "light of the spikes": SPIKES * (numbers["spikes"] > 0),
        "stirred": numbers["disturbed"] * ~clumpy,
    }


def light(p: Parameters, patterns: Patterns, places: Places) -> Light:
    """The light of galaxies at places of the sky; see the module for shapes.

    Besides the Geometry's and the Appearance's own parameters: those of `shares`; `soft`, the radius inside
    which cores are smoothed (see `cusp`); `tail_angle`, the direction a tail leaves in, radians.
    """
    total, young = torch.zeros_like(places.x), torch.zeros_like(places.x)
    stirred = p.having("stirred")
    calm, places = places, _undisturbed(p, patterns, places)
    for name, component in COMPONENTS.items():
        on = p.having(name)
        if on:
            q = p.of(on)
            shine, youth = component(q, patterns.of(on), places.of(on))
            shine *= q[name]
            total[on] += shine
            if youth is not None:
                young[on] += shine.mul_(youth)
    if stirred:
        here, q = calm.of(stirred), p.of(stirred)
        uneven = patchy(patterns.coarse[stirred, 2:], here.x, here.y, STIR * q["disturbed"])
        total[stirred] *= uneven
        young[stirred] *= uneven
    dusty = p.having("dust")
    return Light(total, young, _dust(p.of(dusty), places.of(dusty)))


def cusp(numbers: dict[str, Tensor]) -> Tensor:
    """Light that softened cores lack, (N,): that of the Sersic profiles within `soft` of the centre.

    A profile f(sqrt(r^2 + s^2)) holds exactly as much light as f(r) has outside s.
    """
    bulge = numbers["bulge"] * (numbers["bulge_boxy"] <= 0)
    bulge = bulge * profiles.sersic_within(
        numbers["soft"], _half_light(numbers["bulge_radius"]), numbers["bulge_index"]
    )
    body = profiles.sersic_within(numbers["soft"], numbers["spheroid_radius"], numbers["spheroid_index"])
    return bulge + numbers["spheroid"] * body


def _undisturbed(p: Parameters, patterns: Patterns, places: Places) -> Places:
    """Places before the halves slid along the major axis and the isophotes were bent; the centre stays."""
    on = p.having("stirred")
    if not on:
        return places
    x, y = places.x.clone(), places.y.clone()
    slide, bend = _shift(p.of(on), patterns.of(on), x[on], y[on])
    x[on] += bend[:, 0] - slide
    y[on] += bend[:, 1]
    return replace(places, x=x, y=y)


def _shift(p: Parameters, patterns: Patterns, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """How far a disturbed body slid along x, (N, H, W), and is bent in x and y, (N, 2, H, W)."""
    nowhere, pattern = torch.zeros_like(p["stirred"]), patterns.coarse[:, :2]
    bend = sampled(pattern, x, y).sub_(sampled(pattern, nowhere, nowhere)).mul_(BEND * p["stirred"][:, None])
    bend[:, 1] *= p["axis_ratio"].sqrt()
    slide = (y / (0.4 * p["axis_ratio"] + 0.05)).tanh_().mul_(SLIDE * p["stirred"])
    return slide, bend


def _spheroid(p: Parameters, patterns: Patterns, places: Places) -> Shine:
    square = (places.y * (1 / p["axis_ratio"])).square_().addcmul_(places.x, places.x).add_(p["soft"] ** 2)
    shine = profiles.sersic(square, p["spheroid_radius"], p["spheroid_index"], p["axis_ratio"])
    return shine, 0.6 * p["disturbed"].clamp(0, 1) if p.having("disturbed") else None


def _half_light(rim: Tensor) -> Tensor:
    """Half-light radius of a bulge."""
    return (BULGE_HALF_LIGHT * rim).clamp_min(1e-3)


def _bulge(p: Parameters, patterns: Patterns, places: Places) -> Shine:
    """A Sersic bulge, round or boxy; it looks rounder than its disk."""
    flat = torch.where(p["edge_on"] > 0, 1 - 0.3 * p["bulge_boxy"], p["axis_ratio"].clamp_min(0.7))
    square = (places.y * (1 / flat)).square_().addcmul_(places.x, places.x).add_(p["soft"] ** 2)
    on = p.having("bulge_boxy")
    if on:
        power = 2 + 2 * p.of(on)["bulge_boxy"]
        square[on] = profiles.superelliptic(places.x[on], places.y[on] / flat[on], power).square_()
    return profiles.sersic(square, _half_light(p["bulge_radius"]), p["bulge_index"], flat), None


def _tail(p: Parameters, patterns: Patterns, places: Places) -> Shine:
    """A tail as beads on the line that the drawing draws: it turns by 150 degrees and thins out."""
    along = torch.linspace(0, 1, BEADS, device=places.x.device)
    heading = p["tail_angle"] + p["hand"] * torch.deg2rad(150 * along - 35)
    step = (p["tail_length"] + 0.6) / BEADS
    x = 0.25 * torch.cos(p["tail_angle"]) + (torch.cos(heading) * step).cumsum(-1)
    y = 0.25 * torch.sin(p["tail_angle"]) + (torch.sin(heading) * step).cumsum(-1)
    if p.having("stirred"):
        slide, bend = _shift(p, patterns, x, y)
        x, y = x + slide - bend[:, 0], y - bend[:, 1]
    cos, sin = torch.cos(p["angle"]), torch.sin(p["angle"])
    right, up = x * cos - y * sin, x * sin + y * cos
    weight, width = 1.2 - along, 0.22 - 0.13 * along
    # A round bead is a product of one factor for each axis of the picture: the sum of beads is a matrix product.
    columns = profiles.bell((places.right[..., None] - right).square_(), width)
    rows = profiles.bell((places.up[..., None] - up).square_(), width)
    rows *= weight / weight.sum() / (2 * math.pi * width**2)
    return rows @ columns.mT, torch.full_like(p["tails"], 0.55)


def _arc(p: Parameters, patterns: Patterns, places: Places) -> Shine:
    """A lensed arc over some 90 degrees, thinning at its ends."""
    radius, angle = torch.hypot(places.x, places.y), torch.rad2deg(torch.atan2(places.y, places.x))
    width, span = 0.07, 30.0
    shine = profiles.bell((radius - p["arc"]).square_(), width) * profiles.bell((angle - 35).square_(), span)
    return shine / (2 * math.pi * width * p["arc"] * math.radians(span)), torch.ones_like(p["arc"])


def _spikes(p: Parameters, patterns: Patterns, places: Places) -> Shine:
    """Diffraction spikes up, down and to the sides."""
    width, length = 0.015, 0.3
    x, y = places.x.abs(), places.y.abs()
    shine = profiles.exponential(x / length + y / width, torch.ones_like(p["spikes"]))
    shine += profiles.exponential(y / length + x / width, torch.ones_like(p["spikes"]))
    return shine * (2 * math.pi / (8 * length * width)), None


def _dust(p: Parameters, places: Places) -> Tensor:
    """Optical depth of a lane along the major axis, bent as in the drawing where a body is seen from above."""
    flat, side = p["axis_ratio"], p["edge_on"] > 0
    bent = torch.where(side, 0, 0.12 * flat) * torch.sin(2.5 * places.x)
    lane = profiles.bell((places.y - bent).square_(), torch.where(side, 0.16 * flat, 0.1 * flat))
    return lane * torch.sigmoid((0.8 - places.x.abs()) / 0.1) * (p["reddening"] * p["dust"])


COMPONENTS: dict[str, Callable[[Parameters, Patterns, Places], Shine]] = {
    "spheroid": _spheroid,
    "disk seen from above": disks.disk,
    "disk seen from the side": disks.edge_on,
    "bulge": _bulge,
    "light of the bar": disks.bar,
    "light of the clumps": disks.clumps,
    "light of the tail": _tail,
    "light of the arc": _arc,
    "light of the spikes": _spikes,
}
