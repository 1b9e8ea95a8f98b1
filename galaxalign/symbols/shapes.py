"""What the schematic pen draws: a `Geometry` as filled shapes, in the order they are painted."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from galaxalign.symbols.geometry import Geometry, knots, ragged

Points = NDArray[np.float64]

# Points of a closed outline; enough that no corner shows at 1000 pixels.
OUTLINE = 96
# Softness of an edge that is not meant to look soft, and of a galaxy's own rim.
CRISP, SOFT = 0.008, 0.05
# Where the arms of a galaxy without a bar start.
ARM_START = 0.1
# Nested outlines of a smooth body, from rim to core: radius, opacity.
SMOOTH_BODY = ((1.0, 0.3), (0.85, 0.3), (0.68, 0.35), (0.5, 0.4), (0.34, 0.5), (0.18, 0.6))


@dataclass(frozen=True)
class Shape:
    """A filled outline.

    Attributes
    ----------
    points : (n, 2) corners x, y in outer radii, y up.
    opacity : 0 to 1.
    blur : standard deviation of its soft edge, outer radii.
    white : a bright shape; else a dark one painted over the others.
    """

    points: Points
    opacity: float
    blur: float
    white: bool = True


def shapes_of(geometry: Geometry, thickness: float) -> list[Shape]:
    """The shapes of a geometry; `thickness` multiplies the width of every line (arms, bar, ring, tails...)."""
    if geometry.spikes:
        return _star(geometry, thickness)
    shapes = _pair(geometry, thickness) if geometry.companion else [*_tails(geometry, thickness), *_body(geometry)]
    shapes += _ring_and_arms(geometry, thickness)
    shapes += _bar_and_bulge(geometry, thickness)
    if geometry.dust:
        shapes.append(_dust_lane(geometry, thickness))
    if geometry.arc:
        turns = np.radians(np.linspace(-25, 95, OUTLINE))
        width = 0.2 * thickness * np.sin(np.linspace(0.1, np.pi - 0.1, OUTLINE)) ** 0.7
        shapes.append(Shape(_ribbon(geometry.arc * _circle(turns), width), 1.0, CRISP))
    if geometry.unsure:
        shapes += _question_mark(thickness)
    return shapes


def _circle(angles: NDArray[np.float64]) -> Points:
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _ellipse(radius: float, axis_ratio: float, power: float = 2.0) -> Points:
    """A superellipse |x|^power + |y / axis_ratio|^power = radius^power: pointed below 2, boxy above."""
    circle = _circle(np.linspace(0, 2 * np.pi, OUTLINE, endpoint=False))
    return np.asarray(radius * np.sign(circle) * np.abs(circle) ** (2 / power) * [1.0, axis_ratio])


def _ribbon(path: Points, width: NDArray[np.float64] | float) -> Points:
    """The outline of a line (n, 2) of the given full width at each point."""
    along = np.gradient(path, axis=0)
    along /= np.maximum(np.hypot(*along.T), 1e-9)[:, None]
    aside = np.stack([-along[:, 1], along[:, 0]], axis=1) * np.reshape(width, (-1, 1)) / 2
    return np.concatenate([path + aside, (path - aside)[::-1]])


def _body(geometry: Geometry) -> list[Shape]:
    """What shines between arms and bulge: a soft spheroid, an even disk, a needle, or a broken or ragged disk."""
    if geometry.edge_on:
        return [
            Shape(_ellipse(1.0, geometry.axis_ratio * 1.3, power=1.5), 0.5, 0.02),
            Shape(_ellipse(0.95, geometry.axis_ratio, power=1.5), 1.0, CRISP),
        ]
    if geometry.clumps:
        return _irregular_body(geometry)
    if geometry.disturbed and not geometry.tails:
        return _broken_body(geometry)
    if geometry.disk >= 0.8:
        glow = 0.55 * (1 - geometry.arm_strength)
        return [Shape(_ellipse(1.0, geometry.axis_ratio), glow, SOFT)] if glow else []
    return [
        Shape(_ellipse(radius, geometry.axis_ratio), opacity, SOFT * geometry.axis_ratio**0.5)
        for radius, opacity in SMOOTH_BODY
    ]


def _pair(geometry: Geometry, thickness: float) -> list[Shape]:
    """Two galaxies in each other's haze; bright nuclei tell that they are two."""
    one = [Shape(shape.points, 0.6 * shape.opacity, shape.blur) for shape in _body(geometry)]
    one.append(Shape(_ellipse(0.17, max(geometry.axis_ratio, 0.75)), 1.0, 0.04))
    angle = np.radians(geometry.companion_angle)
    offset = geometry.companion_distance * np.array([np.cos(angle), np.sin(angle)])
    size = geometry.companion**0.5
    other = [Shape(shape.points * size + offset, shape.opacity, shape.blur) for shape in one]
    return [*_tails(geometry, thickness), *other[:-1], *one, other[-1]]


