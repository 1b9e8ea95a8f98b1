"""Pictures of every format as they come: JPEG, PNG, TIFF and WebP, right or refused."""

import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from galaxalign.data.flags import BadImage
from galaxalign.data.raster import read_picture

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 9, 3), np.uint8)


def saved(folder, image, name, **options):
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(folder / name, **options)
    return read_picture(folder / name)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.png", {}),
        ("a.tif", {}),
        ("a.tiff", {"compression": "tiff_lzw"}),
        ("b.tif", {"compression": "tiff_adobe_deflate"}),
        ("a.webp", {"lossless": True}),
    ],
)
def test_lossless_formats_give_their_pixels(tmp_path, name, options):
    assert np.array_equal(saved(tmp_path, PIXELS, name, **options), PIXELS)
    grey = PIXELS[..., 0]
    assert np.array_equal(saved(tmp_path, grey, name, **options), np.repeat(grey[..., None], 3, axis=2))


def test_the_content_tells_the_format_not_the_name(tmp_path):
    saved(tmp_path, PIXELS, "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.jpg")
    assert np.array_equal(read_picture(tmp_path / "a.jpg"), PIXELS)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"quality": 40, "subsampling": 2}])
def test_jpeg_pixels_are_pillow_s(tmp_path, mode, options):
    path = tmp_path / "a.jpg"
    Image.fromarray(np.kron(PIXELS, np.ones((9, 9, 1), np.uint8))).convert(mode).save(path, **options)
    with Image.open(path) as image:
        expected = np.asarray(image.convert("RGB"))
    assert np.array_equal(read_picture(path), expected)


def test_real_jpeg_pixels_are_pillow_s(real_data):
    for path in sorted(real_data.glob("g*/images/*")):
        with Image.open(path) as image:
            assert np.array_equal(read_picture(path), np.asarray(image.convert("RGB"))), path.name


