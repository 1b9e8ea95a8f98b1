"""What a trained model says of galaxies it has never seen."""

import logging
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.special import softmax

from galaxalign.align.checkpoint import Checkpoint, load_checkpoint
from galaxalign.align.classification import ClassPrompts, class_scorer, texts_of, tree_prompts
from galaxalign.blocks import blocks
from galaxalign.data.pictures import ImageRecipe
from galaxalign.data.store import Store, read_store
from galaxalign.embed.embedding import galaxy_embeddings
from galaxalign.errors import GalaxAlignError
from galaxalign.files import whole_file
from galaxalign.symbols.drawing import draw
from galaxalign.symbols.library import SYMBOLS
from galaxalign.symbols.sheet import ClassSheet

logger = logging.getLogger(__name__)

# Rows of a group of a parquet file, as pandas and pyarrow write them unasked.
ROW_GROUP = 2**20


def image_recipe_of(model: Path) -> ImageRecipe:
    """How the pictures were made that a model was trained on; others must be made the same way.

    Raises `GalaxAlignError` where the model went through stage 1 alone.
    """
    checkpoint = load_checkpoint(model)
    if checkpoint.stage != "symbol":
        raise GalaxAlignError(f"{model} is what stage 1 left, not a finished model: name the model.pt beside it")
    return ImageRecipe.from_dict(checkpoint.image)


def draw_symbols(names: list[str], size: int) -> NDArray[np.uint8]:
    """Symbols by name, uint8 (S, size, size, 3), white on black."""
    drawings = [draw(SYMBOLS[name].geometry, size) for name in names]
    return np.repeat(np.stack(drawings)[..., None], 3, axis=-1)


def prompts_of(checkpoint: Checkpoint) -> ClassPrompts:
    """Texts and symbols of a model's own vocabulary, from the model alone."""
    sheet, size = ClassSheet.from_dict(checkpoint.sheet), checkpoint.image["size"]
    texts, text_classes = texts_of([list(entry.texts) for entry in sheet.classes])
    pairs = [(symbol, index) for index, entry in enumerate(sheet.classes) for symbol in entry.symbols]
    tree = None
    if checkpoint.recipe.targets == "votes" and sheet.tree is not None:
        tree = tree_prompts(sheet, draw_symbols(list(sheet.tree.symbols), size))
    return ClassPrompts(
        classes=len(sheet.classes),
        texts=texts,
        text_classes=text_classes,
        drawings=draw_symbols([symbol for symbol, _ in pairs], size),
        symbol_classes=np.array([index for _, index in pairs], dtype=np.int64),
        tree=tree,
    )


def predict(*, model: Path, images: Path, embeddings: Path, parquet: Path, csv: Path) -> None:
    """Write id, position, probability of each class, predicted class and flag of every galaxy of a store.

    Probabilities are calibrated by the temperature that was fitted on the model's validation galaxies.

    A flagged galaxy has no prediction: its probabilities are empty and `reason` says why.  Beside what the store says
    of all galaxies, a block of them at a time is in memory.

    Raises
    ------
    GalaxAlignError
        The model has no classifier of its own, the store was made by another image recipe, or the embeddings are not
        those of its galaxies.
    """
    checkpoint, store = load_checkpoint(model), read_store(images)
    if checkpoint.recipe.classifier == "probe":
        raise GalaxAlignError(
            f"{model} has no classifier of its own (its recipe says probe): apply a run whose classifier is text, "
            "symbol, fused or head"
        )
    if not store.recipe.looks_like(ImageRecipe.from_dict(checkpoint.image)):
        raise GalaxAlignError(f"{images} was made by another image recipe than {model}: delete it and run again")
    score = class_scorer(checkpoint.model, checkpoint.recipe, prompts_of(checkpoint))
    labels, good = [entry["label"] for entry in checkpoint.sheet["classes"]], store.flag == ""
    with galaxy_embeddings(embeddings, len(store.id)) as (galaxies, logits):
        tables = (
            _table(store, rows, labels, score(galaxies[rows], None if logits is None else logits[rows]), checkpoint)
            for rows in blocks(len(store.id))
        )
        _write(tables, _schema(store, labels, checkpoint), parquet, csv)
    logger.info("%d galaxies classified, %d flagged", good.sum(), (~good).sum())


def _table(
    store: Store, rows: slice, labels: list[str], scores: NDArray[np.float64], checkpoint: Checkpoint
) -> pd.DataFrame:
    """Predictions for some rows of a store from their scores (n, C)."""
    probabilities = softmax(scores / checkpoint.calibration, axis=1)
    flag = store.flag[rows]
    good = flag == ""
    table = pd.DataFrame({"id": store.id[rows].astype(object), "ra": store.ra[rows], "dec": store.dec[rows]})
    for index, label in enumerate(labels):
        table[f"probability_{label}"] = np.where(good, probabilities[:, index], np.nan)
    best = scores.argmax(1)
    table["predicted"] = [labels[index] if use else None for index, use in zip(best, good, strict=True)]
    table["flag"], table["reason"] = flag.astype(object), store.reason[rows].astype(object)
    return table


def _schema(store: Store, labels: list[str], checkpoint: Checkpoint) -> pa.Schema:
    """Types of the columns, as the table of all galaxies has them: a block may have no prediction at all."""
    first = int((store.flag == "").argmax())
    table = _table(store, slice(first, first + 1), labels, np.zeros((1, len(labels))), checkpoint)
    return pa.Schema.from_pandas(table, preserve_index=False)


def _write(tables: Iterable[pd.DataFrame], schema: pa.Schema, parquet: Path, csv: Path) -> None:
    """Write tables, one below the other, to two files that are whole or not there."""
    waiting = schema.empty_table()
    with (
        whole_file(parquet) as columns,
        whole_file(csv) as text,
        pq.ParquetWriter(columns, schema) as groups,
        text.open("w", encoding="utf-8", newline="") as lines,
    ):
        for index, table in enumerate(tables):
            table.to_csv(lines, header=index == 0, index=False, float_format="%.10g")
            waiting = pa.concat_tables([waiting, pa.Table.from_pandas(table, schema, preserve_index=False)])
            if len(waiting) >= ROW_GROUP:
                groups.write_table(waiting[:ROW_GROUP].combine_chunks(), ROW_GROUP)
                waiting = waiting[ROW_GROUP:]
        if len(waiting):
            groups.write_table(waiting.combine_chunks(), ROW_GROUP)