def _irregular_body(geometry: Geometry) -> list[Shape]:
    angles = np.linspace(0, 2 * np.pi, OUTLINE, endpoint=False)
    flat = np.array([1.0, geometry.axis_ratio])
    outline = _circle(angles) * ragged(geometry, angles)[:, None] * flat
    clumps = [Shape(_ellipse(radius, 1.0) + np.array([x, y]) * flat, 0.9, 0.03) for x, y, radius in knots(geometry)]
    return [Shape(outline, 0.5, 0.04), *clumps]


def _broken_body(geometry: Geometry) -> list[Shape]:
    """Two halves of a disk that slid along its major axis, in the glow of what was thrown off."""
    halo = Shape(_ellipse(1.25, geometry.axis_ratio), 0.3, 0.12)
    angles = np.linspace(0, np.pi, OUTLINE)
    half = _circle(angles) * [1.0, geometry.axis_ratio]
    gap, slide = np.array([0.0, 0.03]), np.array([geometry.disturbed / 2, 0.0])
    return [halo, Shape(half + gap + slide, 0.95, CRISP), Shape(-half - gap - slide, 0.95, CRISP)]


def _ring_and_arms(geometry: Geometry, thickness: float) -> list[Shape]:
    flat = np.array([1.0, geometry.axis_ratio])
    opacity = 0.35 + 0.65 * geometry.arm_strength
    shapes = []
    if geometry.ring:
        turns = np.linspace(0, 2 * np.pi, 2 * OUTLINE)
        path = geometry.ring * _circle(turns) * flat
        shapes.append(Shape(_ribbon(path, 0.1 * thickness), opacity, CRISP))
    if geometry.arms:
        shapes += [
            Shape(points * flat, opacity, CRISP + 0.5 * max(geometry.arm_width - 0.12, 0.0))
            for points in _arms(geometry, thickness)
        ]
    return shapes


def _arms(geometry: Geometry, thickness: float) -> list[Points]:
    """Outlines of the arms in the plane of the disk, tapering outwards and thin where they crowd."""
    start, end = geometry.bar or ARM_START, 0.95 * (geometry.ring or 1.0)
    tangent = np.tan(np.radians(geometry.pitch))
    radius = np.geomspace(start, end, 2 * OUTLINE)
    turn = geometry.hand * np.log(radius / start) / tangent
    between = 2 * np.pi * radius * np.sin(np.radians(geometry.pitch)) / geometry.arms
    taper = np.interp(radius, [start, 0.6 * end, end], [1.0, 1.0, 0.25])
    width = np.minimum(geometry.arm_width * 1.3 * thickness, 0.55 * between) * taper
    path = radius[:, None] * _circle(turn)
    return [_ribbon(path @ rotation(360.0 * arm / geometry.arms).T, width) for arm in range(geometry.arms)]