def test_sixteen_bits_keep_their_upper_eight(tmp_path):
    deep = np.random.default_rng(1).integers(0, 2**16, (12, 9), np.uint16)
    expected = np.repeat((deep // 256).astype(np.uint8)[..., None], 3, axis=2)
    assert np.array_equal(saved(tmp_path, deep, "a.png"), expected)
    assert np.array_equal(saved(tmp_path, deep, "a.tif"), expected)


def test_colours_of_sixteen_bits(tmp_path):
    # Pillow writes none: a PNG of 2 x 1 pixels by hand, as the PNG specification lays it out.
    import struct
    import zlib

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    values = struct.pack(">6H", 0x1234, 0xABCD, 0x00FF, 0xFF00, 0x8000, 0x7FFF)
    header = struct.pack(">2I5B", 2, 1, 16, 2, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" + values)) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    assert read_picture(tmp_path / "a.png").tolist() == [[[0x12, 0xAB, 0x00], [0xFF, 0x80, 0x7F]]]


def test_what_is_transparent_lies_on_black(tmp_path):
    alpha = np.full((12, 9), 255, np.uint8)
    alpha[:, 4:], alpha[:, 6:] = 128, 0
    made = saved(tmp_path, np.dstack([PIXELS, alpha]), "a.png")
    expected = np.rint(PIXELS * (alpha[..., None] / 255.0))
    assert np.abs(made - expected).max() <= 1
    assert np.array_equal(made[:, :4], PIXELS[:, :4])
    assert not made[:, 6:].any()
    # Grey with alpha, and a colour of a palette that is transparent.
    grey = Image.fromarray(np.dstack([PIXELS[..., 0], alpha]), "LA")
    assert not saved(tmp_path, grey, "grey.png")[:, 6:].any()
    palette = Image.fromarray(np.arange(4, dtype=np.uint8).reshape(2, 2), "P")
    palette.putpalette([9, 8, 7, 60, 70, 80, 255, 0, 0, 1, 2, 3])
    assert saved(tmp_path, palette, "p.png").tolist() == [[[9, 8, 7], [60, 70, 80]], [[255, 0, 0], [1, 2, 3]]]
    assert saved(tmp_path, palette, "t.png", transparency=1)[0, 1].tolist() == [0, 0, 0]


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif"])
def test_pictures_are_turned_as_exif_says(tmp_path, turn, name):
    # What a viewer shows of the tag's eight values (EXIF 2.3, table of Orientation).
    shown = {
        1: lambda p: p,
        2: lambda p: p[:, ::-1],
        3: lambda p: p[::-1, ::-1],
        4: lambda p: p[::-1],
        5: lambda p: p.transpose(1, 0, 2),
        6: lambda p: np.rot90(p, -1),
        7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),
        8: lambda p: np.rot90(p, 1),
    }[turn]
    exif = Image.Exif()
    exif[274] = turn
    blocks = np.kron(PIXELS[:3, :2], np.ones((16, 16, 1), np.uint8))
    made = saved(tmp_path, blocks, name, exif=exif, **({"quality": 100, "subsampling": 0} if name == "a.jpg" else {}))
    assert np.abs(made.astype(int) - shown(blocks)).max() <= 6


def test_a_transparent_grey_of_sixteen_bits_is_black(tmp_path):
    Image.fromarray(np.array([[40000, 50000]], np.uint16)).save(tmp_path / "a.png", transparency=50000)
    assert read_picture(tmp_path / "a.png")[0, :, 0].tolist() == [40000 >> 8, 0]


def png(path, depth, kind, row, transparent):
    """A PNG of one line (ISO 15948), which Pillow does not write of these depths."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    width = len(row) * 8 // depth // (3 if kind == 2 else 1)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, 1, depth, kind, 0, 0, 0))
    body = chunk(b"tRNS", transparent) + chunk(b"IDAT", zlib.compress(b"\0" + row)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + body)
    return path


@pytest.mark.parametrize(
    ("depth", "row", "transparent", "seen"),
    [
        (1, [0b01000000], 1, [0] * 8),
        (2, [0b00011011], 3, [0, 85, 170, 0]),
        (2, [0b00011011], 1, [0, 0, 170, 255]),
        (4, [0x0F, 0x71], 7, [0, 255, 0, 17]),
        (8, [5, 6], 6, [5, 0]),
    ],
)
def test_a_transparent_grey_of_few_bits_is_black(tmp_path, depth, row, transparent, seen):
    path = png(tmp_path / "a.png", depth, 0, bytes(row), struct.pack(">H", transparent))
    assert read_picture(path)[0, :, 0].tolist() == seen


def test_a_transparent_colour_of_sixteen_bits_is_refused(tmp_path):
    row = np.array([[0x1234, 0x5678, 0x9ABC], [0x3400, 0x7800, 0xBC00]], ">u2").tobytes()
    path = png(tmp_path / "a.png", 16, 2, row, struct.pack(">HHH", 0x1234, 0x5678, 0x9ABC))
    with pytest.raises(BadImage, match="save it with 8, or with an alpha channel") as bad:
        read_picture(path)
    assert bad.value.flag == "depth"


def test_depths_that_pictures_do_not_have(tmp_path):
    for values in (np.full((4, 4), 0.5, np.float32), np.full((4, 4), 10**6, np.int32)):
        with pytest.raises(BadImage, match="not whole numbers from 0 to 65535") as bad:
            saved(tmp_path, values, "a.tif")
        assert bad.value.flag == "depth"


@pytest.mark.parametrize(("name", "options"), [("a.tif", {"compression": "tiff_lzw"}), ("a.webp", {}), ("b.tif", {})])
def test_cut_pictures_are_truncated(tmp_path, name, options):
    big = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    saved(tmp_path, big, name, **options)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(BadImage) as bad:
        read_picture(tmp_path / name)
    assert bad.value.flag == "truncated"


def test_tiff_is_read_right_or_refused(tmp_path):
    rows, columns = np.mgrid[:30, :40]
    deep = (columns * 1600 + rows * 7).astype(np.uint16)
    grey, colours = np.repeat((deep >> 8)[:, :, None], 3, axis=2), np.stack([deep, deep // 2, 65535 - deep])

    def read(pixels, **options):
        tifffile.imwrite(tmp_path / "a.tif", pixels, **options)
        return read_picture(tmp_path / "a.tif")

    assert np.array_equal(read(deep, photometric="miniswhite"), 255 - grey)
    assert np.array_equal(read((deep >> 8).astype(np.uint8), photometric="miniswhite"), 255 - grey)
    wanted = (colours >> 8).transpose(1, 2, 0)
    apart = {"photometric": "rgb", "planarconfig": "separate"}
    assert np.array_equal(read(colours, **apart, compression="zlib"), wanted)
    assert np.array_equal(read((colours >> 8).astype(np.uint8), **apart), wanted)
    for pixels, options, words in (
        (colours, apart, "a plane for each colour of 16 bits"),
        ((deep >> 9).astype(np.int8), {"photometric": "minisblack"}, "values of 8 bits with a sign"),
        (deep.astype(np.float32), {"photometric": "minisblack"}, "holds floats from 0 to"),
        (colours.transpose(1, 2, 0).astype(np.float32), {"photometric": "rgb"}, "holds colours of 32 bits"),
    ):
        with pytest.raises(BadImage, match=words) as bad:
            read(pixels, **options)
        assert bad.value.flag == "depth"


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_a_tiff_of_bits_between_is_refused(tmp_path, bits):
    values = np.random.default_rng(0).integers(0, 2**bits, (16, 16)).ravel()
    body = int("".join(f"{value:0{bits}b}" for value in values), 2).to_bytes(256 * bits // 8, "big")
    # TIFF 6.0: tag, type (LONG), count, value.
    numbers = {256: 16, 257: 16, 258: bits, 259: 1, 262: 1, 273: 8, 277: 1, 278: 16, 279: len(body)}
    tags = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in numbers.items())
    directory = struct.pack("<H", len(numbers)) + tags + bytes(4)
    (tmp_path / "a.tif").write_bytes(struct.pack("<2sHI", b"II", 42, 8 + len(body)) + body + directory)
    with pytest.raises(BadImage, match=f"of {bits} bits: save it with 8 or 16") as bad:
        read_picture(tmp_path / "a.tif")
    assert bad.value.flag == "depth"


def test_a_turn_is_found_wherever_a_jpeg_says_it(tmp_path):
    """Behind other segments than the first; and in XMP alone."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg", exif=exif)
    content = (tmp_path / "a.jpg").read_bytes()
    comments = b"".join(b"\xff\xfe\xff\xff" + bytes(65533) for _ in range(3))
    (tmp_path / "b.jpg").write_bytes(content[:2] + comments + content[2:])
    words = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    Image.fromarray(PIXELS).save(tmp_path / "c.jpg", xmp=words)
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        assert read_picture(tmp_path / name).shape == (9, 12, 3), name
