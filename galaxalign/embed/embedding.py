"""Embeddings of a whole data set, in one file."""

import json
from pathlib import Path

import h5py
import numpy as np
import torch
from numpy.typing import NDArray

from galaxalign.align.checkpoint import Checkpoint, load_checkpoint
from galaxalign.align.classification import texts_of, tree_prompts
from galaxalign.align.inference import BATCH, embed_all, embed_symbols, embed_texts, in_batches
from galaxalign.align.stages import used_rows
from galaxalign.data.store import Store, read_store
from galaxalign.errors import GalaxAlignError
from galaxalign.hdf5 import whole_hdf5
from galaxalign.logs import progress
from galaxalign.provenance import digest
from galaxalign.symbols.store import DrawnSymbols, read_symbols


def embed_store(checkpoint: Checkpoint, store: Store) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Embeddings (N, D) of every galaxy of a store, and logits (N, C) where the model has a linear head."""
    model = checkpoint.model.to("cuda" if torch.cuda.is_available() else "cpu")
    count = len(store.id)
    batches = progress(in_batches(store.pictures, count), total=-(-count // BATCH), what="embedding", unit="batch")
    return embed_all(model, batches, checkpoint.recipe.backbone.size, checkpoint.recipe.position_angles)


def embed_dataset(
    *, model: Path, images: Path, symbols: Path, dataset: str, run: str, threads: int, embeddings: Path
) -> None:
    """Write galaxies, symbols and texts as `model` sees them to the HDF5 file `embeddings`.

    Groups ``galaxies``, ``symbols`` and ``texts`` each hold ``embedding``, float32 (N, D) of unit length, beside
    ids, labels and splits, or names and classes.  The attribute ``trained`` lists which of text and symbol
    share the galaxies' space; ``scale`` is the a = exp(logit_scale) of arXiv 2411.19475.  Where the run learned
    from votes, the group ``answers`` holds the decision tree as `evaluate.embeddings.Answers` describes it.
    """
    torch.set_num_threads(threads)
    checkpoint, store, drawn = load_checkpoint(model), read_store(images), read_symbols(symbols)
    galaxies, logits = embed_store(checkpoint, store)
    texts, text_classes = texts_of([list(entry.texts) for entry in drawn.sheet.classes])
    with whole_hdf5(embeddings) as file:
        file.attrs["classes"] = json.dumps(list(drawn.sheet.labels))
        file.attrs["names"] = json.dumps(list(drawn.sheet.names))
        file.attrs["dataset"], file.attrs["run"], file.attrs["model"] = dataset, run, digest(model)
        file.attrs["scale"] = checkpoint.model.scale.item()
        file.attrs["calibration"] = checkpoint.calibration
        file.attrs["classifier"] = checkpoint.recipe.classifier
        file.attrs["fusion"] = checkpoint.recipe.fusion
        file.attrs["trained"] = json.dumps(checkpoint.trained)
        group = file.create_group("galaxies")
        group["embedding"], group["label"] = galaxies, store.label
        group["used"] = np.isin(np.arange(len(store.id)), used_rows(store, checkpoint.recipe))
        group["ra"], group["dec"] = store.ra, store.dec
        for name in ("id", "split", "flag"):
            group.create_dataset(name, data=getattr(store, name).astype(object), dtype=h5py.string_dtype())
        if logits is not None:
            group["logits"] = logits
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
    galaxies, logits = embed_store(load_checkpoint(model), read_store(images))
    with whole_hdf5(embeddings) as file:
        file["embedding"] = galaxies
        file.attrs["model"] = digest(model)
        if logits is not None:
            file["logits"] = logits


def read_galaxy_embeddings(embeddings: Path) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """What `embed_galaxies` wrote: embeddings (N, D), and logits (N, C) where the model has a linear head."""
    with h5py.File(embeddings, "r") as file:
        return file["embedding"][:], file["logits"][:] if "logits" in file else None
