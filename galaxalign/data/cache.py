"""Files that were fetched, kept by what was asked for and verified by what they hold."""

import hashlib
import logging
import os
import time
from contextlib import suppress
from pathlib import Path

logger = logging.getLogger(__name__)

# Seconds after which an unfinished file is of a process that is gone.
_ABANDONED = 3600


class Cache:
    """A folder of bodies, each under the digest of its request, its name ending in the digest of its bytes.

    Content and checksum arrive by one renaming, so that a process that is killed leaves a whole file or none. Several
    processes may share a folder.
    """

    def __init__(self, folder: Path, suffix: str) -> None:
        """Make the folder, and clear away what processes that were killed had begun.

        Parameters
        ----------
        folder
            Where files are kept.
        suffix
            Of the files, such as ``.fits``.
        """
        self.folder, self.suffix = folder, suffix
        self._partial = folder / "partial"
        self._partial.mkdir(parents=True, exist_ok=True)
        for path in self._partial.iterdir():
            # Another process may have renamed it by now.
            with suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > _ABANDONED:
                    path.unlink()

    def find(self, request: str) -> Path | None:
        """The file of a request, if there is one that holds what its name says; another is removed."""
        place, key = self._place(request)
        for path in sorted(place.glob(f"{key}-*{self.suffix}")):
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                # Another process has found it damaged.
                continue
            if _name(key, content) == path.stem:
                return path
            logger.warning("%s is damaged and was removed", path)
            path.unlink(missing_ok=True)
        return None

    def keep(self, request: str, body: bytes) -> Path:
        """Keep the body of a request's answer; its file."""
        place, key = self._place(request)
        place.mkdir(parents=True, exist_ok=True)
        path = place / f"{_name(key, body)}{self.suffix}"
        part = self._partial / f"{key}-{os.getpid()}"
        part.write_bytes(body)
        part.replace(path)
        return path

    def _place(self, request: str) -> tuple[Path, str]:
        """The folder and the digest of a request; folders of a few files each, so that finding one stays fast."""
        key = hashlib.sha256(request.encode()).hexdigest()[:32]
        return self.folder / key[:2] / key[2:4], key


def _name(key: str, content: bytes) -> str:
    return f"{key}-{hashlib.sha256(content).hexdigest()}"
