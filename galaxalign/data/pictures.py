"""From an image of any kind to the picture that is stored: cut, coloured, resized, and judged."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galaxalign.data.fits_layout import Layout
from galaxalign.data.flags import BadImage
from galaxalign.data.quality import Quality, judge, measure_flux, measure_picture
from galaxalign.data.readers import Flux, read_image
from galaxalign.data.resizing import resize
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
    fits : how FITS files are laid out.
    quality : where the flags of bad pictures begin.
    """

    size: int
    crop: float
    stretch: Stretch
    bands: tuple[str, ...]
    fits: Layout
    quality: Quality

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> "ImageRecipe":
        """Read `to_dict`'s layout, or the configuration's section ``data``; a missing key raises KeyError naming it."""
        return cls(
            size=int(settings["size"]),
            crop=float(settings["crop"]),
            stretch=Stretch.from_dict(settings["stretch"]),
            bands=tuple(str(band) for band in settings["bands"]),
            fits=Layout.from_dict(settings["fits"]),
            quality=Quality.from_dict(settings["quality"]),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain maps, lists and numbers, for JSON."""
        return {
            "size": self.size,
            "crop": self.crop,
            "stretch": self.stretch.to_dict(),
            "bands": list(self.bands),
            "fits": self.fits.to_dict(),
            "quality": self.quality.to_dict(),
        }

    def looks_like(self, other: "ImageRecipe") -> bool:
        """Whether both make alike pictures, each of images of its own layout, bands and quality."""
        return (self.size, self.crop, self.stretch) == (other.size, other.crop, other.stretch)

    def applied_to(self, other: "ImageRecipe") -> "ImageRecipe":
        """This recipe's pictures of images that are laid out, and judged, as `other` says."""
        return replace(self, bands=other.bands, fits=other.fits, quality=other.quality)


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A stored picture, uint8 (size, size, 3), with its flag and reason, both empty where it is good."""

    pixels: NDArray[np.uint8]
    flag: str
    reason: str


def make_picture(source: str, recipe: ImageRecipe, max_blank: float) -> Picture:
    """The picture of one source; of a bad image, as much as can be shown, or black.

    It depends on the source and the arguments alone: the same whatever process makes it, and in what order.

    Parameters
    ----------
    source
        A locator, see `readers`.
    recipe
        How the image becomes a picture, and what is wrong with a picture.
    max_blank
        Largest share of pixels without data in the part that is kept.
    """
    try:
        image = read_image(
            source, cube_bands=recipe.bands, bands=recipe.stretch.bands, layout=recipe.fits, crop=recipe.crop
        )
    except BadImage as bad:
        black = np.zeros((recipe.size, recipe.size, 3), np.uint8)
        return Picture(pixels=black, flag=bad.flag, reason=bad.reason)
    if isinstance(image, Flux):
        # In the order of rows and in this machine's bytes, by one pass.
        flux = image.values.astype(np.float32, order="C", copy=False)
        coverage, pixels = measure_flux(flux), to_rgb(flux, image.bands, recipe.stretch)
        if image.outside is not None:
            coverage = replace(coverage, edge=max(coverage.edge, float(image.outside.mean())))
    else:
        pixels = image
        coverage = measure_picture(pixels)
    picture = resize(pixels, recipe.size)
    flag, reason = judge(coverage, picture, len(pixels), max_blank, recipe.quality)
    return Picture(pixels=picture, flag=flag, reason=reason and f"{source}: {reason}")
