"""Flux to colour: named functions, of which the one that made a picture is recorded with it.

All map three colour planes to a picture; each plane is a weighted sum of bands, so that one band or five make a
picture as three do.  Which function and which numbers made a picture travels with it as a `Stretch`, in the store
and in every model trained from the store.

A picture depends on its own flux and on the stretch alone, in single precision and in one order of operations.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galaxalign.errors import GalaxAlignError, nearest

# In the order of a picture's last axis.
COLOURS = ("red", "green", "blue")
# Arguments of asinh up to which a stretch hardly bends.
BENT = 0.1
# The functions, and the numbers that each takes.
STRETCHES = {
    "legacy_survey": ("m", "Q"),
    "lupton": ("stretch", "Q", "minimum"),
    "asinh": ("low", "high", "softening"),
    "percentile": ("low", "high", "softening"),
    "zscale": ("contrast", "softening"),
}


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """How flux becomes colour.

    Attributes
    ----------
    name : a key of `STRETCHES`.
    colours : for red, green and blue, the weight of each band in that plane (for `legacy_survey`, of nanomaggies).
    numbers : what that function takes.
    """

    name: str
    colours: Mapping[str, Mapping[str, float]]
    numbers: Mapping[str, float]

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> "Stretch":
        """Read the layout of the configuration's ``data.stretch``, which is also `to_dict`'s.

        A weight of 0 removes a band, since the maps of an overlay merge into the default's.
        """
        name = str(settings["name"])
        if name not in STRETCHES:
            raise GalaxAlignError(f"data.stretch.name is {name!r}, no known function: {nearest(name, STRETCHES)}")
        colours = {
            colour: {str(band): float(weight) for band, weight in settings["colours"][colour].items() if weight}
            for colour in COLOURS
        }
        for colour in COLOURS:
            if not colours[colour]:
                raise GalaxAlignError(f"data.stretch.colours.{colour} has no band: give it one with a weight above 0")
        numbers = {key: float(settings[name][key]) for key in STRETCHES[name]}
        if "high" in numbers and numbers["high"] <= numbers["low"]:
            raise GalaxAlignError(f"data.stretch.{name} has a 'high' that is not above its 'low': raise it")
        return cls(name=name, colours=colours, numbers=numbers)

    def to_dict(self) -> dict[str, Any]:
        """Plain maps and numbers, for JSON."""
        colours = {colour: dict(weights) for colour, weights in self.colours.items()}
        return {"name": self.name, "colours": colours, self.name: dict(self.numbers)}

    @property
    def bands(self) -> tuple[str, ...]:
        """The bands that the colours are made of, blue first."""
        return tuple(dict.fromkeys(band for colour in reversed(COLOURS) for band in self.colours[colour]))


def colour_planes(flux: NDArray[np.float32], bands: Sequence[str], stretch: Stretch) -> NDArray[np.float32]:
    """Weighted sums of the bands, shape (3, H, W), red first; not a number where a band of theirs has no data.

    Raises `GalaxAlignError` where a colour needs a band that is not there.
    """
    missing = [band for band in stretch.bands if band not in bands]
    if missing:
        raise GalaxAlignError(
            f"data.stretch.colours needs band {missing[0]!r}, but the image has {', '.join(bands)}: "
            "change the colours, or list the bands in data.bands"
        )
    planes = np.empty((3, *flux.shape[1:]), np.float32)
    for plane, colour in zip(planes, COLOURS, strict=True):
        (first, weight), *others = stretch.colours[colour].items()
        np.multiply(flux[bands.index(first)], np.float32(weight), out=plane)
        for band, weight in others:
            plane += flux[bands.index(band)] * np.float32(weight)
    return planes


def legacy_survey_rgb(planes: NDArray[np.float32], *, m: float, Q: float) -> NDArray[np.float32]:
    """The Legacy Survey viewer's colours, shape (3, H, W), 0 to 1.

    With P_c the scaled flux of plane c, I = mean_c max(0, P_c + m) and
    C_c = (P_c + m) asinh(Q I) / (sqrt(Q) I), clipped to [0, 1]; I = 0 is taken as 1e-6.
    The viewer's own planes are 2.2 z, 3.4 r and 6.0 g, with m = 0.03 and Q = 20.  The planes become the colours.
    """
    planes += np.float32(m)
    intensity = _mean([np.maximum(plane, 0) for plane in planes])
    intensity[intensity == 0] = 1e-6
    planes *= _asinh(np.float32(Q) * intensity, bent=Q > BENT) / (np.float32(math.sqrt(Q)) * intensity)
    return _clipped(planes)


def lupton_rgb(planes: NDArray[np.float32], *, stretch: float, Q: float, minimum: float) -> NDArray[np.float32]:
    """The colours of `astropy.visualization.make_lupton_rgb`, shape (3, H, W), 0 to 1.

    Lupton et al. 2004 (PASP 116, 133): with P_c the planes less the minimum and I their mean,
    C_c = P_c F(I) / I, F(I) = 0.1 asinh(Q I / stretch) / asinh(0.1 Q); no colour where I is not positive.
    Where the largest C_c exceeds 1 all three are divided by it, which keeps the hue; negative ones are 0.  The planes
    become the colours.
    """
    if minimum:
        planes -= np.float32(minimum)
    intensity = _mean(planes)
    # Where there is no light: so little that its asinh, and with it the colour, is exactly 0.
    np.maximum(intensity, np.finfo(np.float32).tiny, out=intensity)
    factor = _asinh(np.float32(Q / stretch) * intensity, bent=Q > BENT)
    factor *= np.float32(0.1 / math.asinh(0.1 * Q))
    factor /= intensity
    planes *= factor
    # Processors take the greater of two planes many at a time, of a plane and a number one by one; so do they divide.
    np.maximum(planes, np.zeros_like(intensity), out=planes)
    brightest = np.maximum(planes[0], planes[1])
    np.maximum(brightest, planes[2], out=brightest)
    np.maximum(brightest, np.ones_like(intensity), out=brightest)
    planes *= np.divide(1, brightest, out=brightest)
    return planes


def asinh_rgb(planes: NDArray[np.float32], limits: NDArray[np.float32], softening: float) -> NDArray[np.float32]:
    """Each plane by itself between two limits, shape (3, H, W), 0 to 1.

    C = asinh(x / a) / asinh(1 / a) with x = (P - low) / (high - low), clipped to [0, 1], and a the softening: 1 is
    nearly linear, 0.01 lifts the faint.

    Parameters
    ----------
    limits
        Shape (3, 2), low and high of each plane.
    """
    low, high = limits[:, 0, None, None], limits[:, 1, None, None]
    share = _clipped((planes - low) / (high - low))
    return _asinh(share / np.float32(softening), bent=1 / softening > BENT) / np.float32(math.asinh(1 / softening))


def find_limits(planes: NDArray[np.float32], stretch: Stretch) -> NDArray[np.float32]:
    """Low and high of each plane, shape (3, 2): those of the configuration, or the image's own.

    ``percentile`` takes percentiles of the pixels with data; ``zscale`` the interval of IRAF's display task, as
    `astropy.visualization.ZScaleInterval` finds it.
    """
    numbers = stretch.numbers
    if stretch.name == "zscale":
        # A process that reads images starts in half the time without it.
        from astropy.visualization import ZScaleInterval
    limits = np.empty((3, 2), np.float32)
    for place, plane in enumerate(planes):
        known = plane[np.isfinite(plane) & (plane != 0)] if stretch.name != "asinh" else plane[:0]
        if stretch.name == "asinh":
            limits[place] = numbers["low"], numbers["high"]
        elif known.size == 0:
            limits[place] = 0, 1
        elif stretch.name == "percentile":
            limits[place] = np.percentile(known, [numbers["low"], numbers["high"]])
        else:
            limits[place] = ZScaleInterval(contrast=numbers["contrast"]).get_limits(known)
    # A flat plane has no interval of its own.
    flat = ~(limits[:, 1] > limits[:, 0])
    limits[flat, 1] = limits[flat, 0] + np.maximum(np.abs(limits[flat, 0]), 1)
    return limits


def to_rgb(flux: NDArray[np.float32], bands: Sequence[str], stretch: Stretch) -> NDArray[np.uint8]:
    """A picture of the flux; pixels that are not finite count as no flux, or as the low limit where there is one.

    Parameters
    ----------
    flux
        Shape (B, H, W), nanomaggies.
    bands
        Names of the B bands.
    stretch
        Which function, with its numbers.

    Returns
    -------
    Shape (H, W, 3), red first; rows in the order of `flux`.
    """
    with np.errstate(all="ignore"):
        planes = colour_planes(flux, bands, stretch)
        if stretch.name in ("legacy_survey", "lupton"):
            _fill(planes, np.zeros(3, np.float32))
            function = legacy_survey_rgb if stretch.name == "legacy_survey" else lupton_rgb
            colour = function(planes, **stretch.numbers)
        else:
            limits = find_limits(planes, stretch)
            _fill(planes, limits[:, 0])
            colour = asinh_rgb(planes, limits, stretch.numbers["softening"])
        colour *= 255
        # Extreme flux overflows: it is not a number, and becomes black.
        if math.isnan(colour.max()):
            colour[np.isnan(colour)] = 0
        return colour.astype(np.uint8).transpose(1, 2, 0)


def _fill(planes: NDArray[np.float32], values: NDArray[np.float32]) -> None:
    """Put a value into the pixels of each plane that are not finite."""
    # The extremes tell that there is none, as a rule.
    if math.isfinite(planes.max()) and math.isfinite(planes.min()):
        return
    for plane, value in zip(planes, values, strict=True):
        plane[~np.isfinite(plane)] = value


def _mean(planes: Sequence[NDArray[np.float32]] | NDArray[np.float32]) -> NDArray[np.float32]:
    total: NDArray[np.float32] = planes[0] + planes[1]
    total += planes[2]
    total *= np.float32(1 / 3)
    return total


def _asinh(values: NDArray[np.float32], *, bent: bool) -> NDArray[np.float32]:
    """asinh of values from 0; of a curve that bends as log(x + sqrt(x x + 1)), which processors do many at a time.

    Of small x that sum keeps few digits, and a stretch that hardly bends is made of them alone.
    """
    if not bent:
        return np.arcsinh(values)
    root = values * values
    root += 1
    np.sqrt(root, out=root)
    root += values
    np.log(root, out=root)
    return root


def _clipped(values: NDArray[np.float32]) -> NDArray[np.float32]:
    np.clip(values, 0, 1, out=values)
    return values
