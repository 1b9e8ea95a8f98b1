"""Similarity search as pictures: queries and the galaxies that are nearest to them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from galaxalign.data.store import Store
from galaxalign.evaluate.embeddings import Embeddings
from galaxalign.evaluate.retrieval import nearest
from galaxalign.figures.plates import (
    SPACE,
    frame,
    inches,
    judge,
    name_above,
    name_below,
    name_row,
    plate,
    say,
    show,
)
from galaxalign.figures.style import BLACK, MEDIUM, PAGE, SMALL, sentence, shorten, styled, wrap
from galaxalign.symbols.drawing import draw
from galaxalign.symbols.library import SYMBOLS

NEAREST = 8
# Queries of each kind.
QUERIES = 4
# Nearest galaxies of a query that a page holds with their names; the table has all.
MOST = 10
PIXELS = 160
LEFT = 0.9


@dataclass(frozen=True)
class Query:
    """One query: its kind (galaxy, symbol, text), class index, embedding (D,), and picture, or the words shown."""

    kind: str
    label: int
    vector: NDArray[np.float32]
    picture: NDArray[np.uint8] | None
    words: str
    # Row of the galaxy that asks, which is not its own neighbour; None for symbols and texts.
    own: int | None


@styled
def retrieval_grid(embeddings: Embeddings, store: Store, *, split: str, seed: int) -> Figure:
    """Queries of a few classes by galaxy, symbol and text, each with its eight nearest judged galaxies.

    The classes are spread evenly over the vocabulary and the same for each kind; the galaxy that asks is
    drawn at random, so that no lucky example is shown.

    Parameters
    ----------
    embeddings, store : of one data set; galaxies are joined by id.
    split : whose galaxies ask and are found.
    """
    judged = embeddings.galaxies.rows(split)
    place = {name: row for row, name in enumerate(store.id)}
    rows = np.array([place[name] for name in embeddings.galaxies.id[judged]])
    queries = _queries(embeddings, store, judged, rows, seed)
    if not queries:
        return sentence("no class has galaxies enough to look for")
    gallery, label = embeddings.galaxies.embedding[judged], embeddings.galaxies.label[judged]
    first = [index for index in range(1, len(queries)) if queries[index].kind != queries[index - 1].kind]
    figure, panels = plate(
        len(queries), NEAREST + 1, width=PAGE, left=LEFT, top=0.2, gaps=[1], row_gaps=first, gap=0.14
    )
    name_above(panels[0, 0], "Query", size=MEDIUM, center=True)
    name_above(panels[0, 1], "Nearest galaxies, nearest first", size=MEDIUM)
    for query, row in zip(queries, panels, strict=True):
        name_row(row[0], f"by {query.kind}:\n{wrap(embeddings.names[query.label], LEFT - 0.05, SMALL)}")
        _show_query(row[0], query.picture, query.words)
        own = None if query.own is None else np.array([query.own])
        found, _ = nearest(query.vector[None], gallery, NEAREST, own=own)
        for panel, index, picture in zip(row[1:], found[0], store.pictures(rows[found[0]]), strict=False):
            show(panel, picture)
            judge(panel, bool(label[index] == query.label))
    return figure


def _queries(
    embeddings: Embeddings, store: Store, judged: NDArray[np.int64], rows: NDArray[np.int64], seed: int
) -> list[Query]:
    galaxies, symbols, texts = embeddings.galaxies, embeddings.symbols, embeddings.texts
    label = galaxies.label[judged]
    counts = np.bincount(label, minlength=len(embeddings.classes))
    # A galaxy alone in its class has nothing to find; a symbol or text finds it.
    several, present = np.flatnonzero(counts > 1), np.flatnonzero(counts)
    classes = several if len(several) else present
    if not len(classes):
        return []
    chosen = classes[np.unique(np.linspace(0, len(classes) - 1, QUERIES).round().astype(int))]
    generator = np.random.default_rng(seed)
    queries = []
    for index in chosen if len(several) else ():
        own = int(generator.choice(np.flatnonzero(label == index)))
        picture = store.pictures(rows[[own]])[0]
        queries.append(Query("galaxy", int(index), galaxies.embedding[judged[own]], picture, "", own))
    if "symbol" in embeddings.trained:
        for index in chosen:
            first = np.flatnonzero(symbols.label == index)[0]
            picture = draw(SYMBOLS[symbols.word[first]].geometry, PIXELS)
            queries.append(Query("symbol", int(index), symbols.embedding[first], picture, "", None))
    if "text" in embeddings.trained and texts is not None:
        for index in chosen:
            first = np.flatnonzero(texts.label == index)[0]
            queries.append(Query("text", int(index), texts.embedding[first], None, str(texts.word[first]), None))
    return queries


def _show_query(panel: Axes, picture: NDArray[np.uint8] | None, words: str) -> None:
    if picture is None:
        say(panel, words)
    else:
        show(panel, picture)
    frame(panel, BLACK)


def read_similar(path: Path) -> pd.DataFrame:
    """The table of nearest galaxies; identifiers stay text, however many digits they have."""
    return pd.read_csv(path, sep="\t", dtype={"id": str, "query": str}, keep_default_na=False)


@styled
def similar_grid(table: pd.DataFrame, store: Store) -> Figure:
    """One row a query, one column a neighbour, each with its id and cosine similarity; the MOST nearest at most.

    Parameters
    ----------
    table : rows ordered by rank, columns kind (galaxy, symbol, text), query (an id, a symbol's name, a
        text), id and similarity.
    store : the pictures of the galaxies that the table names.
    """
    if table.empty:
        return sentence("no other good galaxy to find")
    place = {name: row for row, name in enumerate(store.id)}
    groups = [group.head(MOST) for _, group in table.groupby(["kind", "query"], sort=False)]
    across = max(map(len, groups))
    figure, panels = plate(len(groups), across + 1, width=PAGE, top=0.2, below=0.3, gaps=[1])
    name_above(panels[0, 0], "Query", size=MEDIUM, center=True)
    name_above(panels[0, 1], "Nearest galaxies, nearest first", size=MEDIUM)
    for group, row in zip(groups, panels, strict=True):
        kind, query = group.iloc[0]["kind"], str(group.iloc[0]["query"])
        width = inches(row[0]) + SPACE
        if kind == "galaxy":
            _show_query(row[0], store.pictures(np.array([place[query]]))[0], "")
        else:
            _show_query(row[0], draw(SYMBOLS[query].geometry, PIXELS) if kind == "symbol" else None, query)
        name_below(row[0], kind if kind == "text" else shorten(query, width))
        pictures = store.pictures(np.array([place[name] for name in group["id"]]))
        for panel, picture, name, similarity in zip(row[1:], pictures, group["id"], group["similarity"], strict=False):
            show(panel, picture)
            name_below(panel, f"{shorten(name, width)}\n{similarity:.3f}")
    return figure
