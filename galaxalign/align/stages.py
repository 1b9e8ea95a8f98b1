"""The two stages of a run, from files to files."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from galaxalign.align.backbones import build_backbone
from galaxalign.align.batches import LabelledPictures, SymbolViews, few_labels
from galaxalign.align.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from galaxalign.align.classification import ClassPrompts, texts_of
from galaxalign.align.model import TriModalModel
from galaxalign.align.recipe import Recipe
from galaxalign.align.training import COLUMNS, Vocabulary, train_stage
from galaxalign.data.store import Store, read_store
from galaxalign.errors import GalaxAlignError
from galaxalign.symbols.store import read_symbols

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Inputs:
    """What both stages read."""

    vocabulary: Vocabulary
    train: LabelledPictures
    validation: LabelledPictures
    sheet: dict[str, Any]
    image: dict[str, Any]


def align_shared(
    *,
    images: Path,
    symbols: Path,
    recipe: Recipe,
    dataset: str,
    code: str,
    threads: int,
    model: Path,
    history: Path,
) -> None:
    """Stage 1: build the towers, align galaxies, symbols and texts with one visual tower, write a checkpoint.

    Raises
    ------
    GalaxAlignError
        The store has no labelled training galaxy, or the backbone cannot be built.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(recipe.seed)
    inputs = read_inputs(images, symbols, recipe)
    backbone = build_backbone(recipe.backbone, with_text=recipe.uses("text"))
    towers = TriModalModel(
        backbone,
        classes=inputs.vocabulary.prompts.classes,
        temperature=recipe.temperature.start,
        head=recipe.has_head,
    )
    towers.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    run_stage(
        Checkpoint(
            model=towers,
            recipe=recipe,
            sheet=inputs.sheet,
            image=inputs.image,
            aligned=backbone.aligned,
            stage="shared",
            dataset=dataset,
            code=code,
        ),
        inputs,
        model=model,
        history=history,
    )


def align_symbol(
    *,
    images: Path,
    symbols: Path,
    start: Path,
    recipe: Recipe,
    dataset: str,
    code: str,
    threads: int,
    model: Path,
    history: Path,
) -> None:
    """Stage 2: from stage 1's checkpoint `start`, go on with an own symbol tower where the stage uses symbols."""
    torch.set_num_threads(threads)
    torch.manual_seed(recipe.seed + 1)
    inputs = read_inputs(images, symbols, recipe)
    checkpoint = load_checkpoint(start)
    towers = checkpoint.model
    stage = recipe.stages["symbol"]
    if stage.epochs and (stage.weights.symbol_text or stage.weights.image_symbol):
        towers.own_symbol_tower()
    add_missing_parts(towers, recipe, inputs.vocabulary.prompts.classes)
    run_stage(
        replace(checkpoint, recipe=recipe, stage="symbol", dataset=dataset, code=code),
        inputs,
        model=model,
        history=history,
    )


def add_missing_parts(towers: TriModalModel, recipe: Recipe, classes: int) -> None:
    """Give a model of stage 1 the text tower or linear head that only stage 2 uses."""
    if towers.text is None and recipe.uses("text"):
        towers.text = build_backbone(recipe.backbone, with_text=True).text
    if towers.head is None and recipe.has_head:
        with torch.no_grad():
            size = recipe.backbone.size
            width = towers.features(torch.zeros(1, 3, size, size)).shape[-1]
        towers.head = torch.nn.Linear(width, classes)


def run_stage(checkpoint: Checkpoint, inputs: Inputs, *, model: Path, history: Path) -> None:
    """Train on the GPU where there is one, then write history and checkpoint."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    logger.info("%s: %d galaxies to train on", device, len(inputs.train.labels))
    rows = train_stage(
        checkpoint.model,
        name=checkpoint.stage,
        recipe=checkpoint.recipe,
        vocabulary=inputs.vocabulary,
        train=inputs.train,
        validation=inputs.validation,
        device=device,
    )
    pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(history, sep="\t", index=False, float_format="%.6g")
    save_checkpoint(model, replace(checkpoint, model=checkpoint.model.cpu().eval()))


def read_inputs(images: Path, symbols: Path, recipe: Recipe) -> Inputs:
    """Training and validation galaxies and the vocabulary."""
    store, drawn = read_store(images), read_symbols(symbols)
    if list(drawn.sheet.labels) != list(store.classes):
        raise GalaxAlignError(f"{images} and {symbols} are of different class sheets; delete both to make them again")
    used = used_rows(store, recipe)
    if len(used) == 0:
        raise GalaxAlignError(f"{images} has no labelled galaxy to train on; the data set needs labels and a split")
    classes = drawn.classes.astype(np.int64)
    texts, text_classes = texts_of([list(entry.texts) for entry in drawn.sheet.classes])
    return Inputs(
        vocabulary=Vocabulary(
            prompts=ClassPrompts(
                classes=len(store.classes),
                texts=texts,
                text_classes=text_classes,
                drawings=drawn.images,
                symbol_classes=classes,
            ),
            symbols=SymbolViews(torch.from_numpy(drawn.views), torch.from_numpy(classes)),
            handed=drawn.sheet.handed,
        ),
        train=_pictures(store, used),
        validation=_pictures(store, np.flatnonzero((store.split == "validation") & (store.flag == ""))),
        sheet=drawn.sheet.to_dict(),
        image=store.recipe.to_dict(),
    )


def used_rows(store: Store, recipe: Recipe) -> NDArray[np.int64]:
    """Rows of the training galaxies whose labels a run may see."""
    rows = np.flatnonzero((store.split == "train") & (store.flag == "") & (store.label >= 0)).astype(np.int64)
    labels = torch.from_numpy(store.label[rows].astype(np.int64))
    used: NDArray[np.int64] = rows[few_labels(labels, recipe.labels_per_class, recipe.seed).numpy()]
    return used


def _pictures(store: Store, rows: NDArray[np.int64]) -> LabelledPictures:
    return LabelledPictures(
        pictures=torch.from_numpy(store.pictures(rows)),
        labels=torch.from_numpy(store.label[rows].astype(np.int64)),
    )
