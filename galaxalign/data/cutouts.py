"""Cutouts by position from a service on the web, such as the Legacy Survey viewer's: politely, once, and verified."""

import hashlib
import logging
import os
import random
import shutil
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from galaxalign.data import catalog
from galaxalign.data.cache import Cache
from galaxalign.data.pace import Pace
from galaxalign.data.service import Request, Service, read_cutout
from galaxalign.data.web import Passing, Refused
from galaxalign.errors import GalaxAlignError
from galaxalign.logs import progress

logger = logging.getLogger(__name__)

FAILURES = ["id", "url", "reason"]
# The longest pause between attempts, seconds.
LONGEST_PAUSE = 300.0
# Galaxies in a row for which the service did not answer, after which it is left alone.
GIVE_UP = 25
# Positions handed to the threads at a time.
BLOCK = 1000


def fetch_cutouts(
    *,
    catalogue: Path,
    columns: Mapping[str, str],
    service: Service,
    max_rejected: float,
    pause: float,
    folder: Path,
    failures: Path,
    failures_if_failed: Path,
) -> None:
    """Fetch a cutout of every galaxy of a catalogue, as far as they are not in the cache, and table those that failed.

    Parameters
    ----------
    catalogue, columns
        The table, and which of its columns are ``id``, ``ra`` and ``dec``.
    service
        What is asked, and of whom.
    max_rejected
        Share of the galaxies that may fail before the rest is not asked for.
    pause
        Seconds before a second attempt; doubled before each further one, and varied by a half either way, so that
        connections do not return together. What a server asks for (``Retry-After``) is honoured by all of them.
    folder
        Where the files go, under the names of `cutout_name`.
    failures
        Table of those that failed: id, url, reason; tab-separated.
    failures_if_failed
        Where that table goes when the job fails, since Snakemake removes the outputs of a failed job.

    Raises
    ------
    GalaxAlignError
        The service does not answer, or more than `max_rejected` of the galaxies failed; what came is kept in the
        cache, and a later call goes on from there.
    """
    galaxies = catalog.galaxies_of_catalogue(catalogue, Path(), columns)
    placed = galaxies[np.isfinite(galaxies["ra"]) & np.isfinite(galaxies["dec"])]
    wanted: dict[Request, list[str]] = {}
    for name, ra, dec in zip(placed["id"], placed["ra"], placed["dec"], strict=True):
        wanted.setdefault(service.request(ra, dec), []).append(name)
    folder.mkdir(parents=True, exist_ok=True)
    fetcher = _Fetcher(service, pause)
    failed: list[tuple[str, str, str]] = []
    error = None
    for request, outcome in progress(fetcher.fetch(list(wanted)), total=len(wanted), what="cutouts", unit="galaxies"):
        if isinstance(outcome, Path):
            for name in wanted[request]:
                _link(outcome, folder / cutout_name(name, service.suffix))
            continue
        failed.extend((name, request.url, outcome) for name in wanted[request])
        error = fetcher.silence() or _too_many(failed, len(galaxies), max_rejected, failures_if_failed)
        if error:
            break
    table = pd.DataFrame(failed, columns=FAILURES)
    table.to_csv(failures_if_failed if error else failures, sep="\t", index=False)
    if error:
        raise error
    failures_if_failed.unlink(missing_ok=True)
    logger.info("%d galaxies, %d fetched, %d kept before, %d failed", len(galaxies), *fetcher.counts, len(failed))


def cutout_name(galaxy: str, suffix: str) -> str:
    """The file name of a galaxy's cutout: its id, what no file name may hold written as %XX, or a digest if long."""
    name = urllib.parse.quote(galaxy, safe=" +:,=@")
    if len(name) > 200 or name.startswith("."):
        name = hashlib.sha256(galaxy.encode()).hexdigest()
    return name + suffix


