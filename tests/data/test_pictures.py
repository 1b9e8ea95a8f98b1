"""Pictures of every kind, known pixels out of each, and the flags that a picture's own light brings."""

import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
import tifffile
import yaml
from PIL import Image

from galaxalign.data.flags import BadImage
from galaxalign.data.pictures import ImageRecipe, make_picture
from galaxalign.data.quality import Quality, find_source, measure_flux, measure_picture
from galaxalign.data.raster import read_picture
from galaxalign.data.resizing import resize
from tests.conftest import ROOT
from tests.data.synthetic_images import LENIENT, RECIPE, STRETCH, noise, write_cube

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 9, 3), np.uint8)
DATA = yaml.safe_load((ROOT / "config/config.yaml").read_text())["data"]
DEFAULTS = Quality.from_dict(DATA["quality"])


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


@pytest.mark.parametrize(("side", "size"), [(424, 128), (256, 128), (212, 128), (100, 128), (64, 64)])
def test_resizing_is_pillow_s(side, size):
    generator = np.random.default_rng(side)
    smooth = np.kron(
        generator.integers(0, 256, (side // 4 + 1, side // 4 + 1, 3), np.uint8), np.ones((4, 4, 1), np.uint8)
    )
    pixels = np.ascontiguousarray(smooth[:side, :side])
    expected = np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC))
    assert np.abs(resize(pixels, size).astype(int) - expected).max() <= 1
    # Colours plane by plane, as those of flux lie, are another way through the same filter.
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1)).transpose(1, 2, 0)
    small = resize(planes, size)
    assert small.flags.c_contiguous
    assert np.abs(small.astype(int) - expected).max() <= 1


# ---------------------------------------------------------------- flags


def sky(side=128, seed=0, level=32.0, spread=4.0):
    return np.random.default_rng(seed).normal(level, spread, (side, side, 3))


def with_source(x, y, light, side=128, sigma=3.0):
    rows, columns = np.mgrid[:side, :side]
    spot = light * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))
    return np.clip(sky(side) + spot[..., None], 0, 255).astype(np.uint8)


def flag_of(folder, pixels, quality=DEFAULTS, name="a.png"):
    Image.fromarray(pixels).save(folder / name)
    return make_picture(str(folder / name), replace(RECIPE, size=128, quality=quality), 0.2).flag


def test_sky_alone_is_too_faint(tmp_path):
    for seed in range(20):
        pixels = np.clip(sky(seed=seed), 0, 255).astype(np.uint8)
        assert find_source(pixels, 128, 5)[0] < 5
    assert flag_of(tmp_path, pixels) == "faint"
    assert flag_of(tmp_path, pixels, LENIENT) == ""
    assert flag_of(tmp_path, with_source(64, 64, 60)) == ""


@pytest.mark.parametrize("side", [2, 3, 4, 7, 11, 16, 22, 31])
def test_sky_of_few_pixels_is_too_faint(tmp_path, side):
    """Enlarged to 128 pixels, neighbours look alike, and any of its pixels would stand out from them."""
    skies = [np.clip(sky(side, seed), 0, 255).astype(np.uint8) for seed in range(40)]
    assert np.mean([find_source(resize(pixels, 128), side, 5)[0] >= 5 for pixels in skies]) <= 0.05
    assert flag_of(tmp_path, skies[0]) == "faint"
    cube = write_cube(tmp_path / "a.fits", noise(3, side, side))
    assert make_picture(str(cube), replace(RECIPE, size=128, quality=DEFAULTS), 0.2).flag == "faint"


def test_one_pixel_is_no_source():
    assert find_source(np.full((128, 128, 3), PIXELS[0, 0]), 1, 5) == (0, np.inf)


@pytest.mark.parametrize("side", [8, 12, 20, 31])
def test_a_galaxy_of_few_pixels(tmp_path, side):
    middle = (side - 1) / 2
    assert flag_of(tmp_path, with_source(middle, middle, 150, side, side / 12)) == ""
    assert flag_of(tmp_path, with_source(side - 2, middle, 150, side, side / 12)) == "off_centre"


def test_from_32_pixels_on_cells_are_those_of_the_picture():
    pixels = np.random.default_rng(0).integers(0, 200, (140, 140, 3), np.uint8)
    assert find_source(pixels, 32, 3) == find_source(pixels, 4000, 3) != find_source(pixels, 31, 3)


def test_the_signal_is_light_over_noise():
    # One cell of 4 x 4 pixels of three colours stands 10 above a sky whose cells scatter by 4 / sqrt(48).
    pixels = np.clip(np.rint(sky(level=100)), 0, 255)
    pixels[64:68, 64:68] += 10
    signal, distance = find_source(pixels.astype(np.uint8), 128, 5)
    # At least one grey level is taken as noise.
    assert signal == pytest.approx(10, abs=2)
    assert distance == pytest.approx(np.hypot(0.5, 0.5) / 32)


@pytest.mark.parametrize(("place", "flag"), [(64, ""), (78, ""), (90, "off_centre"), (110, "off_centre")])
def test_sources_far_from_the_middle(tmp_path, place, flag):
    assert flag_of(tmp_path, with_source(place, 64, 100)) == flag
    assert flag_of(tmp_path, with_source(64, 127 - place, 100)) == flag


