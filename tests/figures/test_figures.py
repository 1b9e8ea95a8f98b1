"""Every figure drawn from synthetic results: what it must show, and that nothing lies outside or overlaps."""

import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from galaxalign.data.labels import FATES, NO_CLASS, label_table
from galaxalign.data.leaks import read_leaks, write_leaks
from galaxalign.data.store import read_store
from galaxalign.evaluate.embeddings import read_embeddings
from galaxalign.evaluate.evaluation import EvaluationSettings, evaluate_run
from galaxalign.figures.comparison import comparison
from galaxalign.figures.confusion import confusion_matrices
from galaxalign.figures.few_labels import few_labels, read_seeds
from galaxalign.figures.galaxies import galaxy_plate, reject_plate
from galaxalign.figures.labels import label_counts
from galaxalign.figures.leaks import leak_plate
from galaxalign.figures.learning import learning_curves, read_histories
from galaxalign.figures.living import living_symbols
from galaxalign.figures.map import STAR, embedding_map, push_apart
from galaxalign.figures.retrieval import MOST, NEAREST, read_similar, retrieval_grid, similar_grid
from galaxalign.figures.style import SMALL
from galaxalign.figures.symbols import symbol_plate
from galaxalign.symbols.library import SYMBOLS as LIBRARY
from galaxalign.symbols.matching import measure_look
from galaxalign.symbols.store import DrawnSymbols, read_symbols, write_symbols
from tests.synthetic_results import NAMES, SYMBOLS, write_embeddings, write_history, write_store

SETTINGS = EvaluationSettings(split="test", top_k=[1, 10], bootstrap=50, seed=0, probe=[1.0])
# Pixels that boxes of text may share: letters do not fill their boxes.
SLACK = 1.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def store(folder):
    return read_store(write_store(folder / "images.h5"))


@pytest.fixture(scope="module")
def embeddings(folder):
    return read_embeddings(write_embeddings(folder / "galaxalign.h5"))


@pytest.fixture(scope="module")
def runs(folder):
    aligned = evaluate_run(write_embeddings(folder / "galaxalign.h5"), SETTINGS)
    head = evaluate_run(write_embeddings(folder / "image_only.h5", trained=(), head=True), SETTINGS)
    return [json.loads(json.dumps(run)) for run in (head | {"classifier": "head"}, aligned)]


