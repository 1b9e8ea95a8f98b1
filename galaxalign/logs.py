"""Where a job's words go: its log in full, the terminal in brief."""

import errno
import logging
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from galaxalign.errors import GalaxAlignError

logger = logging.getLogger(__name__)

T = TypeVar("T")

SECONDS_BETWEEN_LINES = 10.0
# Status that shells give what Ctrl-C ends.
INTERRUPTED = 130


@contextmanager
def log_to(path: str) -> Iterator[None]:
    """Send records, warnings and tracebacks to `path`; leave one sentence on the terminal when the job fails."""
    file = logging.FileHandler(path, mode="w")
    terminal = logging.StreamHandler(sys.stderr)
    terminal.addFilter(lambda record: record.exc_info is None)
    logging.basicConfig(
        level=logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        datefmt="%H:%M:%S",
        handlers=[file, terminal],
        force=True,
    )
    logging.captureWarnings(True)
    # What a log on a full disk cannot hold must not drown the sentence that says so.
    logging.raiseExceptions = False
    logging.getLogger("galaxalign").setLevel(logging.INFO)
    try:
        yield
    except GalaxAlignError as error:
        logger.info("the job failed", exc_info=True)
        sys.stderr.write(f"\nerror: {error}\n\n")
        sys.exit(1)
    except KeyboardInterrupt:
        logger.info("the job was interrupted", exc_info=True)
        sys.stderr.write("\nstopped: run again to go on\n\n")
        sys.exit(INTERRUPTED)
    except Exception as error:
        logger.info("the job failed", exc_info=True)
        said = f"{type(error).__name__}: {error} (the traceback is in {path})"
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            said = f"the disk is full ({' '.join(str(error).split())}): make room, and run again to go on"
        sys.stderr.write(f"\nerror: {said}\n\n")
        sys.exit(1)


def progress(items: Iterable[T], *, total: int | None, what: str, unit: str, each: int = 1) -> Iterator[T]:
    """Yield `items`, with a progress bar on a terminal and plain lines every ten seconds elsewhere.

    `total` is in units, of which every item stands for `each`; None where it is not known.
    """
    if sys.stderr.isatty():
        from tqdm import tqdm

        with tqdm(total=total, desc=what, unit=f" {unit}", leave=False, dynamic_ncols=True) as bar:
            for item in items:
                yield item
                bar.update(each)
        return
    start = last = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES:
            last = now
            if total is None:
                logger.info("%s: %d %s, %.1f %s/s", what, each * done, unit, each * done / (now - start), unit)
                continue
            # The last item may stand for fewer.
            units = min(each * done, total)
            rate = units / (now - start)
            left = (total - units) / rate
            logger.info("%s: %d of %d %s, %.1f %s/s, %.0f s left", what, units, total, unit, rate, unit, left)
