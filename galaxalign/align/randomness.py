"""Random draws that depend on nothing but a seed and the place in training where they are made.

No generator lives longer than what it is drawn for, so a job that goes on from a saved step, or shares its
batch among processes, draws the same numbers as one that ran through alone.
"""

from enum import IntEnum

import numpy as np
import torch


class Purpose(IntEnum):
    """What is drawn; no two purposes share a stream."""

    ORDER = 1
    GALAXIES = 2
    SYMBOLS = 3
    TEXTS = 4
    PLACEMENT = 5


def seed_for(purpose: Purpose, *place: int) -> int:
    """A seed for a purpose at a place in training, such as (seed, stage, step).

    The length of the place is part of it: numpy takes (1, 2) and (1, 2, 0) for the same.
    """
    sequence = np.random.SeedSequence([purpose, len(place), *place])
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))


def generator_for(device: torch.device | str, purpose: Purpose, *place: int) -> torch.Generator:
    """A fresh generator on a device for a purpose at a place in training."""
    return torch.Generator(device).manual_seed(seed_for(purpose, *place))