def hidden_labels(figure: Figure) -> set[Text]:
    """Labels of ticks outside the view or of panels without axes, which matplotlib keeps and does not draw."""
    hidden = set()
    for panel in figure.axes:
        for axis in (panel.xaxis, panel.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                if not panel.axison or not low <= tick.get_loc() <= high:
                    hidden |= {tick.label1, tick.label2}
                hidden |= {label for label in (tick.label1, tick.label2) if not label.get_visible()}
    return hidden


def words_of(figure: Figure) -> list[Text]:
    """Every text that is drawn, after checking that it is inside the figure, legible and free of others."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    shown = [text for text in set(figure.findobj(Text)) - hidden_labels(figure) if text.get_text().strip()]
    boxes = [text.get_window_extent(canvas.get_renderer()) for text in shown]
    width, height = canvas.get_width_height()
    for text, box in zip(shown, boxes, strict=True):
        assert text.get_fontsize() >= SMALL, text.get_text()
        assert box.x0 >= -SLACK and box.x1 <= width + SLACK, text.get_text()
        assert box.y0 >= -SLACK and box.y1 <= height + SLACK, text.get_text()
    for (one, a), (two, b) in combinations(zip(shown, boxes, strict=True), 2):
        shared = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
        assert min(shared) <= SLACK, (one.get_text(), two.get_text())
    return shown


def said(figure: Figure) -> str:
    return " ".join(text.get_text().replace("\n", " ") for text in figure.findobj(Text))


def pictures(figure: Figure) -> int:
    return sum(len(panel.images) for panel in figure.axes)


def test_symbol_plate_names_every_symbol():
    figure = symbol_plate()
    words_of(figure)
    assert pictures(figure) == len(LIBRARY)
    assert all(symbol.title in said(figure) for symbol in LIBRARY.values())


@pytest.mark.parametrize("matched", [False, True])
def test_living_symbols_shows_six_rendered_and_six_real(folder, store, matched):
    path = folder / "symbols.h5"
    sheet = Path(__file__).parents[2] / "config/morphology/galaxymnist.yaml"
    how = {"size": 32, "variants": 1, "seed": 0, "code": "", "drawings": folder / "drawings"}
    write_symbols(sheet=sheet, symbols=path, **how)
    symbols = read_symbols(path)
    assert isinstance(symbols, DrawnSymbols)
    look = measure_look(store.pictures(np.arange(40))) if matched else None
    figure = living_symbols(symbols, store, look, seed=0)
    words_of(figure)
    assert pictures(figure) == 13 * len(symbols.names)
    # Rendered in the store's own frame where they match it, else in the simulated survey's.
    rendered = figure.axes[1].images[0].get_array()
    assert rendered.shape[0] == (store.recipe.size if matched else 160)


def test_living_symbols_beside_galaxies_of_any_class_where_none_has_one(folder, store):
    path = folder / "unlabelled.h5"
    sheet = Path(__file__).parents[2] / "config/morphology/galaxymnist.yaml"
    write_symbols(sheet=sheet, symbols=path, size=32, variants=1, seed=0, code="", drawings=folder / "unlabelled")
    symbols = read_symbols(path)
    figure = living_symbols(symbols, replace(store, label=np.full_like(store.label, -1)), None, seed=0)
    words_of(figure)
    assert pictures(figure) == 13 * len(symbols.names)
    assert "Galaxies of the data set, of any class" in said(figure)


def test_galaxy_plate_counts_every_class(store):
    figure = galaxy_plate(store, seed=0)
    words_of(figure)
    assert pictures(figure) == 10 * len(NAMES)
    assert said(figure).count("50: 26 + 12 + 12") == len(NAMES)


def test_galaxies_without_any_class_are_drawn_too(store):
    figure = galaxy_plate(replace(store, label=np.full_like(store.label, -1)), seed=0)
    words_of(figure)
    assert pictures(figure) == 20
    assert "200 galaxies, none with a class" in said(figure)


def test_reject_plate_with_and_without_rejects(folder, store):
    assert "no image was rejected (200 read)" in said(reject_plate(store))
    assert pictures(reject_plate(store)) == 0
    for rejected, shown in ((1, 1), (9, 9), (40, 28)):
        figure = reject_plate(read_store(write_store(folder / f"bad{rejected}.h5", rejected=rejected)))
        words_of(figure)
        assert pictures(figure) == shown
        assert f"{rejected} of 200 images rejected" in said(figure)


def test_label_counts_with_and_without_conflicts(folder):
    store = read_store(write_store(folder / "labels.h5", rejected=7))
    rivals = np.full(200, "", dtype=object)
    figure = label_counts(label_table(store, rivals), NAMES)
    words_of(figure)
    assert len(figure.axes) == 1
    assert said(figure).count("50") >= len(NAMES)
    assert all(word in said(figure) for word in ("train", "validation", "test", "rejected", "(no class)"))
    assert "unused" not in said(figure)
    rivals[3:90:4] = "Round | Cigar"
    figure = label_counts(label_table(store, rivals), NAMES)
    words_of(figure)
    assert "(22 of 200 galaxies)" in said(figure)
    cells = figure.axes[1].images[0].get_array()
    assert cells.shape == (4, 4)
    assert cells[3].tolist() == [22, 22, 0, 0]


LONG_NAMES = [f"In-between Round Smooth Galaxies number {n}" for n in range(26)]


@pytest.mark.parametrize("count", [16, 26])
def test_label_counts_of_many_classes_with_conflicts(count):
    classes = [f"c{n}" for n in range(count)]
    counts = np.full((count + 1, count), 3)
    table = pd.DataFrame({"class": [*classes, NO_CLASS], "galaxies": 90, "conflicts": 7, **dict.fromkeys(FATES, 18)})
    figure = label_counts(
        table.assign(**{f"also {c}": counts[:, n] for n, c in enumerate(classes)}), LONG_NAMES[:count]
    )
    words_of(figure)
    bars, cells = (panel.get_position() for panel in figure.axes)
    assert bars.x1 < cells.x0
    # A row of the matrix is the row of its class.
    assert cells.height / count == pytest.approx(bars.height / (count + 1))


def test_leak_plate_shows_pairs_and_frames_those_that_leak(folder, store):
    write_leaks(store, radius=60, seed=0, table=folder / "leaks.tsv")
    leaks = read_leaks(folder / "leaks.tsv")
    figure = leak_plate(store, leaks)
    words_of(figure)
    assert pictures(figure) == 32
    assert "Most alike by their pictures" in said(figure)
    assert "Closest on the sky" in said(figure)
    # All galaxies of a class are one picture here, at one place of the sky.
    assert said(figure).count("0 % differ, 0″") >= 8
    assert sum(panel.axison for panel in figure.axes) == 32
    figure = leak_plate(store, leaks[leaks["by"] == "picture"][:3].assign(leak=False, separation=np.nan))
    words_of(figure)
    assert (pictures(figure), sum(panel.axison for panel in figure.axes)) == (6, 0)
    assert "no galaxies in different splits" in said(leak_plate(store, leaks[:0]))


def test_learning_curves_join_both_stages(folder):
    none = write_history(folder / "none.tsv", stage="shared", epochs=0)
    first = write_history(folder / "first.tsv", stage="shared", epochs=3)
    second = write_history(folder / "second.tsv", stage="symbol", epochs=2)
    histories = read_histories(["frozen", "galaxalign"], [none, first], [none, second])
    assert histories["galaxalign"]["total_epoch"].tolist() == [1, 2, 3, 4, 5]
    figure = learning_curves(histories)
    words_of(figure)
    curve, begins = figure.axes[1].lines
    assert curve.get_xdata().tolist() == [1, 2, 3, 4, 5]
    assert begins.get_xdata().tolist() == [1, 4]
    assert "no run was trained" in said(learning_curves({"frozen": histories["frozen"]}))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_confusion_has_a_panel_a_run_with_numbers_that_fit(runs, count):
    figure = confusion_matrices((runs * 3)[:count])
    words_of(figure)
    assert pictures(figure) == count
    rows = np.asarray(figure.axes[0].images[0].get_array()).sum(1)
    np.testing.assert_allclose(rows, 1)


def test_confusion_of_many_classes_and_long_names(runs):
    count = 12
    many = np.eye(count, dtype=int).tolist()
    measured = {"confusion": many, "accuracy": {"value": 1.0}}
    wide = [
        {"run": f"a_rather_long_name_of_a_run_{n}", "names": LONG_NAMES[:count], "classifier": "fused"}
        | {"classification": {"fused": measured}}
        for n in range(3)
    ]
    figure = confusion_matrices(wide)
    words_of(figure)
    assert pictures(figure) == 3


@pytest.mark.parametrize("count", [1, 2, 6])
def test_comparison_shows_every_method_with_its_interval(runs, count):
    figure = comparison((runs * 3)[:count])
    words_of(figure)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [
        run["run"] for run in (runs * 3)[:count]
    ]
    lines = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 2 and line.get_marker() == "None"]
    intervals = [tuple(line.get_xdata()) for line in lines]
    for run in runs[:count]:
        for measured in run["classification"].values():
            assert (measured["accuracy"]["low"], measured["accuracy"]["high"]) in intervals


def test_few_labels_shows_means_seeds_and_runs_without_labels(folder):
    runs = ["image_only", "image_rendered", "image_warm", "aligned", "galaxalign", "image_text", "image_symbol"]
    rows = [
        (run, labels, seed, f"{run}-{labels}-{seed}", 0.4 + 0.04 * place + 0.1 * column + 0.02 * seed)
        for place, run in enumerate(runs)
        for column, labels in enumerate(("all", "10", "50"))
        for seed in range(3)
    ]
    rows += [("frozen", "all", 0, "frozen", 0.5), ("living", "0", 0, "living", 0.45)]
    table = pd.DataFrame(rows, columns=["run", "labels", "seed", "name", "macro_f1"]).assign(trained_on=0)
    table.loc[table["labels"] == "10", "trained_on"] = 80
    table.to_csv(folder / "seeds.tsv", sep="\t", index=False)
    figure = few_labels(read_seeds(folder / "seeds.tsv"))
    words_of(figure)
    (panel,) = figure.axes
    assert [label.get_text() for label in panel.get_xticklabels()] == ["0", "10\n(80 in all)", "50", "all"]
    lines = {str(line.get_label()): line for line in panel.lines}
    named = [name for name in lines if not name.startswith("_")]
    assert named == [*runs, "frozen (untrained)", "living (0 labels)"]
    # In the order of the axis: 10, 50 and all labels, each the mean of seeds 0, 1 and 2.
    np.testing.assert_allclose(lines["image_only"].get_ydata(), [0.52, 0.62, 0.42])
    levels = {line.get_ydata()[0] for line in panel.lines if len(set(line.get_ydata())) == 1}
    assert {0.5, 0.45} <= levels
    looks = {(lines[run].get_color(), lines[run].get_marker(), lines[run].get_markerfacecolor()) for run in runs}
    assert len(looks) == len(runs)
    seeds = [line for line in panel.lines if line.get_linestyle() == "None" and line.get_alpha() == 0.5]
    assert len(seeds) == len(runs)
    assert all(len(line.get_ydata()) == 9 for line in seeds)


def test_embedding_map_places_symbols_and_texts(embeddings):
    figure = embedding_map(embeddings, galaxies=120, seed=0)
    words_of(figure)
    panel = figure.axes[0]
    assert sum(len(points.get_offsets()) for points in panel.collections) == 120
    assert len([artist for artist in panel.artists if hasattr(artist, "offsetbox")]) == len(SYMBOLS)
    assert all(name in said(figure) for name in NAMES)


def test_embedding_map_of_a_run_without_symbols_and_texts(folder):
    figure = embedding_map(read_embeddings(write_embeddings(folder / "bare.h5", trained=())), galaxies=50, seed=0)
    assert not figure.axes[0].artists


@pytest.mark.parametrize("labelled", [0, 1, 4])
def test_a_map_needs_a_few_labelled_galaxies(embeddings, labelled):
    galaxies = embeddings.galaxies
    label = np.where(np.arange(len(galaxies.label)) < labelled, galaxies.label, -1)
    figure = embedding_map(replace(embeddings, galaxies=replace(galaxies, label=label)), galaxies=120, seed=0)
    assert ("fewer than 4 labelled galaxies" in said(figure)) == (labelled < 4)
    assert len(figure.axes) == (labelled >= 4)


def test_boxes_are_pushed_apart_and_off_stars():
    centres = np.array([[0.0, 0.0], [0.0, 0.0], [0.1, 0.05], [3.0, 3.0]])
    sizes = np.array([[0.3, 0.3], [0.8, 0.2], [0.3, 0.3], [0.3, 0.3]])
    moved = push_apart(centres, sizes, centres[:1])
    boxes = [*zip(moved, sizes, strict=True), (centres[0], np.full(2, STAR))]
    for (a, size_a), (b, size_b) in combinations(boxes, 2):
        assert (np.abs(a - b) >= (size_a + size_b) / 2 - 1e-6).any()
    np.testing.assert_allclose(moved[3], centres[3], atol=1e-5)


def test_retrieval_grid_marks_right_and_wrong(folder, store):
    perfect = read_embeddings(write_embeddings(folder / "perfect.h5", noise=0.05))
    figure = retrieval_grid(perfect, store, split="test", seed=0)
    words_of(figure)
    # Four classes, three kinds of query; texts are words, not pictures.
    assert pictures(figure) == 12 * NEAREST + 8
    marks = [len(line.get_xdata()) for panel in figure.axes for line in panel.lines]
    assert marks == [3] * 12 * NEAREST
    chance = read_embeddings(write_embeddings(folder / "chance.h5", noise=1e3, trained=()))
    figure = retrieval_grid(chance, store, split="test", seed=0)
    marks = [len(line.get_xdata()) for panel in figure.axes for line in panel.lines]
    assert len(marks) == 4 * NEAREST
    assert {3, 5} == set(marks)


def test_similar_grid_shows_queries_and_neighbours(folder, store):
    queries = [("galaxy", "g7"), ("symbol", "merger"), ("text", "a galaxy with a long tidal tail")]
    rows = [(kind, query, n + 1, f"g{n}", 0.9 - 0.1 * n) for kind, query in queries for n in range(5)]
    table = pd.DataFrame(rows, columns=["kind", "query", "rank", "id", "similarity"])
    table.to_csv(folder / "similar.tsv", sep="\t", index=False)
    figure = similar_grid(read_similar(folder / "similar.tsv"), store)
    words_of(figure)
    assert pictures(figure) == 3 * 5 + 2
    assert said(figure).count("g4 0.500") == 3


def test_similar_grid_shows_as_many_neighbours_as_a_page_holds(store):
    rows = [("symbol", "merger", n + 1, f"123765432100000{n:04}", 0.5) for n in range(190)]
    store = replace(store, id=np.array([f"123765432100000{n:04}" for n in range(200)]))
    figure = similar_grid(pd.DataFrame(rows, columns=["kind", "query", "rank", "id", "similarity"]), store)
    words_of(figure)
    assert pictures(figure) == MOST + 1
    nothing = pd.DataFrame([], columns=["kind", "query", "rank", "id", "similarity"])
    assert "no other good galaxy" in said(similar_grid(nothing, store))


def test_dollars_are_dollars(store):
    """Ids and files may have them; two would begin a formula."""
    named = replace(store, flag=np.array(["faint", *[""] * 199]), reason=np.array(["a$b_{$ is faint", *[""] * 199]))
    figure = reject_plate(named)
    words_of(figure)
    assert "a$b_{$" in said(figure)


def test_a_survey_with_one_judged_galaxy_a_class_is_drawn(folder, store):
    few = read_embeddings(write_embeddings(folder / "few.h5", noise=0.05))
    label, split = few.galaxies.label, few.galaxies.split.copy()
    judged = np.flatnonzero(split == "test")
    kept = [judged[label[judged] == number][0] for number in range(3)]
    split[np.setdiff1d(judged, kept)] = "train"
    alone = replace(few, galaxies=replace(few.galaxies, split=split))
    figure = retrieval_grid(alone, store, split="test", seed=0)
    words_of(figure)
    # Symbols and texts of the three classes that are there.
    assert "by symbol" in said(figure)
    assert "by galaxy" not in said(figure)
    none = replace(few, galaxies=replace(few.galaxies, split=np.full(len(split), "train", split.dtype)))
    assert "no class has galaxies enough to look for" in said(retrieval_grid(none, store, split="test", seed=0))


def test_comparison_without_a_search(runs):
    empty = [run | {"retrieval": {kind: {} for kind in run["retrieval"]}} for run in runs]
    figure = comparison(empty)
    words_of(figure)
    assert figure.axes[2].get_xlabel() == "Search"
