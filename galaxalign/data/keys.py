"""What a picture is made of, as a key: same key, same picture, so that it need not be made again."""

import hashlib
import json
import os
from collections.abc import Sequence
from functools import lru_cache
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

from galaxalign.data.locators import source_files
from galaxalign.data.pictures import ImageRecipe
from galaxalign.provenance import code

# Libraries another version of which may make other bytes of the same image: a store is of one version throughout.
LIBRARIES = ("astropy", "numpy", "pillow", "reproject", "scipy", "simplejpeg")


def picture_keys(
    sources: Sequence[str], flags: Sequence[str], recipe: ImageRecipe, max_blank: float
) -> NDArray[np.uint64]:
    """Keys of pictures, shape (N, 2), 128 bits each.

    A key changes with the locator, with the size or the time of change of any file it names, with the recipe, with
    the code and the versions of the libraries that make pictures, and with whether the manifest has flagged the galaxy.

    Parameters
    ----------
    sources
        Locators, see `readers`.
    flags
        Of the manifest: what is flagged is not read.
    recipe, max_blank
        How images become pictures, see `pictures.make_picture`.
    """
    versions = [version(library) for library in LIBRARIES]
    made_by = json.dumps([recipe.to_dict(), max_blank, code("data.pictures"), versions], sort_keys=True)
    bands = recipe.stretch.bands
    # A tile holds many galaxies: its files are looked at once.
    state = lru_cache(maxsize=4096)(file_state)
    common = hashlib.blake2b(made_by.encode(), digest_size=16)
    digests = bytearray()
    for source, flag in zip(sources, flags, strict=True):
        files = [] if flag else [state(path) for path in source_files(source, bands)]
        own = common.copy()
        own.update("\0".join([source, flag, *files]).encode("utf-8", "surrogateescape"))
        digests += own.digest()
    return np.frombuffer(bytes(digests), "<u8").reshape(-1, 2)


def file_state(path: str) -> str:
    """Size and time of change of a file; the same text for all that are not there."""
    try:
        found = os.stat(path)  # noqa: PTH116 - a fifth of the time of `Path`, and there are many
    except OSError:
        return "absent"
    return f"{found.st_size} {found.st_mtime_ns}"