def test_a_saturated_star(tmp_path):
    # Half of the side is the middle: 64 x 64 pixels.
    for radius, flag in ((10, ""), (25, "saturated")):
        rows, columns = np.mgrid[:128, :128] - 64
        pixels = with_source(64, 64, 100)
        disk = rows**2 + columns**2 < radius**2
        pixels[disk] = 255
        assert measure_picture(pixels).saturated == pytest.approx(np.pi * radius**2 / 64**2, rel=0.05)
        assert flag_of(tmp_path, pixels) == flag
        # What is red alone is not as bright as can be.
        pixels[disk] = 255, 100, 100
        assert measure_picture(pixels).saturated == 0


def test_a_detector_s_full_well(tmp_path):
    flux = noise(3, 64, 64)
    flux[:, 20:44, 20:44] += 5
    assert measure_flux(flux).saturated == 0
    flux[1, 20:44, 20:44] = 8.0
    # 24 x 24 of the 32 x 32 pixels of the middle.
    assert measure_flux(flux).saturated == (24 / 32) ** 2
    recipe = replace(RECIPE, quality=DEFAULTS)
    assert make_picture(str(write_cube(tmp_path / "a.fits", flux)), recipe, 0.2).flag == "saturated"


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_the_edge_of_a_survey_and_holes(value):
    flux = noise(3, 40, 40)
    flux[:, :, 30:] = value
    flux[:, :4] = value
    found = measure_flux(flux)
    assert found.edge == found.blank == pytest.approx(1 - 30 / 40 * 36 / 40)
    # A band of its own may end earlier.
    flux[0, 20:] = value
    assert measure_flux(flux).edge == pytest.approx(1 - 30 / 40 * 16 / 40)
    holes = noise(3, 40, 40)
    holes[:, 5:35, 5:35] = value
    assert measure_flux(holes).edge == 0
    assert measure_flux(holes).blank == (30 / 40) ** 2
    assert measure_flux(np.full((3, 8, 8), value, np.float32)).edge == 0
    assert measure_flux(np.full((3, 8, 8), value, np.float32)).blank == 1


def test_a_band_of_one_value(tmp_path):
    flux = noise(3, 16, 16)
    flux[1] = -1
    assert make_picture(str(write_cube(tmp_path / "a.fits", flux)), RECIPE, 0.2).flag == "constant"
    for value in (np.nan, 0):
        flux[1, :4] = value
        path = write_cube(tmp_path / f"{value}.fits", flux)
        assert make_picture(str(path), RECIPE, 0.3).flag == "constant"


def test_extreme_flux_is_survived(tmp_path):
    for number, value in enumerate((np.inf, -np.inf, 3e38, -3e38, 1e-45)):
        flux = noise(3, 16, 16)
        flux[:, ::2, ::3] = value
        path = str(write_cube(tmp_path / f"{number}.fits", flux))
        for name in ("legacy_survey", "lupton", "asinh", "percentile", "zscale"):
            recipe = ImageRecipe.from_dict(
                {**DATA, "size": 16, "stretch": {**STRETCH, "name": name}, "quality": LENIENT.to_dict()}
            )
            assert make_picture(path, recipe, 1.0).pixels.shape == (16, 16, 3)


NO_GALAXY = "gz1/images/587729387686002878.jpeg"


@pytest.mark.parametrize("name", ["gz1", "gz2", "galaxy10_decals_sample"])
def test_what_volunteers_classified_is_not_rejected(real_data, name):
    recipe = ImageRecipe.from_dict(DATA)
    # One is a server's error message, see below.
    files = sorted(set((real_data / name / "images").iterdir()) - {real_data / NO_GALAXY})
    flags = [make_picture(str(file), recipe, DATA["max_blank"]).flag for file in files]
    assert not any(flags), [str(file) for file, flag in zip(files, flags, strict=True) if flag]


def test_a_server_s_error_message_is_no_galaxy(real_data):
    # The one picture of Galaxy Zoo 1 in which SDSS wrote "getFrames() has failed".
    path = real_data / NO_GALAXY
    assert make_picture(str(path), ImageRecipe.from_dict(DATA), DATA["max_blank"]).flag == "edge"


@pytest.mark.parametrize("key", RECIPE.to_dict())
def test_a_recipe_that_lacks_a_key_is_refused(key):
    older = {name: value for name, value in RECIPE.to_dict().items() if name != key}
    with pytest.raises(KeyError, match=key):
        ImageRecipe.from_dict(older)


def test_a_recipe_applied_to_other_files_keeps_its_look():
    other = replace(RECIPE, size=32, bands=("VIS",), quality=DEFAULTS, fits=replace(RECIPE.fits, image="SCI"))
    applied = RECIPE.applied_to(other)
    assert (applied.size, applied.bands, applied.fits.image, applied.quality) == (16, ("VIS",), "SCI", DEFAULTS)
    assert applied.looks_like(RECIPE)
    assert not applied.looks_like(other)


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
