"""The galaxies of a data set that are nearest to a galaxy, a symbol or a text."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galaxalign.align.checkpoint import Checkpoint, load_checkpoint
from galaxalign.align.inference import embed_symbols, embed_texts
from galaxalign.blocks import blocks
from galaxalign.data.store import Store, read_store
from galaxalign.embed.embedding import galaxy_embeddings
from galaxalign.errors import GalaxAlignError, nearest
from galaxalign.search.prediction import draw_symbols
from galaxalign.symbols.library import SYMBOLS

# Kind, words and embedding (D,).
Query = tuple[str, str, NDArray[np.float32]]


@dataclass(frozen=True)
class Queries:
    """What is looked for: ids of galaxies of the data set, names of symbols, free texts."""

    galaxies: tuple[str, ...]
    symbols: tuple[str, ...]
    texts: tuple[str, ...]


def find_similar(*, model: Path, images: Path, embeddings: Path, queries: Queries, count: int, table: Path) -> None:
    """Write the `count` nearest galaxies to each query, by cosine similarity, as a table.

    Columns: kind and text of the query, rank from 1, id, similarity, ra and dec in degrees, and the class
    label where the data set has one.  A galaxy is never its own neighbour, and flagged ones are left out.

    Raises
    ------
    GalaxAlignError
        Nothing is asked for, a galaxy is not in the data set, a symbol has no such name, or the model knows no symbols
        or texts.
    """
    if not (queries.galaxies or queries.symbols or queries.texts):
        raise GalaxAlignError("'similar' asks for nothing: name galaxies, symbols or texts")
    checkpoint, store = load_checkpoint(model), read_store(images)
    with galaxy_embeddings(embeddings, len(store.id)) as (galaxies, _):
        vectors = query_vectors(checkpoint, store, galaxies, queries, str(model))
        found = _nearest_rows(store, galaxies, vectors, count)
    rows = []
    for (kind, query, _), (near, similarity) in zip(vectors, found, strict=True):
        for rank, (row, value) in enumerate(zip(near, similarity, strict=True), 1):
            label = store.classes[store.label[row]] if store.label[row] >= 0 else ""
            rows.append((kind, query, rank, store.id[row], value, store.ra[row], store.dec[row], label))
    columns = ["kind", "query", "rank", "id", "similarity", "ra", "dec", "label"]
    pd.DataFrame(rows, columns=columns).to_csv(table, sep="\t", index=False, float_format="%.10g")


def _nearest_rows(
    store: Store, galaxies: h5py.Dataset, vectors: Sequence[Query], count: int
) -> list[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Rows and similarities of the `count` nearest galaxies to each query, nearest first, of equal ones the first."""
    found = [(np.empty(0, np.int64), np.empty(0, np.float32)) for _ in vectors]
    for rows in blocks(len(store.id)):
        block = galaxies[rows]
        for index, (kind, query, vector) in enumerate(vectors):
            similarity = block @ vector
            similarity[store.flag[rows] != ""] = -np.inf
            if kind == "galaxy":
                similarity[store.id[rows] == query] = -np.inf
            near = np.concatenate([found[index][0], np.arange(rows.start, rows.stop)])
            similarity = np.concatenate([found[index][1], similarity])
            order = np.argsort(-similarity, kind="stable")[:count]
            found[index] = near[order], similarity[order]
    return [(near[np.isfinite(similarity)], similarity[np.isfinite(similarity)]) for near, similarity in found]


def query_vectors(
    checkpoint: Checkpoint, store: Store, galaxies: h5py.Dataset, queries: Queries, model: str
) -> list[Query]:
    """Kind, words and unit-length embedding (D,) of every query."""
    vectors: list[Query] = []
    for name in queries.galaxies:
        places = np.flatnonzero(store.id == name)
        if not len(places):
            raise GalaxAlignError(f"'similar.galaxies' names {name!r}, which is not in {store.dataset}; correct the id")
        row = int(places[0])
        if store.flag[row]:
            raise GalaxAlignError(
                f"'similar.galaxies' names {name!r}, whose image was rejected ({store.reason[row]}); "
                "name another, or mend its image"
            )
        vectors.append(("galaxy", name, galaxies[row]))
    for name in queries.symbols:
        if name not in SYMBOLS:
            raise GalaxAlignError(f"'similar.symbols' names {name!r}: {nearest(name, SYMBOLS)}")
    asked = {"symbol": queries.symbols, "text": queries.texts}
    for what, given in asked.items():
        if given and what not in checkpoint.trained:
            known = " or ".join(["galaxies", *(f"{other}s" for other in asked if other in checkpoint.trained)])
            raise GalaxAlignError(f"'similar.{what}s': {model} was trained without {what}s; ask for {known}")
    if queries.symbols:
        drawings = draw_symbols(list(queries.symbols), checkpoint.image["size"])
        drawn = embed_symbols(checkpoint.model, drawings)
        vectors += [("symbol", name, vector) for name, vector in zip(queries.symbols, drawn, strict=True)]
    if queries.texts:
        # Words alone count, and a table has no room for the ends of lines.
        texts = list(dict.fromkeys(" ".join(text.split()) for text in queries.texts))
        told = embed_texts(checkpoint.model, texts)
        vectors += [("text", text, vector) for text, vector in zip(texts, told, strict=True)]
    return vectors
