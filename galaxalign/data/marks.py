"""What is wrong with single galaxies, gathered while a catalogue is read: the first flag and reason of each."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray


class Marks:
    """A flag and a reason for each of N galaxies, both empty while nothing is wrong.

    Attributes
    ----------
    flag, reason : texts, (N,); the flag a key of `flags.MEANINGS`.
    """

    def __init__(self, rows: int) -> None:
        """Nothing is wrong with so many galaxies."""
        self.flag: NDArray[np.object_] = np.full(rows, "", dtype=object)
        self.reason: NDArray[np.object_] = np.full(rows, "", dtype=object)

    @property
    def good(self) -> NDArray[np.bool_]:
        """Galaxies with nothing wrong, (N,)."""
        good: NDArray[np.bool_] = self.flag == ""
        return good

    def add(self, bad: NDArray[np.bool_], flag: str, reason: Callable[[int], str]) -> None:
        """Flag the galaxies `bad` (N,) that have no flag yet; `reason` says why of a row."""
        for row in map(int, np.flatnonzero(bad & self.good)):
            self.flag[row] = flag
            self.reason[row] = " ".join(reason(row).split())
