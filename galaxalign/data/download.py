"""One large file from the web: verified, resumed where it broke off, retried."""

import hashlib
import http.client
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from pathlib import Path

from galaxalign.data.web import Passing, Refused, answer
from galaxalign.errors import GalaxAlignError
from galaxalign.logs import progress

logger = logging.getLogger(__name__)

CHUNK = 2**20
# Checksums that sites state; Zenodo gives MD5.
CHECKSUMS = ("sha256", "md5")


def download(*, url: str, checksums: Mapping[str, str], path: Path, attempts: int, pause: float) -> None:
    """Fetch a file; what a broken transfer brought stays in ``{path}.part`` and is continued, also by a later call.

    Parameters
    ----------
    url
        Where it lies.
    checksums
        What its checksums are, hexadecimal digits of either case, by the names of CHECKSUMS.
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
    failures, most = 0, _size(part)
    while True:
        try:
            _transfer(url, part)
            break
        except Passing as error:
            failures = failures + 1 if _size(part) <= most else 1
            most = max(most, _size(part))
            logger.info("%s broke off after %d bytes: %s", url, _size(part), error)
            if failures >= attempts:
                raise GalaxAlignError(
                    f"{url} broke off {attempts} times in a row ({error}); {_size(part)} bytes are kept in {part}: "
                    "run again to continue, or fetch the file yourself and name its path"
                ) from error
            time.sleep(max(error.wait, pause * 2 ** (failures - 1)))
    for name, wanted in checksums.items():
        found = _digest(part, name)
        if found != wanted.lower():
            part.unlink()
            raise GalaxAlignError(
                f"{url} has {name.upper()} {found}, not {wanted.lower()}; it was removed: "
                f"run again, and if that fails too correct `url` or `{name}`"
            )
    part.replace(path)


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _transfer(url: str, part: Path) -> None:
    """Bring what `part` lacks, or raise `Passing`, or `GalaxAlignError` where it cannot be written."""
    have = _size(part)
    try:
        with answer(url, {"Range": f"bytes={have}-"} if have else {}) as response:
            # A server that does not know ranges sends the whole file again.
            continues = response.status == HTTPStatus.PARTIAL_CONTENT
            coming = response.headers.get("Content-Length")
            missing = int(coming) if coming else None
            total = None if missing is None else -(-missing // CHUNK)
            with _writing(part, "ab" if continues else "wb") as write:
                for chunk in progress(_chunks(response), total=total, what="download", unit="MiB"):
                    missing = missing - len(chunk) if missing is not None else None
                    write(chunk)
    except Refused as error:
        if error.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            # Nothing is left to bring; the checksum tells whether that is well.
            return
        raise GalaxAlignError(f"{url} cannot be fetched, {error}: correct `url`") from error
    if missing:
        raise Passing(f"{missing} bytes are missing")


@contextmanager
def _writing(part: Path, mode: str) -> Iterator[Callable[[bytes], None]]:
    """What writes to a file; a disk that refuses is no fault of the server's."""

    def refused(error: OSError) -> GalaxAlignError:
        return GalaxAlignError(f"{part} cannot be written ({error.strerror}): make room, and run again to continue")

    def write(chunk: bytes) -> None:
        try:
            file.write(chunk)
        except OSError as error:
            raise refused(error) from error

    try:
        # Without a buffer, so that nothing is left to be written at the end.
        file = part.open(mode, 0)
    except OSError as error:
        raise refused(error) from error
    with file:
        yield write


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    while chunk := response.read(CHUNK):
        yield chunk


def _digest(part: Path, name: str) -> str:
    with part.open("rb") as file:
        # MD5 is no safeguard here: some systems would refuse it as one.
        return hashlib.file_digest(file, partial(hashlib.new, name, usedforsecurity=False)).hexdigest()
