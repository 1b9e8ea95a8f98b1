"""Galaxies as a survey's selection finds them: how bright, how large, in which colours."""

from dataclasses import dataclass

import numpy as np

from galaxalign.symbols.appearance import Appearance
from galaxalign.symbols.geometry import Geometry

# Magnitude at which radii are given.
PIVOT = 16.0


@dataclass(frozen=True, kw_only=True)
class Population:
    """Distributions that appearances are drawn from.

    Attributes
    ----------
    brightest, faintest : total magnitude in the reference band.
    counts : their number grows with magnitude m as 10^(counts m).
    radius : arcsec, median outer radius of a galaxy of magnitude 16.
    radius_slope, radius_scatter : change of log10(radius) with magnitude, and its standard deviation.
    old, young : colours of old and of young stars in each band: magnitude over that in the reference band.
    colour_scatter : galaxies redder or bluer than that: standard deviation of the factor on the colours.
    blue_smooth : share of the smooth galaxies that are blue.
    off_centre : arcsec, standard deviation of a galaxy's place about the centre of its frame.
    ranges : for each number of an Appearance that is not drawn otherwise, the range it is uniform in.
    """

    brightest: float
    faintest: float
    counts: float
    radius: float
    radius_slope: float
    radius_scatter: float
    old: tuple[float, ...]
    young: tuple[float, ...]
    colour_scatter: float
    blue_smooth: float
    off_centre: float
    ranges: dict[str, tuple[float, float]]

    def draw(self, geometry: Geometry, generator: np.random.Generator) -> Appearance:
        """One galaxy of the population."""
        low, high = 10 ** (self.counts * self.brightest), 10 ** (self.counts * self.faintest)
        magnitude = float(np.log10(generator.uniform(low, high)) / self.counts)
        mean = np.log10(self.radius) + self.radius_slope * (magnitude - PIVOT)
        stars = np.array([self.old, self.young])
        smooth = geometry.disk < 0.5 and not geometry.edge_on
        if smooth and generator.uniform() < self.blue_smooth:
            stars[0] = stars.mean(axis=0)
        old, young = magnitude + stars * (1 + self.colour_scatter * generator.normal(size=(2, 1)))
        x, y = self.off_centre * generator.normal(size=2)
        return Appearance(
            radius=float(10 ** generator.normal(mean, self.radius_scatter)),
            x=float(x),
            y=float(y),
            angle=float(generator.uniform(0, 360)),
            phase=float(generator.uniform(0, 360)) if geometry.arms or geometry.bar else 0.0,
            old=tuple(map(float, old)),
            young=tuple(map(float, young)),
            **{name: float(generator.uniform(*ends)) for name, ends in self.ranges.items()},
        )