def _bar_and_bulge(geometry: Geometry, thickness: float) -> list[Shape]:
    shapes = []
    if geometry.bar:
        half = geometry.bar + 0.5 * geometry.bar_width
        bar = _ellipse(half, 0.75 * geometry.bar_width * thickness / half, power=4.0)
        shapes.append(Shape(bar, 1.0, CRISP))
    if geometry.bulge and geometry.bulge_radius:
        boxy = geometry.bulge_boxy
        roundness = 1.0 - 0.3 * boxy if geometry.edge_on else max(geometry.axis_ratio, 0.75)
        rim = _ellipse(geometry.bulge_radius, roundness, power=2.0 + 6.0 * boxy)
        soft = CRISP + (0.0 if geometry.edge_on else 0.15 * geometry.bulge_radius)
        shapes.append(Shape(rim, 1.0, soft))
    return shapes


def _dust_lane(geometry: Geometry, thickness: float) -> Shape:
    """A dark line along the major axis, bent a little where it crosses a body seen from above."""
    along = np.linspace(-1.1, 1.1, OUTLINE)
    if geometry.edge_on:
        return Shape(
            _ribbon(np.stack([0.75 * along, 0 * along], axis=1), 0.3 * geometry.axis_ratio), geometry.dust, CRISP, False
        )
    path = np.stack([along, 0.12 * geometry.axis_ratio * np.sin(2.5 * along)], axis=1)
    return Shape(_ribbon(path, 0.2 * geometry.axis_ratio * thickness), geometry.dust, CRISP, False)


def _tails(geometry: Geometry, thickness: float) -> list[Shape]:
    """Curved, tapering tails: the first leaves the first galaxy, the second its companion, away from each other."""
    angle = np.radians(geometry.companion_angle)
    outwards = np.array([np.cos(angle), np.sin(angle)])
    starts = [(np.zeros(2), -outwards), (geometry.companion_distance * outwards, outwards)]
    along = np.linspace(0, 1, OUTLINE)
    width = geometry.tail_length * thickness * np.interp(along, [0, 0.25, 1], [0.05, 0.17, 0.02])
    shapes: list[Shape] = []
    for start, away in starts[: geometry.tails]:
        # The sense is that of trailing arms of the same hand.
        heading = np.arctan2(away[1], away[0]) + geometry.hand * np.radians(-40 + 150 * along)
        path = start + 0.3 * away + np.cumsum(_circle(heading), axis=0) * geometry.tail_length / OUTLINE
        shapes.append(Shape(_ribbon(path, width), 0.75, 0.03))
    return shapes


def _star(geometry: Geometry, thickness: float) -> list[Shape]:
    """A point of light with diffraction spikes, every other one shorter where there are more than four."""
    shapes = [Shape(_ellipse(0.4, 1.0), 0.35, 0.1), Shape(_ellipse(0.17, 1.0), 1.0, 0.02)]
    for spike in range(geometry.spikes):
        needle = np.array([[0.0, 0.07 * thickness], [1.0, 0.0], [0.0, -0.07 * thickness]])
        shapes.append(Shape(needle @ rotation(90.0 + 360.0 * spike / geometry.spikes).T, 1.0, CRISP))
    return shapes


def _question_mark(thickness: float) -> list[Shape]:
    hook = 0.26 * _circle(np.radians(np.linspace(170, -60, OUTLINE))) + [0.0, 0.22]
    stem = np.stack([np.full(20, 0.0), np.linspace(-0.04, -0.24, 20)], axis=1)
    lines = _ribbon(np.concatenate([hook, stem]), 0.15 * thickness)
    dot = _ellipse(0.1, 1.0) - np.array([0.0, 0.48])
    light = Shape(_ellipse(0.55, 1.0), 0.9, 0.1)
    return [light, Shape(lines, 1.0, CRISP, False), Shape(dot, 1.0, CRISP, False)]


def rotation(angle: float) -> NDArray[np.float64]:
    """The matrix that turns columns x, y anticlockwise by `angle` degrees."""
    turn = np.radians(angle)
    return np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
