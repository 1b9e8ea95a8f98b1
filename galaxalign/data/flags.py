"""What can be wrong with an image: every flag, its one meaning, and the exception that carries it."""

MEANINGS = {
    "cells": "its row has not as many cells as the header, or one that runs over several lines",
    "no_id": "the catalogue gives it no id, one of more than 256 characters, or one with a control character",
    "duplicate_id": "an earlier row of the catalogue has its id",
    "no_objid": "its id is no SDSS objid, by which galaxies are grouped",
    "position": "its position is empty, cannot be read or is not on the sky",
    "number": "a number of its row cannot be read",
    "no_file": "the catalogue names no file for it",
    "outside_root": "its file leads outside the folder of the data",
    "link_loop": "its file is a symbolic link that leads to itself",
    "missing_file": "there is no such file",
    "empty_file": "the file has no bytes",
    "unreadable": "the file is not what its name says",
    "truncated": "the file ends before its image does",
    "missing_band": "a band that the colours need is not there",
    "missing_extension": "a FITS extension that data.fits names is not there",
    "shape": "bands differ in shape and no WCS says how they lie, it is not two-dimensional, or its pixels not square",
    "depth": "the picture's values are neither of 8 nor of 16 bits, or lie where no reader finds them",
    "too_large": "the image has more pixels than any cutout (a decompression bomb, or a header that lies)",
    "edge": "more than data.quality.max_edge of it lies beyond the edge of the survey or of its tile",
    "blank": "more than data.max_blank of the pixels have no data",
    "outside": "no tile holds any of the galaxy's cutout",
    "no_size": "the catalogue gives it no size, which its field of view is a multiple of",
    "constant": "every pixel has the same value, in the picture or in one of its bands",
    "saturated": "more than data.quality.max_saturated of the pixels around the middle are as bright as they can be",
    "faint": "nothing in the picture stands out from its noise by data.quality.min_signal (or the stretch misfits)",
    "off_centre": "no source lies within data.quality.max_offset of the side from the middle",
}


class BadImage(Exception):
    """An image that cannot be used.

    Attributes
    ----------
    flag : a key of `MEANINGS`.
    reason : what exactly, with the file.
    """

    def __init__(self, flag: str, reason: str) -> None:
        """Raise `KeyError` for a flag without a meaning."""
        self.flag = flag
        self.reason = " ".join(reason.split())
        super().__init__(f"{MEANINGS[flag]}: {self.reason}")
