"""The central square of a JPEG, decoded without the rows below it: the same pixels, and what is damaged is found."""

import numpy as np
import pytest
from PIL import Image

from galaxalign.data import jpeg
from galaxalign.data.crop import crop_centre
from galaxalign.data.flags import BadImage
from galaxalign.data.raster import MAX_PIXELS, read_picture


def picture(height=93, width=118):
    """Light that changes from block to block and within them, so that a wrong neighbour shows."""
    generator = np.random.default_rng(height)
    coarse = generator.integers(0, 256, (height // 3 + 1, width // 3 + 1, 3), np.uint8)
    return np.kron(coarse, np.ones((3, 3, 1), np.uint8))[:height, :width]


@pytest.fixture
def upper(monkeypatch):
    """How often rows below were left out, and how often that could not be had."""
    made = []
    real = jpeg._decode_upper

    def watched(*arguments):
        made.append(real(*arguments))
        return made[-1]

    monkeypatch.setattr(jpeg, "_decode_upper", watched)
    return made


@pytest.mark.parametrize("crop", [0.01, 0.3, 0.36, 0.5, 0.77, 0.99, 1.0])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_the_square_is_that_of_the_whole_picture(tmp_path, upper, crop, subsampling, mode):
    for number, shape in enumerate([(93, 118), (128, 96), (64, 64), (17, 40)]):
        path = tmp_path / f"{number}.jpg"
        Image.fromarray(picture(*shape)).convert(mode).save(path, subsampling=subsampling, quality=60 + 10 * number)
        assert np.array_equal(read_picture(path, crop), crop_centre(read_picture(path), crop)), shape
    # Without rows below to leave out there is nothing to gain.
    assert len(upper) == 4
    assert (upper[0] is not None) == (crop < 0.8)


def test_real_squares_are_those_of_whole_pictures(real_data, upper):
    paths = sorted(real_data.glob("g*/images/*"))[::41]
    for path in paths:
        assert np.array_equal(read_picture(path, 0.5), crop_centre(read_picture(path), 0.5)), path.name
    assert sum(rows is not None for rows in upper) == len(upper) > 100


@pytest.mark.parametrize("options", [{"progressive": True}, {"restart_marker_rows": 1}, {"restart_marker_blocks": 5}])
def test_other_scans_are_decoded_whole(tmp_path, upper, options):
    Image.fromarray(picture()).save(tmp_path / "a.jpg", **options)
    assert np.array_equal(read_picture(tmp_path / "a.jpg", 0.4), crop_centre(read_picture(tmp_path / "a.jpg"), 0.4))
    assert upper == [None]


def test_a_picture_that_ends_early_is_found_though_its_square_is_whole(tmp_path):
    Image.fromarray(picture()).save(tmp_path / "a.jpg")
    content = (tmp_path / "a.jpg").read_bytes()
    for length in (len(content) - 2, len(content) * 9 // 10, len(content) // 2):
        (tmp_path / "a.jpg").write_bytes(content[:length])
        with pytest.raises(BadImage) as bad:
            read_picture(tmp_path / "a.jpg", 0.3)
        assert bad.value.flag == "truncated"


def test_damage_in_the_square_is_no_better_than_in_a_whole_picture(tmp_path):
    Image.fromarray(picture()).save(tmp_path / "a.jpg", quality=90)
    content = bytearray((tmp_path / "a.jpg").read_bytes())
    found = 0
    for place in range(len(content) // 3, len(content) // 2, 97):
        broken = bytes(content[:place] + b"\xff\xc7" + content[place + 2 :])
        whole, square = (jpeg.decode_jpeg(broken, crop, MAX_PIXELS) for crop in (None, 0.5))
        assert (whole is None) == (square is None)
        found += whole is None
    assert found > 5


def test_damage_below_the_square_spares_it(tmp_path):
    Image.fromarray(picture()).save(tmp_path / "a.jpg", quality=90)
    content = (tmp_path / "a.jpg").read_bytes()
    broken = content[:-40] + bytes(20) + content[-20:]
    square = jpeg.decode_jpeg(broken, 0.3, MAX_PIXELS)
    assert np.array_equal(square, crop_centre(read_picture(tmp_path / "a.jpg"), 0.3))
