"""Pictures, JPEG, PNG, TIFF and WebP, as red, green and blue of 8 bits."""

import io
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

from galaxalign.data.crop import crop_centre
from galaxalign.data.flags import BadImage
from galaxalign.data.jpeg import decode_jpeg

FORMATS = ("JPEG", "PNG", "TIFF", "WEBP")
# More pixels than any cutout has, and more bytes than any picture of them.
MAX_PIXELS = 2**25
MAX_BYTES = 2**28
# One of these is in a JPEG that says how it is to be turned: EXIF, or XMP.
TURNED = (b"Exif\0\0", b"tiff:Orientation")
# Grey of few bits, as Pillow calls it in PNGs.
FEW_BITS = {"L;2": 2, "L;4": 4}
# Tags of TIFF 6.0, and what they say of pictures that Pillow reads wrongly.
BITS, COMPRESSION, PHOTOMETRIC, PLANES, SAMPLES = 258, 259, 262, 284, 339
PLAIN, WHITE_IS_ZERO, APART, UNSIGNED = 1, 0, 2, 1


def read_picture(path: Path, crop: float | None = None) -> NDArray[np.uint8]:
    """The picture in a file, shape (H, W, 3), turned as its EXIF orientation says, as every viewer shows it.

    With `crop` it is the central square, its side so large a share of the shorter side.

    The format is told by the content, whatever the name's ending.  Grey becomes red = green = blue; of 16 bits the
    upper 8 are kept; what is transparent lies on black; palettes and CMYK become the colours they stand for; of
    several frames the first is taken.  JPEG is decoded by libjpeg-turbo with the exact inverse transform, whose
    pixels are Pillow's own.

    Raises
    ------
    BadImage
        unreadable, truncated, too_large or depth.
    """
    if path.stat().st_size > MAX_BYTES:
        raise BadImage("too_large", f"{path} has more than {MAX_BYTES // 2**20} MiB")
    data = path.read_bytes()
    if data[:3] == b"\xff\xd8\xff" and not any(word in data for word in TURNED):
        quick = decode_jpeg(data, crop, min(MAX_PIXELS, Image.MAX_IMAGE_PIXELS or 0))
        if quick is not None:
            return quick
    with warnings.catch_warnings():
        # What Pillow finds odd is not for the log of a million pictures; what it refuses is raised.
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise BadImage("too_large", f"{path} has {image.width} x {image.height} pixels")
                inverted = _check_tiff(image, path)
                _mend_transparency(image, path)
                ImageOps.exif_transpose(image, in_place=True)
                colours = _colours(image, path)
                if inverted:
                    colours = 255 - colours
                return colours if crop is None else crop_centre(colours, crop)
        except BadImage:
            raise
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            raise BadImage("too_large", f"{path}: {error}") from error
        except UnidentifiedImageError as error:
            if _ends_early(data):
                raise BadImage("truncated", f"{path} is shorter than its header says") from error
            if deep := _tiff_depth(data) - {1, 8, 16}:
                raise BadImage("depth", f"{path} holds colours of {max(deep)} bits: save it with 8 or 16") from error
            raise BadImage("unreadable", f"{path} is no {path.suffix.lstrip('.').upper()} picture") from error
        # A damaged picture fails in as many ways as there are decoders.
        except Exception as error:
            cut = "truncated" in str(error).lower() or _ends_early(data)
            raise BadImage("truncated" if cut else "unreadable", f"{path}: {error}") from error


def _check_tiff(image: Image.Image, path: Path) -> bool:
    """Whether a TIFF's grey is the wrong way round as Pillow reads it.

    Raises `BadImage` (depth) where Pillow reads other numbers than the file holds.
    """
    if not isinstance(image, TiffImageFile):
        return False
    tags = image.tag_v2
    bits, signs = (set(np.atleast_1d(tags.get(tag, 1)).tolist()) for tag in (BITS, SAMPLES))
    if bits == {8} and signs != {UNSIGNED}:
        raise BadImage("depth", f"{path} holds values of 8 bits with a sign: save it with values from 0 to 255")
    if 8 < max(bits) < 16:
        raise BadImage("depth", f"{path} holds values of {max(bits)} bits: save it with 8 or 16")
    if max(bits) > 8 and len(image.getbands()) > 1 and tags.get(PLANES) == APART and tags.get(COMPRESSION) == PLAIN:
        raise BadImage("depth", f"{path} has a plane for each colour of {max(bits)} bits: save colours side by side")
    return image.mode.startswith("I") and tags.get(PHOTOMETRIC) == WHITE_IS_ZERO


def _mend_transparency(image: Image.Image, path: Path) -> None:
    """Make the transparent colour of a PNG, as the file has it, one of the 8 bits that Pillow compares with.

    Raises `BadImage` (depth) where it has 16, of which Pillow keeps half.
    """
    transparent = image.info.get("transparency")
    if not isinstance(image, PngImageFile) or transparent is None:
        return
    kind = image.tile[0].args
    if kind == "RGB;16B":
        raise BadImage("depth", f"{path} has a transparent colour of 16 bits: save it with 8, or with an alpha channel")
    if kind in FEW_BITS:
        image.info["transparency"] = transparent * 255 // (2 ** FEW_BITS[kind] - 1)


def _tiff_depth(data: bytes) -> set[int]:
    """Bits of the values of a TIFF that Pillow does not read; none where it is no TIFF."""
    try:
        tags = ImageFileDirectory_v2(data[:8])
        file = io.BytesIO(data)
        file.seek(tags.next)
        tags.load(file)
    except Exception:  # of a damaged one nothing is known
        return set()
    return {int(bits) for bits in np.atleast_1d(tags.get(BITS, ()))}


def _colours(image: Image.Image, path: Path) -> NDArray[np.uint8]:
    if image.mode.startswith(("I", "F")):
        return _deep_grey(image, path)
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        return np.array(Image.alpha_composite(Image.new("RGBA", seen.size, (0, 0, 0, 255)), seen).convert("RGB"))
    return np.array(image.convert("RGB"))


def _deep_grey(image: Image.Image, path: Path) -> NDArray[np.uint8]:
    """Grey of 16 bits; its upper 8, as Pillow takes them of colours of 16 bits."""
    values = np.asarray(image)
    if values.dtype.kind == "f" or values.min() < 0 or values.max() > 2**16 - 1:
        kind = "floats" if values.dtype.kind == "f" else "values"
        raise BadImage(
            "depth", f"{path} holds {kind} from {values.min():g} to {values.max():g}, not whole numbers from 0 to 65535"
        )
    if "transparency" in image.info:
        values = np.where(values == image.info["transparency"], 0, values)
    return np.repeat((values >> 8).astype(np.uint8)[:, :, None], 3, axis=2)


def _ends_early(data: bytes) -> bool:
    """Whether a WebP or a TIFF is shorter than its first bytes say."""
    if data[:4] == b"RIFF":
        return len(data) < 8 + int.from_bytes(data[4:8], "little")
    if data[:4] in (b"II*\0", b"MM\0*"):
        return len(data) < int.from_bytes(data[4:8], "little" if data[:2] == b"II" else "big")
    return False
