"""The central square of an image, which is what is kept of it."""

from typing import Any

from numpy.typing import NDArray


def central_square(height: int, width: int, share: float) -> tuple[int, int, int]:
    """Top, left and side of the square around the centre whose side is `share` of the shorter side."""
    side = max(1, round(share * min(height, width)))
    return (height - side) // 2, (width - side) // 2, side


def crop_centre(image: NDArray[Any], share: float) -> NDArray[Any]:
    """The central square of an image (H, W, ...), its side `share` of the shorter side."""
    top, left, side = central_square(image.shape[0], image.shape[1], share)
    return image[top : top + side, left : left + side]
