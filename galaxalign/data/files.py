"""Whether the files of galaxies are there and inside their folder, without opening any."""

import errno
import os
import stat
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from galaxalign.data.locators import source_files
from galaxalign.data.marks import Marks

# Files and folders whose verdict is remembered: rows of one HDF5 file, files of one folder.
REMEMBERED = 4096


def check_files(sources: Sequence[str], bands: Sequence[str], root: Path | None, marks: Marks) -> None:
    """Flag galaxies whose files are missing, or lie outside the folder that they must be in.

    Parameters
    ----------
    sources
        Locators, see `readers`, (N,).
    bands
        What ``{band}`` in a locator stands for.
    root
        The folder that all files must be in once links are followed; None for files that the configuration names.
    marks
        Of N galaxies; those with a flag are left alone.
    """
    judge = lru_cache(REMEMBERED)(_Judge(root).judge)
    for row in map(int, np.flatnonzero(marks.good)):
        names = source_files(sources[row], bands)
        verdicts = [(flag, name) for name in names if (flag := judge(name))]
        if not verdicts:
            continue
        flag, name = verdicts[0]
        if flag == "missing_file" and len(verdicts) < len(names):
            flag = "missing_band"
        marks.flag[row], marks.reason[row] = flag, _REASONS[flag].format(name=name.replace("\0", "\\0"), root=root)


_REASONS = {
    "missing_file": "there is no {name}",
    "missing_band": "there is no {name}",
    "outside_root": "{name} leads outside {root}",
    "link_loop": "{name} is a symbolic link that leads to itself",
}


class _Judge:
    """The verdict on a file: one look at the file, one at each folder."""

    def __init__(self, root: Path | None) -> None:
        self._root = None if root is None else os.path.realpath(root)
        self._inside = lru_cache(REMEMBERED)(self._is_inside)

    def judge(self, name: str) -> str:
        """A flag, or "" where the file is there."""
        try:
            if not self._inside(name[: name.rfind("/") + 1]):
                return "outside_root"
            mode = os.lstat(name).st_mode
            if stat.S_ISLNK(mode):
                target = os.path.realpath(name, strict=True)
                if not self._inside(target[: target.rfind("/") + 1]):
                    return "outside_root"
                mode = os.lstat(target).st_mode
        except OSError as error:
            return "link_loop" if error.errno == errno.ELOOP else "missing_file"
        except ValueError:
            # A name that no file can have, such as one with a zero byte.
            return "missing_file"
        return "" if stat.S_ISREG(mode) else "missing_file"

    def _is_inside(self, folder: str) -> bool:
        if self._root is None:
            return True
        real = os.path.realpath(folder)
        return real == self._root or real.startswith(self._root.rstrip("/") + "/")
