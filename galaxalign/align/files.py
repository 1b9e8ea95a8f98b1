"""Files that are either whole or not there."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from galaxalign.errors import GalaxAlignError


def save_whole(path: Path, content: Mapping[str, Any]) -> None:
    """Write aside, force to the disk, rename: whatever happens, `path` is the old file or the new one.

    Raises
    ------
    GalaxAlignError
        There is no room; the file that was there is still whole.
    """
    aside = path.with_name(path.name + ".part")
    try:
        with aside.open("wb") as file:
            torch.save(dict(content), file)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except (OSError, RuntimeError) as error:
        aside.unlink(missing_ok=True)
        kept = "the one from before is whole" if path.exists() else "nothing was there before"
        raise GalaxAlignError(
            f"{path} cannot be written ({_reason(error)}): make room on that disk and run again; {kept}"
        ) from error


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error).splitlines()[0]
