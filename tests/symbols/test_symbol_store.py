"""Symbols on disk: one row a class and symbol, varied, reproducible, of one hand where it matters."""

import json

import h5py
import numpy as np
import pytest

from galaxalign.errors import GalaxAlignError
from galaxalign.symbols.drawing import draw, to_svg
from galaxalign.symbols.library import SYMBOLS
from galaxalign.symbols.sheet import read_sheet
from galaxalign.symbols.store import read_symbols, write_symbols
from tests.conftest import ROOT
from tests.symbols.spirals import measured_hand

SHEET = ROOT / "config/morphology/gz1.yaml"


def write(folder, **changes):
    folder.mkdir()
    settings = {"sheet": SHEET, "size": 48, "variants": 3, "seed": 0, "code": "abc"} | changes
    write_symbols(**settings, symbols=folder / "symbols.h5", drawings=folder / "symbols")
    return folder / "symbols.h5"


def test_rows_follow_the_sheet_and_hold_the_canonical_drawings(tmp_path):
    drawn = read_symbols(write(tmp_path / "a"))
    sheet = read_sheet(SHEET)
    assert drawn.sheet == sheet
    assert [(name, int(index)) for name, index in zip(drawn.names, drawn.classes, strict=True)] == [
        (name, index) for index, entry in enumerate(sheet.classes) for name in entry.symbols
    ]
    assert drawn.images.shape == (8, 48, 48, 3)
    assert drawn.views.shape == (8, 3, 48, 48)
    assert drawn.images.dtype == drawn.views.dtype == np.uint8
    for name, image in zip(drawn.names, drawn.images, strict=True):
        np.testing.assert_array_equal(image, np.repeat(draw(SYMBOLS[name].geometry, 48)[..., None], 3, axis=-1))


def test_a_decision_tree_brings_each_of_its_symbols_once(tmp_path):
    drawn = read_symbols(write(tmp_path / "a", sheet=ROOT / "config/morphology/gz2.yaml", size=24, variants=2))
    tree = drawn.sheet.tree
    assert drawn.tree.names == tree.symbols
    assert drawn.tree.images.shape == (len(tree.symbols), 24, 24, 3)
    assert drawn.tree.views.shape == (len(tree.symbols), 2, 24, 24)
    # A symbol looks the same for its class and for its answer.
    row, own = drawn.names.index("merger_tidal"), drawn.tree.names.index("merger_tidal")
    np.testing.assert_array_equal(drawn.tree.images[own], drawn.images[row])
    np.testing.assert_array_equal(drawn.tree.views[own], drawn.views[row])
    assert {path.stem for path in (tmp_path / "a/symbols").iterdir()} == {*drawn.names, *tree.symbols}
    assert read_symbols(write(tmp_path / "b", sheet=ROOT / "config/morphology/galaxymnist.yaml")).tree is None


def test_attributes_name_classes_hand_and_code(tmp_path):
    with h5py.File(write(tmp_path / "a")) as file:
        assert json.loads(file.attrs["classes"])[1] == "clockwise spiral"
        assert json.loads(file.attrs["names"])[1] == "Clockwise"
        assert bool(file.attrs["handed"])
        assert file.attrs["code"] == "abc"


def test_each_symbol_is_also_a_vector_drawing_and_a_picture(tmp_path):
    write(tmp_path / "a")
    folder = tmp_path / "a/symbols"
    names = {name for entry in read_sheet(SHEET).classes for name in entry.symbols}
    assert {path.name for path in folder.iterdir()} == {f"{n}.{kind}" for n in names for kind in ("svg", "png")}
    assert (folder / "merger.svg").read_text() == to_svg(SYMBOLS["merger"].geometry)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path):
    one, same, other = write(tmp_path / "a"), write(tmp_path / "b"), write(tmp_path / "c", seed=1)
    assert one.read_bytes() == same.read_bytes()
    assert (read_symbols(one).views != read_symbols(other).views).any(axis=(1, 2, 3)).all()
    np.testing.assert_array_equal(read_symbols(one).images, read_symbols(other).images)


def test_variants_differ_and_handed_ones_are_not_mirrored(tmp_path):
    drawn = read_symbols(write(tmp_path / "a", size=96, variants=40))
    for name, views in zip(drawn.names, drawn.views, strict=True):
        assert len({view.tobytes() for view in views}) == 40
        if SYMBOLS[name].handed:
            # A bar or a strong inclination hides the hand of some from so plain a template.
            hands = [measured_hand(view.astype(float), (2, 3, 4)) for view in views]
            assert np.mean(SYMBOLS[name].geometry.hand * np.array(hands) > 0) > 0.8


def test_lines_of_variants_are_of_any_thickness(tmp_path):
    """A star is drawn of lines alone, so that its light tells how thick they are."""
    tree = read_symbols(write(tmp_path / "a", sheet=ROOT / "config/morphology/gz2.yaml", size=24, variants=20)).tree
    light = tree.views[tree.names.index("star")].sum(axis=(1, 2), dtype=float)
    assert light.max() > 1.2 * light.min()


@pytest.mark.parametrize("content", [b"nonsense", None])
def test_what_is_no_store_of_symbols_is_named(tmp_path, content):
    path = tmp_path / "symbols.h5"
    if content:
        path.write_bytes(content)
    with pytest.raises(GalaxAlignError, match=r"symbols\.h5 is no store of symbols; delete it"):
        read_symbols(path)
