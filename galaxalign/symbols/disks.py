"""The light of a disk and of what it bears: arms, ring, bar, clumps; from above and from the side.

As everywhere in the galaxy pen, places x, y are in outer radii in the frame of the galaxy, shape
(N, H, W), and parameters are (N, 1, 1).  Each component is a pair: its surface brightness, of total
light 1, and the share of young stars in it, None where there are none.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from galaxalign.symbols import profiles
from galaxalign.symbols.members import Parameters, Rows
from galaxalign.symbols.patterns import DIRECTIONS, Patterns, patchy

Shine = tuple[Tensor, Tensor | None]

# Where the arms of a galaxy without a bar start, as in the drawing.
ARM_START = 0.1
# Arms are never so sharp that a crest is a line, nor so dull that they vanish.
SHARPEST, DULLEST = 12.0, 1.2
# Standard deviation of a ring's radius, and its height over the disk's mean.
RING_WIDTH, RING_HEIGHT = 0.09, 3.5


@dataclass(frozen=True)
class Places:
    """Where light is asked for.

    Attributes
    ----------
    right, up : (N, W) and (N, H), outer radii from the centre of the galaxy along the axes of the picture.
    x, y : (N, H, W), the same in the frame of the galaxy, before anything disturbed it.
    """

    right: Tensor
    up: Tensor
    x: Tensor
    y: Tensor

    def of(self, rows: Rows) -> "Places":
        """Those of some of the galaxies."""
        return self if rows == slice(None) else Places(self.right[rows], self.up[rows], self.x[rows], self.y[rows])


def disk(p: Parameters, patterns: Patterns, places: Places) -> Shine:
    """An exponential disk seen from above, with its arms, ring and ragged rim."""
    x, y = _in_plane(p, places)
    radius = x.square().addcmul_(y, y).add_(1e-8).sqrt_()
    angle = torch.atan2(y, x)
    shine = profiles.exponential(_over_rim(p, patterns, radius, angle), p["disk_scale"])
    youth = (0.55 * radius).add_(0.15 + 0.4 * p["disturbed"]).clamp_(0, 0.8)
    patch = 0.35 * p["texture"]
    on = p.having("arms", "ring")
    if on:
        q = p.of(on)
        crest = _crest(q, patterns.of(on), radius[on], angle[on])
        strength = _fade(radius[on]).mul_(q["arm_strength"])
        above = strength * (crest - 1)
        shine[on] *= 1 + above
        youth[on] += (0.9 - youth[on]).mul_(above.clamp_(0, 1))
        patch = patch.expand_as(x).clone()
        patch[on] *= crest.clamp_max_(2).add_(1)
    return shine.mul_(patchy(patterns.fine, x, y, patch)).mul_(1 / p["axis_ratio"]), youth


def edge_on(p: Parameters, patterns: Patterns, places: Places) -> Shine:
    """A disk from the side, warped a little, thicker where it is bright and cut off at its rim."""
    x, y = places.x, places.y
    far = x.abs()
    warped = y - 0.06 * torch.cos(patterns.waves[:, 0, 1, None, None]) * far * x
    height = x.square().tanh_().mul_(-0.15).add_(1).mul_(0.5 * p["axis_ratio"])
    shine = profiles.edge_on_disk(x, warped, p["disk_scale"], height)
    shine *= (far * (-1 / 0.08)).add_(1.2 / 0.08).sigmoid_()
    shine *= patchy(patterns.fine, x, 2 * y, 0.5 * p["texture"])
    return shine, far.mul_(0.5).add_(0.2).clamp_max_(0.75)


def bar(p: Parameters, patterns: Patterns, places: Places) -> Shine:
    """A bar along the disk's own x, a little longer and wider than where it fades."""
    length = 1.15 * p["bar"] + 0.5 * p["bar_width"]
    shine = profiles.bar(*_in_plane(p, places), length, 1.2 * p["bar_width"])
    return shine.mul_(1 / p["axis_ratio"]), torch.full_like(p["bar"], 0.15)


