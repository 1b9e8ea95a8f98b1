"""Random draws that depend on nothing but a seed and the place in training where they are made.

No generator lives longer than what it is drawn for, so a job that goes on from a saved step, or shares its
batch among processes, draws the same numbers as one that ran through alone.
"""

import numpy as np
import torch


def seed_for(*place: int) -> int:
    """A seed for a place in training, such as (seed, stage, step)."""
    return int(np.random.SeedSequence(place).generate_state(1, np.uint64)[0] >> np.uint64(1))


def generator_for(device: torch.device | str, *place: int) -> torch.Generator:
    """A fresh generator on a device for a place in training."""
    return torch.Generator(device).manual_seed(seed_for(*place))
