"""Drawings: framed, turned, alike as vectors and pixels, and of the right hand."""

import csv
import itertools
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from galaxalign.symbols.drawing import draw, to_svg
from galaxalign.symbols.library import SYMBOLS
from tests.symbols.spirals import measured_hand

SVG = "{http://www.w3.org/2000/svg}"


def painted(svg: str, size: int) -> np.ndarray:
    """A plain painter of the SVG that `to_svg` writes: blurred polygons, one over the other."""
    root = ET.fromstring(svg)
    blurs = {f"url(#{f.get('id')})": float(f[0].get("stdDeviation")) for f in root.iter(f"{SVG}filter")}
    canvas = np.zeros((size, size))
    for polygon in root.iter(f"{SVG}polygon"):
        layer = Image.new("L", (size, size))
        corners = [tuple((float(v) + 100) * size / 200 for v in c.split(",")) for c in polygon.get("points").split()]
        ImageDraw.Draw(layer).polygon(corners, fill=255)
        blurred = layer.filter(ImageFilter.GaussianBlur(blurs[polygon.get("filter")] * size / 200))
        cover = np.asarray(blurred) / 255 * float(polygon.get("fill-opacity"))
        canvas = canvas * (1 - cover) + cover * (polygon.get("fill") == "white")
    return 255 * canvas


@pytest.mark.parametrize("name", SYMBOLS)
def test_a_drawing_is_white_on_black_inside_its_frame(name):
    picture = draw(SYMBOLS[name].geometry, 64)
    assert picture.shape == (64, 64)
    assert picture.dtype == np.uint8
    assert picture.max() > 150
    border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    assert border.max() < 20


@pytest.mark.parametrize("name", SYMBOLS)
def test_vectors_and_pixels_show_the_same(name):
    geometry = SYMBOLS[name].geometry
    coarse = painted(to_svg(geometry, angle=30.0), 192).reshape(64, 3, 64, 3).mean(axis=(1, 3))
    assert np.abs(coarse - draw(geometry, 64, angle=30.0)).mean() < 2


def test_all_symbols_differ_at_32_pixels():
    small = {name: draw(symbol.geometry, 32).astype(float) for name, symbol in SYMBOLS.items()}
    distance = {pair: np.abs(small[pair[0]] - small[pair[1]]).mean() for pair in itertools.combinations(small, 2)}
    nearest = min(distance, key=distance.__getitem__)
    assert distance[nearest] > 1, nearest


def test_drawings_turn_anticlockwise_and_keep_their_size():
    geometry = SYMBOLS["edge_none"].geometry
    lying, standing = draw(geometry, 64), draw(geometry, 64, angle=90.0)
    assert np.abs(np.rot90(lying).astype(float) - standing).mean() < 2
    rising = draw(geometry, 64, angle=30.0).astype(float)
    rows, columns = np.mgrid[:64, :64] - 31.5
    # Right of the centre the light lies above it, in rows of smaller number.
    assert (rising * rows)[columns > 10].sum() < 0


def test_thickness_widens_lines():
    geometry = SYMBOLS["spiral_loose"].geometry
    assert draw(geometry, 64, thickness=1.5).sum() > 1.2 * draw(geometry, 64, thickness=0.7).sum()


@pytest.mark.parametrize("angle", [0.0, 35.0, 250.0])
@pytest.mark.parametrize("pitch", [12.0, 20.0, 30.0])
def test_arms_turn_the_way_that_their_geometry_says(angle, pitch):
    for hand in (1, -1):
        geometry = replace(SYMBOLS["arms_2"].geometry, hand=hand, pitch=pitch)
        assert hand * measured_hand(draw(geometry, 128, angle=angle).astype(float)) > 0.7


def test_tails_trail_as_arms_of_their_hand_do():
    geometry = replace(SYMBOLS["merger_tidal"].geometry, companion_angle=0.0)
    right = draw(geometry, 64).astype(float)[:, 48:]
    # With hand +1 the tail on the right bends anticlockwise, upwards.
    assert (right * (np.arange(64) - 31.5)[:, None]).sum() < 0


def test_clockwise_is_the_mirror_image_of_anticlockwise():
    clockwise, anticlockwise = (
        draw(SYMBOLS[f"spiral_{hand}"].geometry, 128).astype(float) for hand in ("clockwise", "anticlockwise")
    )
    assert np.abs(clockwise[:, ::-1] - anticlockwise).mean() < 1
    assert np.abs(clockwise - anticlockwise).mean() > 10


def test_real_spirals_turn_as_galaxy_zoo_1_says(real_data):
    """The sign of the hand, on the sky: a plain template finds it in well above half of real spirals."""
    with (real_data / "gz1/catalog.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    right = []
    for label, hand in (("clockwise spiral", 1), ("anticlockwise spiral", -1)):
        for row in [row for row in rows if row["label"] == label][:100]:
            picture = Image.open(real_data / "gz1" / row["file"]).convert("L")
            edge = 0.3 * picture.width
            box = (edge, edge, picture.width - edge, picture.height - edge)
            pixels = np.asarray(picture.resize((128, 128), box=box), dtype=float)
            right.append(hand * measured_hand(pixels, (2, 3, 4)) > 0)
    # 200 tosses of a coin pass 125 once in 3000 times.
    assert sum(right) > 130
    assert min(sum(right[:100]), sum(right[100:])) > 60
