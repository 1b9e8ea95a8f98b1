"""Embeddings of a whole data set, in one file."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import torch
from numpy.typing import NDArray

from galaxalign.align.checkpoint import Checkpoint, load_checkpoint
from galaxalign.align.classification import texts_of, tree_prompts
from galaxalign.align.inference import BATCH, embed_images, embed_symbols, embed_texts, in_batches
from galaxalign.align.inputs import used_rows
from galaxalign.align.recipe import Recipe
from galaxalign.align.stages import check_recipe_of
from galaxalign.blocks import blocks
from galaxalign.data.columns import write_columns
from galaxalign.data.store import Store, read_store
from galaxalign.errors import GalaxAlignError
from galaxalign.hdf5 import whole_hdf5
from galaxalign.logs import progress
from galaxalign.provenance import digest
from galaxalign.symbols.store import DrawnSymbols, read_symbols


def embed_store(checkpoint: Checkpoint, store: Store, group: h5py.Group) -> None:
    """Write every galaxy of a store as a model sees it, batch by batch.

    The group gets ``embedding``, float32 (N, D) of unit length, and ``logits`` (N, C) where the model has a head.
    """
    model = checkpoint.model.to("cuda" if torch.cuda.is_available() else "cpu")
    count, done = len(store.id), 0
    batches = progress(in_batches(store.pictures, count), total=-(-count // BATCH), what="embedding", unit="batch")
    recipe = checkpoint.recipe
    for embedding, logits in embed_images(model, batches, recipe.backbone.size, recipe.position_angles):
        columns = {"embedding": embedding} if logits is None else {"embedding": embedding, "logits": logits}
        write_columns(group, columns, done, count)
        done += len(embedding)


def embed_dataset(
    *,
    model: Path,
    images: Path,
    symbols: Path,
    dataset: str,
    run: str,
    recipe: Recipe,
    threads: int,
    embeddings: Path,
) -> None:
    """Write galaxies, symbols and texts as `model` sees them to the HDF5 file `embeddings`.

    Groups ``galaxies``, ``symbols`` and ``texts`` each hold ``embedding``, float32 (N, D) of unit length, beside
    ids, labels and splits, or names and classes.  The attribute ``trained`` lists which of text and symbol
    share the galaxies' space; ``scale`` is the a = exp(logit_scale) of arXiv 2411.19475.  Where the run learned
    from votes, the group ``answers`` holds the decision tree as `evaluate.embeddings.Answers` describes it.

    Raises
    ------
    GalaxAlignError
        The model was not trained on this data set by the run's `recipe`.
    """
    torch.set_num_threads(threads)
    checkpoint, store, drawn = load_checkpoint(model), read_store(images), read_symbols(symbols)
    check_recipe_of(model, checkpoint, "symbol", recipe, dataset)
    texts, text_classes = texts_of([list(entry.texts) for entry in drawn.sheet.classes])
    with whole_hdf5(embeddings) as file:
        group = file.create_group("galaxies")
        embed_store(checkpoint, store, group)
        group["label"], group["ra"], group["dec"] = store.label, store.ra, store.dec
        group["used"] = np.isin(np.arange(len(store.id)), used_rows(store, checkpoint.recipe))
        for name in ("id", "split", "flag"):
            _write_texts(group, name, getattr(store, name))
        file.attrs["classes"] = json.dumps(list(drawn.sheet.labels))
        file.attrs["names"] = json.dumps(list(drawn.sheet.names))
        file.attrs["dataset"], file.attrs["run"], file.attrs["model"] = dataset, run, digest(model)
        file.attrs["scale"] = checkpoint.model.scale.item()
        file.attrs["calibration"] = checkpoint.calibration
        file.attrs["classifier"] = checkpoint.recipe.classifier
        file.attrs["fusion"] = checkpoint.recipe.fusion
        file.attrs["trained"] = json.dumps(checkpoint.trained)
        group = file.create_group("symbols")
        group["embedding"] = embed_symbols(checkpoint.model, drawn.images)
        group["class"] = drawn.classes
        group.create_dataset("name", data=np.array(drawn.names, dtype=object), dtype=h5py.string_dtype())
        if checkpoint.model.text is not None:
            group = file.create_group("texts")
            group["embedding"] = embed_texts(checkpoint.model, texts)
            group["class"] = text_classes.astype(np.int16)
            group.create_dataset("text", data=np.array(texts, dtype=object), dtype=h5py.string_dtype())
        if checkpoint.recipe.targets == "votes":
            _write_answers(file, checkpoint, drawn)


def _write_texts(group: h5py.Group, name: str, texts: NDArray[np.str_]) -> None:
    """A column of texts; as Python's own they take far more memory, so a block of them at a time."""
    column = group.create_dataset(name, len(texts), h5py.string_dtype())
    for rows in blocks(len(texts)):
        column[rows] = texts[rows].astype(object)


def _write_answers(file: h5py.File, checkpoint: Checkpoint, drawn: DrawnSymbols) -> None:
    """The group ``answers``: texts and symbols of the decision tree as the model sees them."""
    if drawn.tree is None:
        raise GalaxAlignError(
            f"the symbols of class sheet {drawn.sheet.name} lack those of a decision tree, which a model that learned "
            "from votes needs: name the sheet's `tree`, or delete symbols.h5 to draw them again"
        )
    prompts = tree_prompts(drawn.sheet, drawn.tree.images)
    group = file.create_group("answers")
    group["symbols"] = embed_symbols(checkpoint.model, prompts.drawings)
    if checkpoint.model.text is not None:
        group["texts"] = embed_texts(checkpoint.model, prompts.texts)
    group["text_answers"], group["shown"] = prompts.text_answers, prompts.shown
    group["questions"], group["paths"] = prompts.questions, prompts.paths


def embed_galaxies(*, model: Path, images: Path, threads: int, embeddings: Path) -> None:
    """Write the galaxies of a store alone, as a model sees them that may have been trained on others."""
    torch.set_num_threads(threads)
    checkpoint, store = load_checkpoint(model), read_store(images)
    with whole_hdf5(embeddings) as file:
        embed_store(checkpoint, store, file)
        file.attrs["model"] = digest(model)


@contextmanager
def galaxy_embeddings(embeddings: Path, count: int) -> Iterator[tuple[h5py.Dataset, h5py.Dataset | None]]:
    """What `embed_galaxies` wrote of `count` galaxies, to be read a block at a time (`blocks`).

    Yields
    ------
    Embeddings (N, D), and logits (N, C) where the model has a linear head; they are on the disk.

    Raises
    ------
    GalaxAlignError
        There are others than `count`.
    """
    with h5py.File(embeddings, "r") as file:
        found = len(file["embedding"])
        if found != count:
            raise GalaxAlignError(
                f"{embeddings} holds {found} galaxies where {count} are wanted: remove it and run again"
            )
        yield file["embedding"], file.get("logits")
