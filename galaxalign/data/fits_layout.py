"""How FITS files are laid out, as the configuration says."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How FITS files are laid out: the section ``data.fits`` of the configuration.

    Attributes
    ----------
    image
        ``first``: the first image of the file; ``bands``: an extension for each band, whose EXTNAME or FILTER names
        it; else the number (0 is the primary unit) or the EXTNAME of the one that holds the image.
    band_axis
        FITS number of a cube's axis of bands, the 1 of NAXIS1 being the fastest; 0: as the header tells.
    mask
        Number or EXTNAME of a unit of integers that mark pixels, or ``none``.
    mask_bits
        Bits of the mask that mark a pixel without data, 0 the lowest; empty: any bit does.
    inverse_variance
        Number or EXTNAME of a unit whose zeros mark pixels without data, or ``none``.
    """

    image: str | int
    band_axis: int
    mask: str | int
    mask_bits: tuple[int, ...]
    inverse_variance: str | int

    @property
    def masks(self) -> list[str | int]:
        """Numbers or EXTNAMEs of the units that mark pixels without data."""
        return [key for key in (self.mask, self.inverse_variance) if key != "none"]

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> "Layout":
        """Read the layout of ``data.fits``, which is also `to_dict`'s."""
        axis = settings["band_axis"]
        return cls(
            image=settings["image"],
            band_axis=0 if axis == "header" else int(axis),
            mask=settings["mask"]["extension"],
            mask_bits=tuple(int(bit) for bit in settings["mask"]["bits"]),
            inverse_variance=settings["inverse_variance"],
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain maps and numbers, for JSON."""
        return {
            "image": self.image,
            "band_axis": self.band_axis or "header",
            "mask": {"extension": self.mask, "bits": list(self.mask_bits)},
            "inverse_variance": self.inverse_variance,
        }


# The first image of the file, all of it.
PLAIN = Layout(image="first", band_axis=0, mask="none", mask_bits=(), inverse_variance="none")
