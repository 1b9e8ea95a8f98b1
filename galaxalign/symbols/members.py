"""Galaxies one by one, companions included, as numbers that a device computes with."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from operator import attrgetter

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from galaxalign.symbols.appearance import Appearance
from galaxalign.symbols.geometry import Geometry

# Fields that are numbers.
_SHAPE = [field.name for field in fields(Geometry)]
_LOOK = [field.name for field in fields(Appearance) if field.name not in ("old", "young")]
_ANGLES = ("angle", "phase", "tail_angle", "pitch")

# Some of the galaxies: their numbers, or a slice where they follow one another, which spares the copies that picking
# out needs.
Rows = list[int] | slice


@dataclass(frozen=True)
class Parameters:
    """Numbers of N galaxies by name.

    Attributes
    ----------
    columns : where each name is.
    known : (names, N) on the host, so that asking who has what never waits for a device.
    values : (names, N, 1, 1), the same where the work is done.
    """

    columns: dict[str, int]
    known: NDArray[np.float32]
    values: Tensor

    @classmethod
    def on(cls, device: torch.device, numbers: dict[str, Tensor]) -> "Parameters":
        """Parameters from numbers (N,) of the host."""
        known = torch.stack(list(numbers.values()))
        columns = {name: column for column, name in enumerate(numbers)}
        return cls(columns, known.numpy(), known.to(device)[..., None, None])

    def __getitem__(self, name: str) -> Tensor:
        """One number of each galaxy, (N, 1, 1)."""
        return self.values[self.columns[name]]

    def __len__(self) -> int:
        """How many galaxies."""
        return int(self.known.shape[1])

    def having(self, *names: str) -> Rows:
        """The galaxies for which one of these numbers is above zero."""
        shown = (self.known[[self.columns[name] for name in names]] > 0).any(0)
        rows: list[int] = np.flatnonzero(shown).tolist()
        if len(rows) == len(self):
            return slice(None)
        return slice(rows[0], rows[-1] + 1) if rows and rows[-1] - rows[0] + 1 == len(rows) else rows

    def of(self, rows: Rows) -> "Parameters":
        """Those of some of the galaxies."""
        if rows == slice(None):
            return self
        return Parameters(self.columns, self.known[:, rows], self.values[:, rows])


@dataclass(frozen=True)
class Members:
    """Single galaxies: all first ones, then the companions of those that have one.

    Attributes
    ----------
    shapes, looks : of each.
    tails : degrees from its major axis to the direction that the tail of each leaves in.
    pairs : whose companion the later ones are.
    """

    shapes: list[Geometry]
    looks: list[Appearance]
    tails: list[float]
    pairs: list[int]

    def numbers(self) -> dict[str, Tensor]:
        """Fields of shapes and looks as numbers (N,) of the host, but the magnitudes; angles in radians."""
        pairs = zip(self.shapes, self.looks, strict=True)
        table = [(*attrgetter(*_SHAPE)(shape), *attrgetter(*_LOOK)(look)) for shape, look in pairs]
        columns = dict(zip([*_SHAPE, *_LOOK], torch.tensor(np.array(table, dtype=np.float32).T), strict=True))
        columns["tail_angle"] = torch.tensor(self.tails)
        return columns | {name: torch.deg2rad(columns[name]) for name in _ANGLES}


def members_of(
    geometries: Sequence[Geometry], appearances: Sequence[Appearance], chance: Sequence[Sequence[float]]
) -> Members:
    """Galaxies and their companions; `chance`, two of 0 to 1 for each, says from where a companion is seen."""
    shapes = [replace(geometry, tails=min(geometry.tails, 1)) for geometry in geometries]
    looks = list(appearances)
    tails = [geometry.companion_angle + 180 for geometry in geometries]
    pairs = [number for number, geometry in enumerate(geometries) if geometry.companion]
    for number in pairs:
        geometry, look = geometries[number], appearances[number]
        shape, aspect = _companion(geometry, look, *chance[number])
        shapes.append(shape)
        looks.append(aspect)
        tails.append(geometry.companion_angle + look.angle - aspect.angle)
    return Members(shapes, looks, tails, pairs)


def alike(geometries: Sequence[Geometry]) -> list[int]:
    """The order that brings galaxies of the same components together."""
    numbers = attrgetter(*_SHAPE)
    return sorted(range(len(geometries)), key=lambda place: [number != 0 for number in numbers(geometries[place])])


def _companion(geometry: Geometry, look: Appearance, turn: float, tilt: float) -> tuple[Geometry, Appearance]:
    """The second galaxy of a pair: alike in shape, seen from elsewhere."""
    direction = math.radians(geometry.companion_angle + look.angle)
    distance = geometry.companion_distance * look.radius
    dimmer = -2.5 * math.log10(geometry.companion)
    shape = replace(geometry, companion=0.0, tails=max(geometry.tails - 1, 0), axis_ratio=0.4 + 0.6 * tilt)
    return shape, replace(
        look,
        radius=look.radius * math.sqrt(geometry.companion),
        x=look.x + distance * math.cos(direction),
        y=look.y + distance * math.sin(direction),
        angle=look.angle + 180 * turn,
        old=tuple(m + dimmer for m in look.old),
        young=tuple(m + dimmer for m in look.young),
    )
