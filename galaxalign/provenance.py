"""What a result was made by."""

import hashlib
import re
from functools import lru_cache
from pathlib import Path

PACKAGE = Path(__file__).parent
# Modules that speak but do not shape a result: an edit to them re-runs nothing.
SILENT = {"errors", "logs", "provenance"}
# Files up to so many bytes are read to tell whether they are others.
SMALL = 2_000_000
# An import from the package, its names on one line or in brackets.
IMPORT = re.compile(rf"^[ \t]*from {PACKAGE.name}\.?([\w.]*) import (\([^)]*\)|.*)", re.MULTILINE)


def code(*modules: str) -> str:
    """Digest of library modules and of every library module that they import.

    Snakemake re-runs a rule when its script changes, not when a module that the
    script imports does; a rule that carries this digest as a parameter re-runs then too.

    Parameters
    ----------
    modules
        Dotted names inside the package, such as ``"align.train"``.

    Returns
    -------
    Twelve hexadecimal digits.
    """
    sources: dict[str, bytes] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        path = PACKAGE / (name.replace(".", "/") + ".py")
        if name in sources or name in SILENT or not path.exists():
            continue
        sources[name] = path.read_bytes()
        waiting.extend(_imports(sources[name]))
    missing = [name for name in modules if name not in sources and name not in SILENT]
    if missing:
        raise ValueError(f"no such library module: {', '.join(missing)}")
    ordered = b"".join(sources[name] for name in sorted(sources))
    return hashlib.sha256(ordered).hexdigest()[:12]


@lru_cache(maxsize=1024)
def _imports(source: bytes) -> tuple[str, ...]:
    """Names in the package that a module imports anywhere, those of modules among them.

    By pattern, for every job asks: parsing all modules takes forty times as long.
    """
    found: list[str] = []
    for parent, names in IMPORT.findall(source.decode()):
        found += [parent, *(f"{parent}.{name}".lstrip(".") for name in re.findall(r"\w+", names))]
    return tuple(found)


def digest(path: Path) -> str:
    """Twelve hexadecimal digits of the SHA256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


def content_mark(path: Path) -> str:
    """Digest of a small file, size and time of change of a large one; "" where there is none.

    A file that another takes the place of may keep an older time, which no comparison of times notices.
    """
    if not path.is_file():
        return ""
    found = path.stat()
    return digest(path) if found.st_size <= SMALL else f"{found.st_size} {found.st_mtime_ns}"
