"""Locators: texts that name an image by its file, its row in an HDF5 file, or its place in a tile; see `readers`."""

from collections.abc import Sequence

HDF5 = (".h5", ".hdf5")
CUT = "cut="


def split_locator(source: str) -> tuple[str, str]:
    """The file, and what stands behind the ``#``: a row of an HDF5 file, a cut from a tile, or nothing.

    Elsewhere # is a character of a file's name.

    >>> split_locator("a.h5#17"), split_locator("#3.jpg")
    (('a.h5', '17'), ('#3.jpg', ''))
    """
    path, mark, part = source.rpartition("#")
    return (path, part) if mark and (part.startswith(CUT) or path.lower().endswith(HDF5)) else (source, "")


def source_files(source: str, bands: Sequence[str]) -> list[str]:
    """The files that a locator names, one a band where it has ``{band}``."""
    path, _ = split_locator(source)
    return [path.replace("{band}", band) for band in bands] if "{band}" in path else [path]
