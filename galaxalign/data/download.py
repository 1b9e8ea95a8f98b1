"""One large file from the web: verified, resumed where it broke off, retried."""

import hashlib
import http.client
import logging
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

from galaxalign.errors import GalaxAlignError
from galaxalign.logs import progress

logger = logging.getLogger(__name__)

CHUNK = 2**20
SECONDS_OF_SILENCE = 60
# Answers that may be others a little later.
PASSING = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}


class _BrokenOff(Exception):
    """A transfer that may be taken up again."""


def download(*, url: str, sha256: str, path: Path, attempts: int, pause: float) -> None:
    """Fetch a file; what a broken transfer brought stays in ``{path}.part`` and is continued, also by a later call.

    Parameters
    ----------
    url
        Where it lies.
    sha256
        Its checksum, 64 hexadecimal digits, either case.
    path
        Where it goes, once complete and verified.
    attempts
        How many in a row may bring nothing.
    pause
        Seconds before the second attempt; doubled before each further one.

    Raises
    ------
    GalaxAlignError
        No transfer, or another checksum; then the file is removed.
    """
    part = path.with_name(path.name + ".part")
    failures = 0
    while True:
        before = _size(part)
        try:
            _transfer(url, part)
            break
        except _BrokenOff as error:
            failures = failures + 1 if _size(part) == before else 1
            logger.info("%s broke off after %d bytes: %s", url, _size(part), error)
            if failures >= attempts:
                raise GalaxAlignError(
                    f"{url} broke off {attempts} times in a row ({error}); {_size(part)} bytes are kept in {part}: "
                    "run again to continue, or fetch the file yourself and name its path"
                ) from error
            time.sleep(pause * 2 ** (failures - 1))
    found = _digest(part)
    if found != sha256.lower():
        part.unlink()
        raise GalaxAlignError(
            f"{url} has SHA256 {found}, not {sha256.lower()}; it was removed: "
            "run again, and if that fails too correct `url` or `sha256`"
        )
    part.replace(path)


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _transfer(url: str, part: Path) -> None:
    """Bring what `part` lacks, or raise `_BrokenOff`."""
    have = _size(part)
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(request, timeout=SECONDS_OF_SILENCE) as response:
            # A server that does not know ranges sends the whole file again.
            continues = response.status == HTTPStatus.PARTIAL_CONTENT
            coming = response.headers.get("Content-Length")
            missing = int(coming) if coming else None
            with part.open("ab" if continues else "wb") as file:
                for chunk in progress(_chunks(response), total=(missing or 0) // CHUNK, what="download", unit="MiB"):
                    missing = missing - len(chunk) if missing is not None else None
                    file.write(chunk)
    except urllib.error.HTTPError as error:
        if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            # Nothing is left to bring; the checksum tells whether that is well.
            return
        if error.code >= HTTPStatus.INTERNAL_SERVER_ERROR or error.code in PASSING:
            raise _BrokenOff(f"the server answers {error.code}") from error
        raise GalaxAlignError(f"{url} cannot be fetched, the server answers {error.code}: correct `url`") from error
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenOff(str(error) or type(error).__name__) from error
    if missing:
        raise _BrokenOff(f"{missing} bytes are missing")


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    while chunk := response.read(CHUNK):
        yield chunk


def _digest(part: Path) -> str:
    with part.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
