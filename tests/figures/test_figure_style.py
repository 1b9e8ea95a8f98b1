"""Saving a figure: same bytes, caption inside, sizes of print."""

from matplotlib.figure import Figure
from PIL import Image

from galaxalign.figures.style import DPI, PAGE, SMALL, read_caption, save, shorten, styled, wrap


@styled
def drawn():
    figure = Figure(figsize=(PAGE, 2))
    figure.subplots().plot([0, 1], [0, 1], label="a line")
    return figure


def test_same_figure_same_bytes(tmp_path):
    caption = tmp_path / "caption.rst"
    caption.write_text("A *line*,\nfrom 0 to 1 – straight.\n")
    files = [[tmp_path / f"{name}.{kind}" for kind in ("png", "pdf")] for name in ("one", "two")]
    for png, pdf in files:
        save(drawn(), png=png, pdf=pdf, caption=caption)
    for one, two in zip(*files, strict=True):
        assert one.read_bytes() == two.read_bytes()
    with Image.open(files[0][0]) as image:
        assert image.size == (PAGE * DPI, 2 * DPI)
        assert image.info["Description"] == "A line, from 0 to 1 – straight."
    assert b"CreationDate" not in files[0][1].read_bytes()


def test_a_new_caption_makes_a_new_file(tmp_path):
    made = []
    for words in ("Before.", "After."):
        (tmp_path / "caption.rst").write_text(words)
        save(drawn(), png=tmp_path / "f.png", pdf=tmp_path / "f.pdf", caption=tmp_path / "caption.rst")
        made.append(((tmp_path / "f.png").read_bytes(), (tmp_path / "f.pdf").read_bytes()))
    assert made[0][0] != made[1][0]
    assert made[0][1] != made[1][1]


def test_captions_lose_their_marks(tmp_path):
    (tmp_path / "c.rst").write_text("See :ref:`there` and ``this``,\n**now**.")
    assert read_caption(tmp_path / "c.rst") == "See there and this, now."


def test_words_fit_their_width():
    assert wrap("a spiral galaxy with no bar", 0.7, SMALL).count("\n") == 1
    assert wrap("one two three four five six", 0.3, SMALL, lines=2).split("\n") == ["one two", "three …"]
    assert shorten("sim0-1", 0.5) == "sim0-1"
    assert shorten("587722984435351614", 0.4) == "…51614"
