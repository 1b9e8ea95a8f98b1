"""Names of tile files: patterns with wild cards, and the tiles whose files fit them."""

import glob
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

BAND = "{band}"
_WILD = re.compile(r"(\*\*/|\*\*|\*|\?)")


def find_tiles(pattern: str, bands: Sequence[str]) -> dict[str, dict[str, str]]:
    """Tiles and their files: locator, with ``{band}`` left in it, to band to path; the band of a cube is "".

    Parameters
    ----------
    pattern
        Path with ``*`` (within a folder), ``**`` (across folders, each once), ``?``, and ``{band}`` where each band
        is a file.
    bands
        What ``{band}`` stands for.
    """
    tiles: dict[str, dict[str, str]] = defaultdict(dict)
    for band in bands if BAND in pattern else ("",):
        wild = _expression(pattern, band)
        for path in sorted(_paths(pattern, band)):
            if match := wild.fullmatch(path):
                tiles[_locator(pattern, match.groups())][band] = path
    return dict(sorted(tiles.items()))


def has_tile(pattern: str, band: str) -> bool:
    """Whether there is any file of a band."""
    return next(_paths(pattern, band), None) is not None


def _paths(pattern: str, band: str) -> Iterator[str]:
    # Not Path.glob, which writes paths anew: a locator keeps the pattern's own text.
    plain = pattern.replace("[", "[[]").replace(BAND, glob.escape(band))
    head, deep, _ = plain.partition("**")
    if not deep:
        yield from glob.iglob(plain)  # noqa: PTH207
        return
    wild, folder = _expression(pattern, band), head.rpartition("/")[0]
    for start in glob.iglob(folder) if folder else ("/" if head else ".",):  # noqa: PTH207
        for path in _files_below(start):
            found = path if folder or head else path.removeprefix("./")
            if wild.fullmatch(found):
                yield found


def _files_below(start: str) -> Iterator[str]:
    """Files of a folder and of those in it, also behind links, but each folder once: links may lead in circles.

    Names that begin with a point are hidden, as for a shell.
    """
    seen: set[str] = set()
    folders, links = [start], list[str]()
    while folders or links:
        # A folder goes by its own name rather than by a link's.
        folder = folders.pop() if folders else links.pop()
        real = os.path.realpath(folder)
        if real in seen or not os.access(folder, os.R_OK | os.X_OK):
            continue
        seen.add(real)
        for entry in os.scandir(folder):
            path = f"{folder.rstrip('/')}/{entry.name}"
            if entry.name.startswith("."):
                continue
            if _is_folder(entry):
                (links if entry.is_symlink() else folders).append(path)
            else:
                yield path


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    """Whether an entry is a folder; a link that leads to itself, or nowhere, is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _expression(pattern: str, band: str) -> re.Pattern[str]:
    """The regular expression of a pattern's paths, a group for each of its wild cards."""
    kinds = {"**/": "((?:[^/]+/)*)", "**": "(.*)", "*": "([^/]*)", "?": "([^/])"}
    parts = _WILD.split(pattern.replace(BAND, "\0"))
    return re.compile("".join(kinds.get(part) or re.escape(part).replace("\0", re.escape(band)) for part in parts))


def _locator(pattern: str, found: Sequence[str]) -> str:
    """A pattern with what its wild cards stand for."""
    words = iter(found)
    return _WILD.sub(lambda match: next(words), pattern)
