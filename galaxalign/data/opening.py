"""Whether a file can be opened, told by flags."""

import os
import stat
from pathlib import Path

from galaxalign.data.flags import BadImage


def readable(path: Path, missing: str = "missing_file") -> Path:
    """The path of a file that can be opened and has bytes; raises `BadImage` (`missing`, or empty_file) else."""
    try:
        found = path.stat()
    except FileNotFoundError as error:
        raise BadImage(missing, str(path)) from error
    except (OSError, ValueError) as error:
        raise BadImage(missing, f"{path} cannot be opened: {error}") from error
    if not stat.S_ISREG(found.st_mode):
        raise BadImage(missing, f"{path} is no file")
    if found.st_size == 0:
        raise BadImage("empty_file", str(path))
    if not os.access(path, os.R_OK):
        raise BadImage(missing, f"{path} cannot be opened: no permission")
    return path
