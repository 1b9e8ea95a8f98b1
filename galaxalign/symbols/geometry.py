"""The shapes of galaxies as numbers: what a symbol draws and what a rendered galaxy shines.

One `Geometry` describes one shape.  `drawing` is the schematic pen that turns it into vectors,
`rendering` the pen that turns it into flux; both take the same numbers, so that a symbol and the
galaxies rendered from it agree.  Lengths are in units of the galaxy's outer radius, angles in
degrees, measured as on a picture of the sky: x to the right, y up, angles anticlockwise.  The major
axis lies along x; a pen turns the whole shape afterwards.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """One galaxy's shape; what is 0 is absent.

    A spiral arm follows theta(r) = theta_0 + hand * ln(r / r_0) / tan(pitch).  With hand = +1 an arm
    turns anticlockwise outwards, so that trailing arms rotate clockwise: the "Z" of Galaxy Zoo 1
    (Land et al. 2008, MNRAS 388, 1686), its class "clockwise".
    """

    # The main body: a smooth spheroid (disk = 0) or a disk.
    axis_ratio: float = 1.0  # minor over major axis as seen
    disk: float = 0.0  # share of the body's light in a disk; 0 spheroid, 1 pure disk
    edge_on: bool = False  # a disk seen from the side; axis_ratio is then its thickness
    # The bulge of a disk.
    bulge: float = 0.0  # share of the light, 0 to 1
    bulge_radius: float = 0.0
    bulge_boxy: float = 0.0  # 0 round, 1 box
    # Structure in the disk.
    arms: int = 0
    hand: int = 1  # +1 or -1, see above; the sense of tails too
    pitch: float = 0.0  # degrees, small is tight
    arm_width: float = 0.0
    arm_strength: float = 0.0  # of arms and ring: 0 none, 1 the disk shines in them alone
    bar: float = 0.0  # half length; the arms start at its ends
    bar_width: float = 0.0
    ring: float = 0.0  # radius
    dust: float = 0.0  # strength of a dark lane along the major axis
    # Oddities.
    disturbed: float = 0.0  # how far the halves of a broken disk slid along the major axis
    clumps: int = 0  # bright knots of an irregular body
    companion: float = 0.0  # light of a second galaxy over that of the first, alike in shape
    companion_distance: float = 0.0  # between the two centres
    tails: int = 0  # tidal tails, one a galaxy, away from the other
    tail_length: float = 0.0
    arc: float = 0.0  # radius of a gravitationally lensed arc
    spikes: int = 0  # diffraction spikes of a star
    companion_angle: float = 0.0  # degrees from the major axis to the second galaxy
    arrangement: int = 0  # which of the random arrangements the clumps lie in: a seed
    unsure: bool = False  # nobody can tell: the drawing carries a question mark, a galaxy does not


@dataclass(frozen=True, kw_only=True)
class Symbol:
    """A named shape.

    Attributes
    ----------
    title : what a plate writes beneath it.
    answer : the Galaxy Zoo answer it stands for, as ``question/answer``.
    geometry : its nominal shape, which the schematic pen draws.
    free : for each parameter that the class leaves free, the range that variants are drawn from.
    handed : whether its mirror image means something else.
    """

    name: str
    title: str
    answer: str
    geometry: Geometry
    free: dict[str, tuple[float, float]]
    handed: bool = False

    def vary(self, generator: np.random.Generator) -> Geometry:
        """A shape of this symbol's kind.

        Each free parameter is uniform in its range (both ends may occur), and arms and tails turn
        either way unless the hand is what the symbol means.
        """
        changes: dict[str, float | int] = {}
        for parameter, (low, high) in self.free.items():
            kind = type(getattr(self.geometry, parameter))
            changes[parameter] = (
                int(generator.integers(int(low), int(high) + 1)) if kind is int else float(generator.uniform(low, high))
            )
        if (self.geometry.arms or self.geometry.tails) and not self.handed:
            changes["hand"] = int(generator.choice([-1, 1]))
        return replace(self.geometry, **changes)  # type: ignore[arg-type]


def knots(geometry: Geometry) -> NDArray[np.float64]:
    """Where the clumps of an irregular body lie: (clumps, 3) of x, y and radius, in the body's plane.

    The golden angle keeps them apart, so that as many are seen as there are; `arrangement` seeds the rest.
    """
    generator = np.random.default_rng(geometry.arrangement)
    golden = np.pi * (3 - np.sqrt(5))
    turns = golden * np.arange(geometry.clumps) + generator.uniform(0, 2 * np.pi)
    spread = np.sqrt((np.arange(geometry.clumps) + 0.6) / max(geometry.clumps, 1))
    distance = 0.72 * spread * generator.uniform(0.85, 1.15, geometry.clumps)
    radius = generator.uniform(0.13, 0.24, geometry.clumps)
    return np.stack([distance * np.cos(turns), distance * np.sin(turns), radius], axis=1)


def ragged(geometry: Geometry, angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Outer radius of an irregular body in each direction (radians), as given by its `arrangement`."""
    generator = np.random.default_rng([geometry.arrangement, 1])
    waves = np.arange(2, 6)
    phases = generator.uniform(0, 2 * np.pi, waves.size)
    heights = generator.uniform(0.08, 0.2, waves.size) / np.sqrt(waves / 2)
    return 0.85 + np.asarray(np.cos(waves * angles[:, None] + phases) @ heights)
