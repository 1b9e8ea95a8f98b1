"""The hand of a spiral in a picture, measured without any code of the library."""

import numpy as np
from numpy.typing import NDArray

PITCHES = np.arange(10.0, 40.0, 3.0)


def measured_hand(picture: NDArray[np.float64], arms: tuple[int, ...] = (2,)) -> float:
    """How much better log spirals of hand +1 fit than those of hand -1: from -1 to 1.

    Parameters
    ----------
    picture
        (n, n), row 0 at the top, the galaxy in the middle.
    arms
        Numbers of arms that are tried.
    """
    side = len(picture)
    radius = np.geomspace(0.12, 0.9, 48) * side / 2
    theta = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    columns = np.round((side - 1) / 2 + np.outer(radius, np.cos(theta))).astype(int)
    # The picture's rows count downwards, angles anticlockwise with y up.
    rows = np.round((side - 1) / 2 - np.outer(radius, np.sin(theta))).astype(int)
    rings = picture[rows.clip(0, side - 1), columns.clip(0, side - 1)]
    rings = (rings - rings.mean(axis=1, keepdims=True)) / (rings.std(axis=1, keepdims=True) + 1e-9)
    harmonics = np.fft.fft(rings, axis=1)
    turns = np.log(radius) / np.tan(np.radians(PITCHES))[:, None]
    # Light along theta = theta_0 + hand ln(r) / tan(pitch) has the phase -m theta in harmonic m.
    power = {
        hand: sum((np.abs((harmonics[:, m] * np.exp(1j * m * hand * turns)).sum(axis=1)) ** 2).sum() for m in arms)
        for hand in (1, -1)
    }
    return float((power[1] - power[-1]) / (power[1] + power[-1]))
