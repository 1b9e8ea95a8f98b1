"""Files made to harm: bombs, headers that lie, and damage by the hundred, each named, flagged and survived."""

import bz2
import gzip
import struct
import tracemalloc
import warnings
import zlib

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from galaxalign.data.fits import read_fits
from galaxalign.data.fits_layout import PLAIN
from galaxalign.data.flags import BadImage
from galaxalign.data.pictures import make_picture
from tests.data.fuzz_readers import check, read_damaged, tiles, whole_files
from tests.data.synthetic_images import RECIPE, noise, write_galaxy10

MIB = 2**20


def flag_and_memory(path):
    """The flag of a source, and the MiB that Python and NumPy allocated for it at most."""
    tracemalloc.start()
    flag = make_picture(str(path), RECIPE, 0.2).flag
    memory = tracemalloc.get_traced_memory()[1] / MIB
    tracemalloc.stop()
    return flag, memory


def header_of(shape, bits=-32, **cards):
    """A FITS header alone, that promises an image."""
    header = fits.Header([("SIMPLE", True), ("BITPIX", bits), ("NAXIS", len(shape))])
    for axis, side in enumerate(reversed(shape), 1):
        header[f"NAXIS{axis}"] = side
    header.update(cards)
    return header.tostring().encode()


@pytest.mark.parametrize(
    ("shape", "flag"),
    [
        ((3, 20000, 20000), "too_large"),
        ((2**31, 2**31, 2**31), "too_large"),
        ((10**18, 10**18), "too_large"),
        ((3, 4000, 4000), "truncated"),
    ],
)
def test_a_header_that_lies_costs_no_memory(tmp_path, shape, flag):
    path = tmp_path / "a.fits"
    path.write_bytes(header_of(shape) + bytes(2880))
    found, memory = flag_and_memory(path)
    assert found == flag
    assert memory < 20


def test_an_extension_that_lies_hides_nothing(tmp_path):
    # The primary unit promises more than the file has: what should follow it is not there.
    path = tmp_path / "a.fits"
    path.write_bytes(header_of((10**9,)) + bytes(2880))
    with pytest.raises(BadImage, match="has no image"):
        read_fits(path, PLAIN)


@pytest.mark.parametrize("pack", [gzip, bz2])
def test_a_bomb_of_one_unit(tmp_path, pack):
    # 200 MB of zeros, which a header of that size does describe, pack into kilobytes.
    path = tmp_path / f"a.fits.{'gz' if pack is gzip else 'bz2'}"
    with pack.open(path, "wb") as file:
        file.write(header_of((3, 4096, 4096)))
        for _ in range(192):
            file.write(bytes(MIB))
    assert path.stat().st_size < MIB
    # As large as the largest cutout: read, and found to be blank.
    flag, memory = flag_and_memory(path)
    assert flag == "blank"
    assert memory < 1500
    path.unlink()
    with pack.open(path, "wb") as file:
        file.write(header_of((3, 16384, 16384)))
    flag, memory = flag_and_memory(path)
    assert flag == "too_large"
    assert memory < 20


# A line of numbers and no unit after it, and one beyond what may be unpacked.
@pytest.mark.parametrize(("numbers", "size", "wanted"), [(2**20, 100, "unreadable"), (2**28, 600, "too_large")])
def test_a_bomb_before_the_image(tmp_path, numbers, size, wanted):
    path = tmp_path / "a.fits.gz"
    with gzip.open(path, "wb") as file:
        file.write(header_of((numbers,)))
        for _ in range(size):
            file.write(bytes(MIB))
    flag, memory = flag_and_memory(path)
    assert flag == wanted
    assert memory < 40


def test_a_bomb_of_tiles(tmp_path):
    header = fits.Header(
        [
            *(("XTENSION", "BINTABLE"), ("BITPIX", 8), ("NAXIS", 2), ("NAXIS1", 8), ("NAXIS2", 1)),
            *(("PCOUNT", 0), ("GCOUNT", 1), ("TFIELDS", 1), ("TTYPE1", "COMPRESSED_DATA"), ("TFORM1", "1PB(0)")),
            *(("ZIMAGE", True), ("ZBITPIX", -32), ("ZNAXIS", 2), ("ZNAXIS1", 8000), ("ZNAXIS2", 8000)),
            *(("ZTILE1", 2**30), ("ZTILE2", 2**30), ("ZCMPTYPE", "GZIP_1")),
        ]
    )
    path = tmp_path / "a.fits.fz"
    path.write_bytes(fits.PrimaryHDU().header.tostring().encode() + header.tostring().encode() + bytes(2880))
    flag, memory = flag_and_memory(path)
    assert flag == "unreadable"
    assert memory < 20
    header["ZNAXIS1"] = 2**40
    path.write_bytes(fits.PrimaryHDU().header.tostring().encode() + header.tostring().encode() + bytes(2880))
    flag, memory = flag_and_memory(path)
    assert flag == "too_large"
    assert memory < 20


