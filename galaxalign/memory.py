"""Memory of the CPU, as training and ingestion use it."""

import ctypes
import sys

# Numbers of glibc's mallopt(3).
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST = 2**31 - 1


def keep_freed_memory() -> None:
    """Let the C library keep what a step, or a picture, frees for the next one.

    By default glibc hands large blocks back to the kernel at once, which clears every page when it is asked for
    anew: a sixth of a training step of a small network, half of the making of a picture from FITS, and more where
    other jobs run.  Does nothing elsewhere.
    """
    if sys.platform == "linux":
        library = ctypes.CDLL(None)
        if hasattr(library, "mallopt"):
            library.mallopt(_MMAP_THRESHOLD, _LARGEST // 2)
            library.mallopt(_TRIM_THRESHOLD, _LARGEST)
