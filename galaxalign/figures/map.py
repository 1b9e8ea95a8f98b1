"""The common space on a page: galaxies as points, with the symbols and texts among them."""

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from numpy.typing import NDArray
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from galaxalign.evaluate.embeddings import Embeddings, Prompts
from galaxalign.evaluate.prototypes import text_prototypes
from galaxalign.evaluate.retrieval import nearest
from galaxalign.figures.style import BLACK, PAGE, SMALL, class_color, class_marker, sentence, styled, wrap
from galaxalign.symbols.drawing import draw
from galaxalign.symbols.library import SYMBOLS

Points = NDArray[np.float64]
Pair = tuple[float, float]

# A symbol or text stands in the middle of its nearest galaxies.
NEIGHBOURS = 10
# Galaxies that a map can be made of.
FEWEST = 4
# Side of the map and of a symbol in it, inches.
SIDE, SYMBOL = 5.3, 0.27
# Side of a text's star, inches; rounds of pushing.
STAR, STEPS = 0.14, 1000
PIXELS = 96


@styled
def embedding_map(embeddings: Embeddings, *, galaxies: int, seed: int) -> Figure:
    """A t-SNE map (van der Maaten & Hinton 2008) of the good, labelled galaxies by cosine distance.

    Images, symbols and texts fill separate cones of a contrastive space, so that a joint map would only show
    which is which.  The map is therefore made of galaxies alone; a symbol, and the mean of a class's texts,
    are placed at the median position of the ten galaxies that are nearest to them in the common space.

    Parameters
    ----------
    galaxies : drawn at most, chosen at random.
    """
    generator = np.random.default_rng(seed)
    good = np.flatnonzero((embeddings.galaxies.flag == "") & (embeddings.galaxies.label >= 0))
    if len(good) < FEWEST:
        return sentence(f"fewer than {FEWEST} labelled galaxies: nothing to map")
    rows = np.sort(generator.permutation(good)[:galaxies])
    vectors, label = embeddings.galaxies.embedding[rows], embeddings.galaxies.label[rows]
    places = _tsne(vectors, seed)
    figure = Figure(figsize=(PAGE, SIDE + 0.1))
    panel = figure.add_axes((0.05 / PAGE, 0.05 / (SIDE + 0.1), SIDE / PAGE, SIDE / (SIDE + 0.1)))
    panel.set(xticks=[], yticks=[])
    for index, name in enumerate(embeddings.names):
        own = places[label == index]
        panel.scatter(
            own[:, 0],
            own[:, 1],
            s=11,
            color=class_color(index),
            marker=class_marker(index),
            alpha=0.75,
            linewidths=0,
            label=f"{wrap(name, 1.25, SMALL)} ({len(own)})",
        )
    panel.margins(0.07)
    panel.autoscale_view()
    panel.set_autoscale_on(False)
    symbols = embeddings.symbols if "symbol" in embeddings.trained else None
    texts = embeddings.texts if "text" in embeddings.trained else None
    _place_prompts(panel, embeddings, symbols, texts, vectors, places)
    figure.legend(
        *panel.get_legend_handles_labels(),
        loc="center left",
        bbox_to_anchor=((SIDE + 0.1) / PAGE, 0.5),
        fontsize=SMALL,
        markerscale=1.6,
        labelspacing=0.8,
        handletextpad=0.2,
    )
    return figure


def _tsne(vectors: NDArray[np.float32], seed: int) -> Points:
    perplexity = min(30.0, (len(vectors) - 1) / 3)
    tsne = TSNE(metric="cosine", init="pca", perplexity=perplexity, random_state=seed)
    # Threads add in any order, so that maps would differ; on a busy machine they also wait for each other.
    with threadpool_limits(1):
        return np.asarray(tsne.fit_transform(vectors), dtype=np.float64)


