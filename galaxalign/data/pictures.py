"""From an image of any kind to the picture that is stored: cut, coloured, resized, and judged."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from galaxalign.data.flags import BadImage
from galaxalign.data.readers import Flux, read_image
from galaxalign.data.rgb import Stretch, to_rgb


@dataclass(frozen=True, kw_only=True)
class ImageRecipe:
    """How an image becomes a stored picture; stored beside the pictures and with every model.

    Attributes
    ----------
    size : side of the picture, pixels.
    crop : share of the original's shorter side that is kept, around the centre.
    stretch : how flux becomes colour.
    bands : the bands of FITS cubes whose header does not name them.
    """

    size: int
    crop: float
    stretch: Stretch
    bands: tuple[str, ...]

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> "ImageRecipe":
        """Read `to_dict`'s layout, or the configuration's section ``data``."""
        return cls(
            size=int(settings["size"]),
            crop=float(settings["crop"]),
            stretch=Stretch.from_dict(settings["stretch"]),
            bands=tuple(str(band) for band in settings["bands"]),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain maps, lists and numbers, for JSON."""
        return {
            "size": self.size,
            "crop": self.crop,
            "stretch": self.stretch.to_dict(),
            "bands": list(self.bands),
        }


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A stored picture, uint8 (size, size, 3), with its flag and reason, both empty where it is good."""

    pixels: NDArray[np.uint8]
    flag: str
    reason: str


def make_picture(source: str, recipe: ImageRecipe, max_blank: float) -> Picture:
    """The picture of one source; of a bad image, as much as can be shown, or black.

    Parameters
    ----------
    source
        A locator, see `readers`.
    recipe
        How the image becomes a picture.
    max_blank
        Largest share of pixels without data in the part that is kept.
    """
    try:
        image = read_image(source, cube_bands=recipe.bands, bands=recipe.stretch.bands)
    except BadImage as bad:
        black = np.zeros((recipe.size, recipe.size, 3), np.uint8)
        return Picture(pixels=black, flag=bad.flag, reason=bad.reason)
    if isinstance(image, Flux):
        kept = crop_centre(image.values.transpose(1, 2, 0), recipe.crop)
        blank = blank_flux(kept)
        pixels = to_rgb(kept.transpose(2, 0, 1), image.bands, recipe.stretch)
    else:
        kept = pixels = crop_centre(image, recipe.crop)
        blank = blank_picture(kept)
    flag, reason = _judge(kept, blank, max_blank)
    if isinstance(image, Flux) and image.outside is not None:
        lost = float(crop_centre(image.outside, recipe.crop).mean())
        if lost > max_blank:
            flag, reason = "edge", f"{100 * lost:.0f} % of its pixels lie outside the tile"
    return Picture(pixels=resize(pixels, recipe.size), flag=flag, reason=reason and f"{source}: {reason}")


def _judge(kept: NDArray[Any], blank: float, max_blank: float) -> tuple[str, str]:
    """Flag and reason of an image (H, W, ...) of which the share `blank` has no data."""
    # Nothing but zeros is blank; not a number equals nothing.
    if kept.min() == kept.max() != 0:
        return "constant", f"every pixel is {kept.flat[0]:g}"
    if blank > max_blank:
        return "blank", f"{100 * blank:.0f} % of its pixels have no data, {100 * max_blank:.0f} % are allowed"
    return "", ""


def crop_centre(image: NDArray[Any], share: float) -> NDArray[Any]:
    """The central square of an image (H, W, ...), its side `share` of the shorter side."""
    height, width = image.shape[:2]
    side = max(1, round(share * min(height, width)))
    top, left = (height - side) // 2, (width - side) // 2
    return image[top : top + side, left : left + side]


def blank_flux(flux: NDArray[np.float32]) -> float:
    """Share of pixels of (H, W, B) without data in the worst band: not a number, or exactly 0."""
    known = np.isfinite(flux) & (flux != 0)
    return float(1 - known.mean(axis=(0, 1)).min())


def blank_picture(pixels: NDArray[np.uint8]) -> float:
    """Share of the picture (H, W, 3) in rows or columns of a single colour, as beyond a survey's edge.

    Single black pixels say nothing: the dark sky of an SDSS picture has up to a fifth of them.
    """
    rows = (pixels != pixels[:, :1]).any(axis=(1, 2))
    columns = (pixels != pixels[:1]).any(axis=(0, 2))
    return float(1 - rows.mean() * columns.mean())


def resize(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """A square picture at another size, smoothed where it shrinks."""
    if pixels.shape[0] == size:
        return np.ascontiguousarray(pixels)
    return np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC))
