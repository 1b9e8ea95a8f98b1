"""The light of a disk and of what it bears: arms, ring, bar, clumps; from above and from the side.

As everywhere in the galaxy pen, places x, y are in outer radii in the frame of the galaxy, shape
(N, H, W), and parameters a dictionary of tensors (N, 1, 1).  Each component is a pair: its surface
brightness, of total light 1, and the share of young stars in it.
"""

import math

import torch
from torch import Tensor

from galaxalign.symbols import profiles
from galaxalign.symbols.patterns import DIRECTIONS, Patterns, patchy

Parameters = dict[str, Tensor]

# Where the arms of a galaxy without a bar start, as in the drawing.
ARM_START = 0.1
# Arms are never so sharp that a crest is a line, nor so dull that they vanish.
SHARPEST, DULLEST = 12.0, 1.2
# Standard deviation of a ring's radius, and its height over the disk's mean.
RING_WIDTH, RING_HEIGHT = 0.09, 3.5


def selected(p: Parameters, index: Tensor) -> Parameters:
    """The parameters of some of the galaxies."""
    return {name: values[index] for name, values in p.items()}


def where(condition: Tensor) -> Tensor:
    """Indices of the galaxies for which a condition (N, 1, 1) holds."""
    return condition.flatten().nonzero().flatten()


def disk(p: Parameters, patterns: Patterns, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """An exponential disk seen from above, with its arms, ring and ragged rim."""
    x, y = _in_plane(p, x, y)
    radius = torch.sqrt(x.square() + y.square() + 1e-8)
    angle = torch.atan2(y, x)
    shine = profiles.exponential(radius / _rim(p, patterns, angle), p["disk_scale"]) / p["axis_ratio"]
    youth = (0.15 + 0.55 * radius + 0.4 * p["disturbed"]).clamp(0, 0.8)
    patch = 0.35 * p["texture"]
    on = where((p["arms"] > 0) | (p["ring"] > 0))
    if len(on):
        q = selected(p, on)
        crest = _crest(q, patterns.of(on), radius[on], angle[on])
        strength = q["arm_strength"] * _fade(radius[on])
        shine[on] *= 1 - strength + strength * crest
        youth[on] += (0.9 - youth[on]) * (strength * (crest - 1)).clamp(0, 1)
        patch = patch.expand_as(x).clone()
        patch[on] *= 1 + crest.clamp_max(2)
    return shine * patchy(patterns.fine, x, y, patch), youth


def edge_on(p: Parameters, patterns: Patterns, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """A disk from the side, warped a little, thicker where it is bright and cut off at its rim."""
    warped = y - 0.06 * torch.cos(patterns.waves[:, 0, 1, None, None]) * x.abs() * x
    height = 0.5 * p["axis_ratio"] * (1 - 0.15 * torch.tanh(x.square()))
    shine = profiles.edge_on_disk(x, warped, p["disk_scale"], height) * torch.sigmoid((1.2 - x.abs()) / 0.08)
    return shine * patchy(patterns.fine, x, 2 * y, 0.5 * p["texture"]), (0.2 + 0.5 * x.abs()).clamp(0, 0.75)


def bar(p: Parameters, patterns: Patterns, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """A bar along the disk's own x, a little longer and wider than where it fades."""
    length = 1.15 * p["bar"] + 0.5 * p["bar_width"]
    return profiles.bar(*_in_plane(p, x, y), length, 1.2 * p["bar_width"]) / p["axis_ratio"], 0.15 * (p["bar"] > 0)


def clumps(p: Parameters, patterns: Patterns, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Bright knots of an irregular body, larger ones brighter."""
    y = y / p["axis_ratio"]
    shine = torch.zeros_like(x)
    for clump in patterns.clumps.unbind(1):
        middle_x, middle_y, radius = (column[:, None, None] for column in clump.unbind(1))
        square = (x - middle_x).square() + (y - middle_y).square()
        shine += radius * profiles.gaussian(square, 0.45 * radius.clamp_min(0.05))
    total = patterns.clumps[..., 2].sum(1)[:, None, None]
    return shine / (total * p["axis_ratio"]), 0.85 * (p["clumps"] > 0)


def _in_plane(p: Parameters, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Places in the plane of an inclined disk, turned to where its bar and arms are along x."""
    y = y / p["axis_ratio"]
    cos, sin = torch.cos(p["phase"]), torch.sin(p["phase"])
    return x * cos + y * sin, y * cos - x * sin


def _fade(radius: Tensor) -> Tensor:
    """Arms stand out from where they start to the rim of the galaxy, and vanish beyond."""
    inner = torch.sigmoid((radius - 1.5 * ARM_START) / (0.25 * ARM_START))
    return inner * torch.sigmoid((1.15 - radius) / 0.06)


def _rim(p: Parameters, patterns: Patterns, angle: Tensor) -> Tensor:
    """Outer radius in each direction; 1 but for irregulars."""
    if not bool((p["clumps"] > 0).any()):
        return torch.ones_like(p["disk"])
    turn = (angle * (DIRECTIONS / (2 * math.pi))).floor().long() % DIRECTIONS
    return patterns.rim.gather(1, turn.flatten(1)).view_as(angle)


def _crest(p: Parameters, patterns: Patterns, radius: Tensor, angle: Tensor) -> Tensor:
    """Brightness of arms and ring over the disk's mean."""
    crest = torch.full_like(radius, 0.15)
    on = where(p["arms"] > 0)
    if len(on):
        crest[on] = _arms(selected(p, on), patterns.of(on), radius[on], angle[on])
    on = where(p["ring"] > 0)
    if len(on):
        crest[on] += RING_HEIGHT * torch.exp(-0.5 * ((radius[on] - p["ring"][on]) / RING_WIDTH).square())
    return crest


def _arms(p: Parameters, patterns: Patterns, radius: Tensor, angle: Tensor) -> Tensor:
    """Logarithmic arms theta(r) = hand ln(r / r_0) / tan(pitch), mean 1 over a turn."""
    pitch, number = torch.deg2rad(p["pitch"]), p["arms"]
    start = torch.where(p["bar"] > 0, p["bar"], ARM_START)
    lengthwise = torch.log(radius / start)
    winding = p["hand"] / torch.tan(pitch) * lengthwise
    # A crest of full width w across is w / (r sin(pitch)) wide along the circle.
    across = radius * (2.355 * torch.sin(pitch) / (p["arm_width"] * number))
    wobble = 0.35 * torch.cos(2 * lengthwise + patterns.waves[:, 0, 1, None, None])
    crest = profiles.spiral_ridge(number * (angle - winding) + wobble, across.square().clamp(DULLEST, SHARPEST))
    # No two arms of a galaxy are alike: one side is brighter.
    uneven = 1 + 0.25 * torch.cos(angle - patterns.waves[:, 1, 1, None, None])
    pieces = torch.zeros_like(radius)
    for wave in patterns.waves.unbind(1):
        count, phase, tilt = (column[:, None, None] for column in wave.unbind(1))
        pieces += torch.cos(count * angle - count * tilt * winding + phase)
    broken = torch.exp(0.8 * pieces - 0.16 * patterns.waves.shape[1]) * crest.sqrt()
    return torch.lerp(crest * uneven, broken, p["flocculence"])
