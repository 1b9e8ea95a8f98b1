"""What is wrong with single galaxies, gathered while a catalogue is read: the first flag and reason of each."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray


class Marks:
    """A flag and a reason for each of N galaxies, both empty while nothing is wrong.

    Attributes
    ----------
    flag, reason : texts, (N,); the flag a key of `flags.MEANINGS`.
    """

    def __init__(self, flag: NDArray[np.object_], reason: NDArray[np.object_]) -> None:
        """What is wrong already; both are changed in place."""
        self.flag = flag
        self.reason = reason

    @classmethod
    def none(cls, rows: int) -> "Marks":
        """Nothing is wrong with so many galaxies."""
        return cls(np.full(rows, "", dtype=object), np.full(rows, "", dtype=object))

    @classmethod
    def of(cls, galaxies: pd.DataFrame) -> "Marks":
        """What the columns flag and reason of a frame say, which stay as they are until `note` writes them."""
        return cls(galaxies["flag"].to_numpy(object, copy=True), galaxies["reason"].to_numpy(object, copy=True))

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

    def note(self, galaxies: pd.DataFrame) -> None:
        """Write the columns flag and reason of a frame."""
        galaxies["flag"], galaxies["reason"] = self.flag, self.reason