def _place_prompts(
    panel: Axes,
    embeddings: Embeddings,
    symbols: Prompts | None,
    texts: Prompts | None,
    vectors: NDArray[np.float32],
    places: Points,
) -> None:
    """Pictures of symbols, and names of classes where their texts are, pushed apart until none overlap."""
    classes = len(embeddings.classes)
    anchors: list[Points] = []
    sizes: list[tuple[float, float]] = []
    words: list[str] = []
    if symbols is not None:
        anchors.append(_among(symbols.embedding, vectors, places))
        sizes += [(SYMBOL + 0.06, SYMBOL + 0.06)] * len(symbols.word)
    if texts is not None:
        prototypes = text_prototypes(texts.embedding, texts.label, classes)
        anchors.append(_among(prototypes, vectors, places))
        words = [wrap(name, 0.95, SMALL) for name in embeddings.names]
        sizes += [_extent(word) for word in words]
    if not anchors:
        return
    scale = (
        SIDE / (panel.get_xlim()[1] - panel.get_xlim()[0]),
        SIDE / (panel.get_ylim()[1] - panel.get_ylim()[0]),
    )
    points = np.concatenate(anchors)
    drawn = len(points) - len(words)
    at = _pairs(points)
    moved = _pairs(push_apart(points * scale, np.array(sizes), points[drawn:] * scale) / scale)
    if symbols is not None:
        for name, index, anchor, place in zip(symbols.word, symbols.label, at, moved, strict=False):
            _draw_symbol(panel, str(name), class_color(int(index)), anchor, place)
    for index, word in enumerate(words):
        _write_text(panel, word, class_color(index), at[drawn + index], moved[drawn + index])


def _pairs(points: Points) -> list[Pair]:
    return [(float(x), float(y)) for x, y in points]


def _among(prompts: NDArray[np.float32] | Points, vectors: NDArray[np.float32], places: Points) -> Points:
    """Median place (M, 2) of the galaxies nearest to each prompt."""
    rows, _ = nearest(prompts, vectors, NEIGHBOURS, own=None)
    return np.asarray(np.median(places[rows], axis=1))


def _extent(word: str) -> tuple[float, float]:
    """Width and height in inches of a label, with its box."""
    lines = word.split("\n")
    return max(map(len, lines)) * SMALL * 0.47 / 72 + 0.1, len(lines) * SMALL * 1.15 / 72 + 0.08


def push_apart(centres: Points, sizes: Points, obstacles: Points) -> Points:
    """Boxes moved until none overlaps another or an obstacle, as little as small steps need to.

    Parameters
    ----------
    centres, sizes : (M, 2) middle, and width and height, of each box; inches.
    obstacles : (K, 2) middles of marks of the side STAR, which stay.

    Returns
    -------
    Centres (M, 2); where there is no room for all, some overlap remains.
    """
    movable = len(centres)
    # No two boxes start at the very same place, or neither would know where to go.
    centres = np.concatenate([centres + np.arange(movable)[:, None] * 1e-6, obstacles])
    sizes = np.concatenate([sizes, np.full_like(obstacles, STAR)])
    for _ in range(STEPS):
        apart = centres[:, None] - centres[None]
        overlap = (sizes[:, None] + sizes[None]) / 2 - np.abs(apart)
        clash = np.all(overlap > 0, axis=-1) & ~np.eye(len(centres), dtype=bool)
        if not clash[:movable].any():
            break
        # Out of each clash by the shorter way, a part of it at a time.
        shorter = overlap == overlap.min(-1, keepdims=True)
        push = (np.where(shorter & clash[..., None], np.where(apart < 0, -1, 1) * overlap, 0.0) * 0.3).sum(1)
        centres[:movable] += push[:movable]
    return centres[:movable]


def _draw_symbol(panel: Axes, name: str, color: str, anchor: Pair, place: Pair) -> None:
    picture = draw(SYMBOLS[name].geometry, PIXELS)
    box = AnnotationBbox(
        OffsetImage(picture, zoom=SYMBOL * 72 / PIXELS, cmap="gray", interpolation="antialiased"),
        anchor,
        xybox=place,
        boxcoords="data",
        pad=0.12,
        bboxprops={"edgecolor": color, "linewidth": 1.6, "facecolor": "black"},
        arrowprops={"arrowstyle": "-", "color": "black", "linewidth": 0.6},
    )
    box.set_zorder(4)
    panel.add_artist(box)


def _write_text(panel: Axes, word: str, color: str, anchor: Pair, place: Pair) -> None:
    panel.plot(*anchor, marker="*", color=color, markeredgecolor=BLACK, markersize=8, markeredgewidth=0.6, zorder=5)
    panel.annotate(
        word,
        anchor,
        xytext=place,
        textcoords="data",
        ha="center",
        va="center",
        fontsize=SMALL,
        linespacing=1.0,
        zorder=6,
        bbox={
            "facecolor": "white",
            "edgecolor": color,
            "boxstyle": "round,pad=0.2",
            "linewidth": 0.9,
            "alpha": 0.9,
        },
        arrowprops={"arrowstyle": "-", "linewidth": 0.6},
        path_effects=[patheffects.withStroke(linewidth=1.5, foreground="white")],
    )