def locate_cutouts(galaxies: pd.DataFrame, failures: Path, folder: Path, suffix: str) -> pd.DataFrame:
    """Columns source, flag and reason of galaxies whose cutouts `fetch_cutouts` fetched to `folder`.

    Flags are position, where a galaxy has none, and missing_file, with what the service said, where the fetch failed.
    """
    table = pd.read_csv(failures, sep="\t", dtype=str, keep_default_na=False)
    said = dict(zip(table["id"], table["reason"], strict=True))
    rows = []
    for name, ra, dec in zip(galaxies["id"], galaxies["ra"], galaxies["dec"], strict=True):
        flag, reason = ("missing_file", said[name]) if name in said else ("", "")
        if not (np.isfinite(ra) and np.isfinite(dec)):
            flag, reason = "position", f"ra is {ra:g}, dec is {dec:g}"
        rows.append((str(folder / cutout_name(name, suffix)), flag, reason))
    return pd.DataFrame(rows, columns=["source", "flag", "reason"], index=galaxies.index)


def _too_many(
    failed: Sequence[tuple[str, str, str]], total: int, max_rejected: float, table: Path
) -> GalaxAlignError | None:
    if len(failed) <= max_rejected * total:
        return None
    reasons = "; ".join(dict.fromkeys(reason for _, _, reason in failed[:3]))
    return GalaxAlignError(
        f"{len(failed)} of {total} galaxies could not be fetched, data.max_rejected allows {100 * max_rejected:g} %: "
        f"{reasons}; they are listed in {table}: correct the source's settings or raise data.max_rejected, and run "
        "again to go on"
    )


def _link(kept: Path, path: Path) -> None:
    """The file under its galaxy's name, without another copy of it where the file system allows."""
    path.unlink(missing_ok=True)
    try:
        os.link(kept, path)
    except OSError:
        # With its time, by which a picture is known to be that of before.
        shutil.copy2(kept, path)


class _Fetcher:
    """Threads that fetch through one cache at one pace."""

    def __init__(self, service: Service, pause: float) -> None:
        self.service, self.pause = service, pause
        self.cache = Cache(service.cache, service.suffix)
        self.pace = Pace(service.requests_per_second)
        self.fetched = self.kept = self.unanswered = 0
        self._random = random.Random()

    @property
    def counts(self) -> tuple[int, int]:
        """Cutouts fetched now, and found in the cache."""
        return self.fetched, self.kept

    def fetch(self, requests: Sequence[Request]) -> Iterator[tuple[Request, Path | str]]:
        """Each request in its order, with its file, or why there is none; whoever stops early stops the threads."""
        with ThreadPoolExecutor(self.service.connections) as pool:
            try:
                for start in range(0, len(requests), BLOCK):
                    block = requests[start : start + BLOCK]
                    for request, (outcome, kept) in zip(block, pool.map(self._fetch, block), strict=True):
                        self._count(outcome, kept)
                        yield request, outcome if isinstance(outcome, Path) else str(outcome)
            finally:
                self.pace.stop()

    def silence(self) -> GalaxAlignError | None:
        """The error to raise where the service has not answered for long."""
        if self.unanswered < GIVE_UP:
            return None
        host = urllib.parse.urlsplit(self.service.url).netloc
        return GalaxAlignError(
            f"{host} did not answer for {self.unanswered} galaxies in a row; what came is kept in "
            f"{self.service.cache}: run again later to go on, or correct the source's `url`"
        )

    def _count(self, outcome: Path | Exception, kept: bool) -> None:
        self.kept += kept
        self.fetched += isinstance(outcome, Path) and not kept
        self.unanswered = self.unanswered + 1 if isinstance(outcome, Passing) else 0

    def _fetch(self, request: Request) -> tuple[Path | Exception, bool]:
        """The file of a request or what hindered it, and whether it was there before."""
        kept = self.cache.find(request.url)
        if kept is not None:
            return kept, True
        for attempt in range(1, self.service.attempts + 1):
            if not self.pace.wait():
                return Passing("not asked for"), False
            try:
                return self.cache.keep(request.url, read_cutout(request, self.service)), False
            except Refused as error:
                return error, False
            except Passing as error:
                logger.info("%s, attempt %d: %s", request.url, attempt, error)
                self.pace.hold(error.wait)
                if attempt == self.service.attempts:
                    return Passing(f"gave up after {attempt} attempts: {error}"), False
                self.pace.sleep(min(LONGEST_PAUSE, self.pause * 2 ** (attempt - 1)) * self._random.uniform(0.5, 1.5))
        raise AssertionError("a service is asked at least once")