def clumps(p: Parameters, patterns: Patterns, places: Places) -> Shine:
    """Bright knots of an irregular body, larger ones brighter."""
    x, y = places.x, places.y / p["axis_ratio"]
    shine = torch.zeros_like(x)
    for clump in patterns.clumps.unbind(1):
        middle_x, middle_y, radius = (column[:, None, None] for column in clump.unbind(1))
        spread = 0.45 * radius.clamp_min(0.05)
        knot = profiles.bell((x - middle_x).square_().add_((y - middle_y).square_()), spread)
        shine.addcmul_(knot, radius / (2 * math.pi * spread**2))
    total = patterns.clumps[..., 2].sum(1)[:, None, None]
    return shine.div_(total * p["axis_ratio"]), torch.full_like(total, 0.85)


def _in_plane(p: Parameters, places: Places) -> tuple[Tensor, Tensor]:
    """Places in the plane of an inclined disk, turned to where its bar and arms are along x."""
    cos, sin, flat = torch.cos(p["phase"]), torch.sin(p["phase"]), 1 / p["axis_ratio"]
    return (places.x * cos).addcmul_(places.y, sin * flat), (places.y * (cos * flat)).addcmul_(places.x, -sin)


def _fade(radius: Tensor) -> Tensor:
    """Arms stand out from where they start to the rim of the galaxy, and vanish beyond."""
    inner = torch.sigmoid((radius - 1.5 * ARM_START).mul_(1 / (0.25 * ARM_START)))
    return inner.mul_(torch.sigmoid((1.15 - radius).mul_(1 / 0.06)))


def _over_rim(p: Parameters, patterns: Patterns, radius: Tensor, angle: Tensor) -> Tensor:
    """Radius over the outer radius in its direction, which is 1 but for irregulars."""
    if not p.having("clumps"):
        return radius
    turn = (angle * (DIRECTIONS / (2 * math.pi))).floor_().long() % DIRECTIONS
    return radius / patterns.rim.gather(1, turn.flatten(1)).view_as(angle)


def _crest(p: Parameters, patterns: Patterns, radius: Tensor, angle: Tensor) -> Tensor:
    """Brightness of arms and ring over the disk's mean."""
    crest = torch.full_like(radius, 0.15)
    on = p.having("arms")
    if on:
        crest[on] = _arms(p.of(on), patterns.of(on), radius[on], angle[on])
    on = p.having("ring")
    if on:
        crest[on] += profiles.bell((radius[on] - p.of(on)["ring"]).square_(), RING_WIDTH).mul_(RING_HEIGHT)
    return crest


def _arms(p: Parameters, patterns: Patterns, radius: Tensor, angle: Tensor) -> Tensor:
    """Logarithmic arms theta(r) = hand ln(r / r_0) / tan(pitch), mean 1 over a turn."""
    pitch, number = p["pitch"], p["arms"]
    start = torch.where(p["bar"] > 0, p["bar"], ARM_START)
    lengthwise = torch.log(radius).sub_(torch.log(start))
    winding = lengthwise * (p["hand"] / torch.tan(pitch))
    # A crest of full width w across is w / (r sin(pitch)) wide along the circle.
    sharpness = (radius * (2.355 * torch.sin(pitch) / (p["arm_width"] * number))).square_().clamp_(DULLEST, SHARPEST)
    wobble = lengthwise.mul_(2).add_(patterns.waves[:, 0, 1, None, None]).cos_().mul_(0.35)
    crest = profiles.spiral_ridge((angle - winding).mul_(number).add_(wobble), sharpness)
    pieces = torch.zeros_like(radius)
    for wave in patterns.waves.unbind(1):
        count, phase, tilt = (column[:, None, None] for column in wave.unbind(1))
        pieces += (angle * count).addcmul_(winding, -count * tilt).add_(phase).cos_()
    broken = pieces.sub_(0.2 * patterns.waves.shape[1]).mul_(0.8).exp_().mul_(crest.sqrt())
    # No two arms of a galaxy are alike: one side is brighter.
    uneven = (angle - patterns.waves[:, 1, 1, None, None]).cos_().mul_(0.25).add_(1)
    return crest.mul_(uneven).lerp_(broken, p["flocculence"].expand_as(crest))
