"""JPEG pictures, by libjpeg-turbo: all of one, or its central square without the rows below, which nobody looks at."""

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from galaxalign.data.crop import central_square, crop_centre

# Rows below the square that its own colours are interpolated from: two at most, where four rows share a colour.
BELOW = 8
# The first complaint about a picture that is whole but declared shorter: its scan goes on until the picture's end.
ONLY_LONGER = "extraneous bytes before marker 0xd9"
# Markers (ITU-T T.81, table B.1): frames of sequential, Huffman coded scans, all others, restarts, and a scan.
SEQUENTIAL = (0xC0, 0xC1)
OTHER_FRAMES = {*range(0xC2, 0xD0)} - {0xC4, 0xC8, 0xCC}
RESTARTS, SCAN = 0xDD, 0xDA


def decode_jpeg(data: bytes, crop: float | None, max_pixels: int) -> NDArray[np.uint8] | None:
    """A plain JPEG (H, W, 3), or its central square (S, S, 3); None for CMYK, too many pixels and what is damaged.

    With `crop`, a share of the shorter side, the rows below the square are not decoded where that can be avoided:
    damage that begins there is not found, unless the picture ends early.
    """
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        if colours not in ("YCbCr", "Gray") or not 0 < height * width <= max_pixels:
            return None
        if crop is None:
            return _decode(data)
        top, left, side = central_square(height, width, crop)
        upper = _decode_upper(data, top + side + BELOW, height, width)
        if upper is not None:
            return upper[top : top + side, left : left + side]
        return crop_centre(_decode(data), crop)
    except ValueError:
        return None


def _decode(data: bytes) -> NDArray[np.uint8]:
    picture: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, "RGB", strict=True)
    return picture


def _decode_upper(data: bytes, rows: int, height: int, width: int) -> NDArray[np.uint8] | None:
    """The first rows of a picture, as if its frame were declared no higher; None where that cannot be had.

    The decoder makes the rows and then looks for the end of the picture.  It says first of all what is wrong first: if
    that is the end of the longer scan, all before it was right, and between here and the end there is no other marker.
    """
    place = _place_of_height(data) if rows < height else None
    if place is None:
        return None
    declared = data[:place] + rows.to_bytes(2, "big") + data[place + 2 :]
    upper = np.empty((rows, width, 3), np.uint8)
    try:
        simplejpeg.decode_jpeg(declared, "RGB", buffer=upper, strict=True)
    except ValueError as error:
        return upper if str(error).endswith(ONLY_LONGER) else None
    return upper


def _place_of_height(data: bytes) -> int | None:
    """Where a sequential frame without restarts says how high it is; None for others."""
    at, found = 2, None
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == SCAN:
            return found
        if marker == RESTARTS or marker in OTHER_FRAMES:
            return None
        if marker in SEQUENTIAL:
            found = at + 5
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None
