"""How each of many galaxies is to look in a survey: drawn from what was measured of its pictures, and widened."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from galaxalign.symbols.appearance import Appearance
from galaxalign.symbols.geometry import Geometry
from galaxalign.symbols.matching import LEVELS, QUANTITIES, SurveyLook

Table = dict[str, NDArray[np.float64]]

# Magnitude of a total flux of 1; white is a flux of 1 in a pixel.
ZERO = 22.5
# Axis ratio that the air gives even a needle, added in quadrature.
ROUNDED = 0.15
# Young stars in arms are bluer by so much than the outskirts, where old ones mix with them: magnitudes.
BLUER = 0.15
# Side of the stored pictures that a look without a survey is given in.
SIDE = 128

# What is taken of a survey of which nothing is known: uniform between two values.
UNMATCHED = {
    **{f"sky_{c}": (0.0, 0.12) for c in ("red", "green", "blue")},
    **{f"noise_{c}": (0.003, 0.06) for c in ("red", "green", "blue")},
    "grain": (0.2, 1.5),
    "shared_noise": (0.0, 0.9),
    "psf": (1.5, 8.0),
    "radius": (10.0, 50.0),
    "concentration": (0.5, 0.6),
    "axis_ratio": (0.2, 1.0),
    "offset": (0.0, 2.0),
    "fringe": (0.0, 1.0),
    "peak": (0.3, 1.0),
    "core_red": (-0.2, 0.6),
    "core_blue": (-1.2, 0.4),
    "outer_red": (-0.3, 0.5),
    "outer_blue": (-1.0, 0.6),
    "mottle": (0.0, 0.3),
    "neighbours": (0.0, 6.0),
    "neighbour_peak": (0.1, 1.0),
}
# What of the look is drawn wider than it was measured: standard deviation added to the normal scores.
WIDER = 0.35
# Old galaxies are redder, those with arms bluer than the mean of a survey, in normal scores of the core's colour.
REDDER = {"smooth": 0.35, "armed": -0.7, "other": -0.1}
# asinh(k) of the stretch asinh(k I) / asinh(k): surveys' pictures lie between.
DEPTHS = (4.5, 9.0)
# Colours of the flux that make white: red, green and blue light of stars.
WHITE = (1.0, 1.15, 1.7)
# Another galaxy beside or before a galaxy: how often; how many times smaller; how far away in outer radii of the
# galaxy; logarithm of the ratio of the peaks.
BESIDE, SMALLER, APART, DIMMER = 0.4, (1.6, 4.5), (0.4, 1.6), (-2.0, -0.2)
# Largest distance between the colours, in widths of the PSF.
FRINGE = 0.3
# Sersic index of smooth bodies, uniform in its logarithm.
INDEX = (0.55, 4.5)
RANGES = {
    "spheroid_radius": (0.2, 0.4),
    "disk_scale": (0.2, 0.36),
    "bulge_index": (0.7, 2.5),
    "texture": (0.1, 0.9),
    "flocculence": (0.0, 0.8),
    "reddening": (0.5, 3.0),
}


def draw_table(
    shapes: Sequence[Geometry], sizes: Sequence[float], look: SurveyLook | None, size: int, chance: np.random.Generator
) -> Table:
    """Quantities of N galaxies, drawn from the look of a survey: (N,) each, lengths in pixels of these pictures.

    Parameters
    ----------
    shapes
        Of the galaxies.
    sizes
        How much larger than measured each is drawn, so that it looks as large.
    look
        Of the survey; None for pictures that match none.
    size
        Pixels a side of the pictures.
    chance
        Decides.

    Returns
    -------
    The `QUANTITIES` of a look and what goes with them; `outer` is the outer radius of the Geometry.
    """
    number = len(shapes)
    if look is None:
        table = {name: chance.uniform(*ends, number) for name, ends in UNMATCHED.items()}
        scale = size / SIDE
    else:
        correlation = np.array(look.correlation)
        scores = chance.multivariate_normal(np.zeros(len(correlation)), correlation, number, method="cholesky")
        scores += WIDER * chance.normal(size=scores.shape)
        # What goes with redness or with flatness follows it, as the survey's correlations say.
        redder = np.array([REDDER[_kind(shape)] for shape in shapes])
        scores -= redder[:, None] * correlation[QUANTITIES.index("core_blue")]
        flat = QUANTITIES.index("axis_ratio")
        ratios = np.array([np.nan if shape.companion else math.hypot(shape.axis_ratio, ROUNDED) for shape in shapes])
        known = ndtri(np.interp(ratios, look.quantiles["axis_ratio"], LEVELS))
        scores += np.nan_to_num(known - scores[:, flat])[:, None] * correlation[flat]
        levels = ndtr(scores)
        table = {
            name: np.interp(levels[:, place], LEVELS, look.quantiles[name]) for place, name in enumerate(QUANTITIES)
        }
        scale = size / look.side
    for name in ("grain", "psf", "radius", "offset", "fringe"):
        table[name] = table[name] * scale
    table["beside"] = np.where(chance.uniform(size=number) < BESIDE, 10 ** chance.uniform(*DIMMER, number), 0.0)
    table["smaller"], table["apart"] = chance.uniform(*SMALLER, number), chance.uniform(*APART, number)
    table["beside_angle"], table["beside_turn"] = chance.uniform(0, 2 * np.pi, (2, number))
    table["fringe_angle"] = chance.uniform(0, 2 * np.pi, number)
    area = np.array([shape.axis_ratio * (1 + shape.companion) for shape in shapes])
    table["outer"] = table["radius"] * list(sizes) / np.sqrt(area)
    # A lopsided galaxy has other centroids in red than in blue, too; a camera errs by less than its sharpness.
    table["fringe"] = np.minimum(table["fringe"], FRINGE * table["psf"])
    table["depth"] = chance.uniform(*DEPTHS, number)
    return table


def _kind(shape: Geometry) -> str:
    if shape.arms:
        return "armed"
    return "other" if shape.edge_on or shape.companion else "smooth"


def draw_appearances(shapes: Sequence[Geometry], table: Table, chance: np.random.Generator) -> list[Appearance]:
    """An Appearance for each galaxy of the table."""
    number = len(shapes)
    turned = chance.uniform(0, 360, (2, number))
    off = table["offset"] * np.exp(2j * np.pi * chance.uniform(size=number))
    drawn = {name: chance.uniform(*ends, number) for name, ends in RANGES.items()}
    # Half of what volunteers call smooth are featureless disks.
    low, high = (math.log(end) for end in INDEX)
    drawn["spheroid_index"] = np.exp(chance.uniform(low, high, number))
    red, blue = (-2.5 / math.log(10) * table[f"core_{c}"] for c in ("red", "blue"))
    young_red, young_blue = (-2.5 / math.log(10) * table[f"outer_{c}"] for c in ("red", "blue"))
    looks = []
    for i, shape in enumerate(shapes):
        radius = float(table["outer"][i])
        # Such that the peak is near white; `camera` puts it right.
        total = ZERO - 2.5 * math.log10(0.2 * radius**2 * shape.axis_ratio)
        bluer = BLUER if shape.arms else 0.0
        looks.append(
            Appearance(
                radius=radius,
                x=float(off[i].real),
                y=float(off[i].imag),
                angle=float(turned[0, i]),
                phase=float(turned[1, i]) if shape.arms or shape.bar else 0.0,
                old=_magnitudes(total, red[i], blue[i]),
                young=_magnitudes(total, young_red[i] + bluer, young_blue[i] - bluer),
                **{name: float(values[i]) for name, values in drawn.items()},
            )
        )
    return looks


def _magnitudes(total: float, red: float, blue: float) -> tuple[float, ...]:
    """Of light that the picture shows in a colour."""
    planes = (total + float(red), total, total + float(blue))
    return tuple(plane + 2.5 * math.log10(white) for plane, white in zip(planes, WHITE, strict=True))
