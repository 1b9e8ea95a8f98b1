"""Flux to colour: the Legacy Survey viewer's function and astropy's Lupton function, named and recorded.

Both map three colour planes to a picture; each plane is a weighted sum of bands, so that two bands
or five make a picture as three do.  Which function and which numbers made a picture travels with it
as a `Stretch`, in the store and in every model trained from the store.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from astropy.visualization import make_lupton_rgb
from numpy.typing import NDArray

from galaxalign.errors import GalaxAlignError, nearest

# In the order of a picture's last axis.
COLOURS = ("red", "green", "blue")
STRETCHES = ("legacy_survey", "lupton")


@dataclass(frozen=True, kw_only=True)
class LegacySurvey:
    """Parameters of the Legacy Survey viewer's function, see `legacy_survey_rgb`."""

    m: float
    Q: float


@dataclass(frozen=True, kw_only=True)
class Lupton:
    """Parameters of `astropy.visualization.make_lupton_rgb`."""

    stretch: float
    Q: float
    minimum: float


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """How flux becomes colour.

    Attributes
    ----------
    name : ``legacy_survey`` or ``lupton``.
    colours : for red, green and blue, the weight of each band in that plane (flux in nanomaggies), none 0.
    legacy_survey, lupton : the parameters of both functions; only the named one's are used.
    """

    name: str
    colours: Mapping[str, Mapping[str, float]]
    legacy_survey: LegacySurvey
    lupton: Lupton

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
        return cls(
            name=name,
            colours=colours,
            legacy_survey=LegacySurvey(**{k: float(v) for k, v in settings["legacy_survey"].items()}),
            lupton=Lupton(**{k: float(v) for k, v in settings["lupton"].items()}),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain maps and numbers, for JSON."""
        return asdict(self)

    @property
    def bands(self) -> tuple[str, ...]:
        """The bands that the colours are made of, blue first."""
        return tuple(dict.fromkeys(band for colour in reversed(COLOURS) for band in self.colours[colour]))


def colour_planes(flux: NDArray[np.float32], bands: Sequence[str], stretch: Stretch) -> NDArray[np.float32]:
    """Weighted sums of the bands, shape (3, H, W), red first; pixels that are not finite count as no flux.

    Raises `GalaxAlignError` where a colour needs a band that is not there.
    """
    missing = [band for band in stretch.bands if band not in bands]
    if missing:
        raise GalaxAlignError(
            f"data.stretch.colours needs band {missing[0]!r}, but the image has {', '.join(bands)}: "
            "change the colours, or list the bands in data.bands"
        )
    weights = np.array([[stretch.colours[c].get(band, 0.0) for band in bands] for c in COLOURS], np.float32)
    known = np.where(np.isfinite(flux), flux, np.float32(0))
    planes: NDArray[np.float32] = np.tensordot(weights, known, axes=1)
    return planes


def legacy_survey_rgb(planes: NDArray[np.float32], *, m: float, Q: float) -> NDArray[np.float32]:
    """The Legacy Survey viewer's colours, shape (H, W, 3), 0 to 1.

    With P_c the scaled flux of plane c, I = mean_c max(0, P_c + m) and
    C_c = (P_c + m) asinh(Q I) / (sqrt(Q) I), clipped to [0, 1]; I = 0 is taken as 1e-6.
    The viewer's own planes are 2.2 z, 3.4 r and 6.0 g, with m = 0.03 and Q = 20.
    """
    raised = planes + np.float32(m)
    intensity = np.maximum(raised, 0).mean(axis=0)
    intensity[intensity == 0] = 1e-6
    colour = raised * (np.arcsinh(Q * intensity) / (np.sqrt(Q) * intensity))
    rgb: NDArray[np.float32] = np.clip(colour, 0, 1).astype(np.float32).transpose(1, 2, 0)
    return rgb


def to_rgb(flux: NDArray[np.float32], bands: Sequence[str], stretch: Stretch) -> NDArray[np.uint8]:
    """A picture of the flux.

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
    planes = colour_planes(flux, bands, stretch)
    if stretch.name == "lupton":
        lupton: NDArray[np.uint8] = make_lupton_rgb(*planes, **asdict(stretch.lupton))
        return lupton
    rgb = legacy_survey_rgb(planes, m=stretch.legacy_survey.m, Q=stretch.legacy_survey.Q)
    return (rgb * 255).astype(np.uint8)