def test_bombs_of_pictures(tmp_path):
    # PNG, 30000 x 30000 black pixels in kilobytes of zeros, by the PNG specification.
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    for side, limit in ((30000, 20), (7000, 20)):
        packer = zlib.compressobj()
        rows = b"".join(packer.compress(bytes(1 + 3 * side)) for _ in range(side // 10)) + packer.flush()
        header = struct.pack(">2I5B", side, side, 8, 2, 0, 0, 0)
        content = chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
        (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content)
        flag, memory = flag_and_memory(tmp_path / "a.png")
        assert flag == "too_large"
        assert memory < limit + 5
    # A JPEG whose frame header says 65500 x 65500.
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(tmp_path / "a.jpg")
    content = bytearray((tmp_path / "a.jpg").read_bytes())
    place = content.index(b"\xff\xc0") + 5
    content[place : place + 4] = struct.pack(">2H", 65500, 65500)
    (tmp_path / "a.jpg").write_bytes(content)
    flag, memory = flag_and_memory(tmp_path / "a.jpg")
    assert flag == "too_large"
    assert memory < 20


def test_a_packed_file_with_a_flipped_bit_is_found_out(tmp_path):
    whole = tmp_path / "a.fits"
    fits.PrimaryHDU(np.zeros((3, 64, 64), np.float32) + 1.5).writeto(whole)
    content = bytearray(gzip.compress(whole.read_bytes(), 0))
    content[len(content) // 2] ^= 1
    (tmp_path / "a.fits.gz").write_bytes(content)
    with pytest.raises(BadImage, match="CRC") as bad:
        read_fits(tmp_path / "a.fits.gz", PLAIN)
    assert bad.value.flag == "unreadable"


@pytest.mark.parametrize(
    ("place", "flag"), [("", "unreadable"), ("x", "unreadable"), ("-1", "unreadable"), ("²", "unreadable")]
)
def test_rows_that_are_no_numbers(tmp_path, place, flag):
    path = write_galaxy10(tmp_path / "g.h5", galaxies=10)
    assert make_picture(f"{path}#{place}", RECIPE, 0.2).flag == flag


def test_an_hdf5_file_cut_in_half(tmp_path):
    path = write_galaxy10(tmp_path / "g.h5", galaxies=10)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert make_picture(f"{path}#3", RECIPE, 0.2).flag == "unreadable"


def test_paths_that_cannot_be_files(tmp_path):
    loop = tmp_path / "loop.fits"
    loop.symlink_to(loop)
    for source in (
        str(loop),
        str(tmp_path),
        f"{tmp_path}/{'x' * 300}.jpg",
        "a\0b.fits",
        str(tmp_path / "loop.fits/a.png"),
    ):
        made = make_picture(source if source.endswith((".fits", ".jpg", ".png")) else f"{source}.fits", RECIPE, 0.2)
        assert made.flag == "missing_file"
    (tmp_path / "folder.fits").mkdir()
    assert make_picture(str(tmp_path / "folder.fits"), RECIPE, 0.2).flag == "missing_file"


@pytest.mark.parametrize("make", [whole_files, tiles])
def test_five_thousand_damaged_files(tmp_path, make):
    files = make()
    seen = {read_damaged(tmp_path, files, number) for number in range(5000)}
    assert {"", "unreadable", "truncated", "missing_band"} <= seen
    assert ("outside" in seen) == (make is tiles)


KEYWORDS = st.sampled_from(
    ["NAXIS1", "NAXIS2", "NAXIS3", "BITPIX", "BSCALE", "BZERO", "BLANK", "CTYPE1", "CD1_1", "BANDS"]
)
VALUES = st.one_of(
    st.integers(-(2**70), 2**70).map(str), st.floats().map(str), st.text(st.characters(max_codepoint=126), max_size=40)
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cards=st.lists(st.tuples(KEYWORDS, VALUES), max_size=5), tail=st.binary(max_size=200))
def test_headers_may_say_anything(tmp_path, cards, tail):
    lines = ["SIMPLE  =                    T", "BITPIX  =                  -32", "NAXIS   =                    3"]
    lines += [f"NAXIS{axis}  =                    8" for axis in (1, 2, 3)]
    lines += [f"{keyword:8}= {value}" for keyword, value in cards]
    text = "".join(f"{line:80.80}" for line in [*lines, "END"])
    content = text.encode("latin-1").ljust(2880)[:2880] + noise(3, 8, 8).astype(">f4").tobytes() + tail
    path = tmp_path / "a.fits"
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        flag = check(make_picture(str(path), RECIPE, 0.2))
    if not {keyword for keyword, _ in cards} & {"NAXIS1", "NAXIS2", "NAXIS3", "BITPIX"}:
        # Three of eight planes are there.
        assert flag == "truncated"


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(min_size=1, max_size=400), start=st.sampled_from(sorted({c[:4] for c in whole_files().values()}))
)
def test_bytes_may_be_anything(tmp_path, content, start):
    for ending in (".fits", ".jpg", ".h5"):
        path = tmp_path / f"a{ending}"
        path.write_bytes(start + content)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert check(make_picture(f"{path}#0" if ending == ".h5" else str(path), RECIPE, 0.2)) != ""
