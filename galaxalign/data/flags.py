"""What can be wrong with an image: every flag, its one meaning, and the exception that carries it."""

MEANINGS = {
    "missing_file": "there is no such file",
    "empty_file": "the file has no bytes",
    "unreadable": "the file is not what its name says",
    "truncated": "the file ends before its image does",
    "missing_band": "a band that the colours need is not there",
    "shape": "the bands differ in shape, or the image is not two-dimensional",
    "too_large": "the picture has more pixels than any cutout (a decompression bomb)",
    "blank": "more than data.max_blank of the pixels have no data",
    "edge": "more than data.max_blank of the pixels lie outside the tile that the galaxy was cut from",
    "outside": "no tile holds any of the galaxy's cutout",
    "position": "its position is empty, cannot be read or is not on the sky",
    "no_size": "the catalogue gives it no size, which its field of view is a multiple of",
    "constant": "every pixel has the same value",
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

    def __reduce__(self) -> tuple[type["BadImage"], tuple[str, str]]:
        """Both arguments, so that it crosses processes."""
        return BadImage, (self.flag, self.reason)
