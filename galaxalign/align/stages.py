"""The two stages of a run, from files to files."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from galaxalign.align.backbones import build_backbone
from galaxalign.align.batches import Galaxies, few_labels
from galaxalign.align.calibration import fit_temperature
from galaxalign.align.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from galaxalign.align.distributed import processes, rank, wait_for_all
from galaxalign.align.fitting import fitted_head
from galaxalign.align.history import History
from galaxalign.align.interpolation import interpolated
from galaxalign.align.material import Material
from galaxalign.align.model import Head, TriModalModel
from galaxalign.align.placement import place_texts
from galaxalign.align.recipe import Recipe
from galaxalign.align.state import StateFile, fingerprint
from galaxalign.align.training import train_stage
from galaxalign.align.validation import validate, validation_scores
from galaxalign.align.vocabulary import vocabulary_of
from galaxalign.align.votes import TreeTargets, store_mass
from galaxalign.data.store import Store, read_store
from galaxalign.errors import GalaxAlignError
from galaxalign.memory import keep_freed_memory
from galaxalign.provenance import content_mark
from galaxalign.symbols.living import LivingSymbols
from galaxalign.symbols.matching import read_look
from galaxalign.symbols.sheet import ClassSheet
from galaxalign.symbols.store import read_symbols

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a run reads, and how.

    Attributes
    ----------
    images, symbols : the stores.
    look : what the survey's pictures look like, for rendered galaxies; None where a recipe has none or matches none.
    start : model of another run that training starts from; None starts from the backbone's weights.
    dataset : recorded in the model.
    code : digest of the library, likewise.
    threads : of the CPU.
    memory : bytes that pictures may take; larger stores are read as training goes.
    """

    images: Path
    symbols: Path
    look: Path | None
    start: Path | None
    dataset: str
    code: str
    threads: int
    memory: float

    def files(self, recipe: Recipe) -> list[Path]:
        """All that a stage reads, but for the model of the stage before."""
        weights = Path(recipe.backbone.pretrained)
        known = (self.images, self.symbols, self.look, self.start, weights if weights.is_file() else None)
        return [path for path in known if path is not None]

    def marks(self, recipe: Recipe, shared: Path | None = None) -> list[str]:
        """What tells those files, and the model of the stage before, from others in their place."""
        return [content_mark(path) for path in (*self.files(recipe), *([shared] if shared else []))]


@dataclass(frozen=True)
class Inputs:
    """What both stages read."""

    material: Material
    sheet: ClassSheet
    image: dict[str, Any]


def align_shared(source: Source, recipe: Recipe, *, model: Path, history: Path, steps: Path) -> None:
    """Stage 1: build the towers, align galaxies, symbols and texts with one visual tower, write a checkpoint.

    Raises
    ------
    GalaxAlignError
        The store has nothing to train on, or the backbone or the model to start from does not fit.
    """
    torch.set_num_threads(source.threads)
    keep_freed_memory()
    torch.manual_seed(recipe.seed)
    inputs = read_inputs(source, recipe)
    with processes() as device:
        towers, aligned = _first_towers(source, recipe, inputs.sheet)
        towers.to(device)
        if not aligned and recipe.trains_texts("shared"):
            place_texts(towers, recipe, inputs.material)
        checkpoint = Checkpoint(
            model=towers,
            recipe=recipe,
            sheet=inputs.sheet.to_dict(),
            image=inputs.image,
            aligned=aligned,
            calibration=1.0,
            stage="shared",
            dataset=source.dataset,
            code=source.code,
            made_from=source.marks(recipe),
        )
        _train(checkpoint, ["shared"], source, inputs, model=model, history=history, steps=steps)


def align_symbol(source: Source, recipe: Recipe, *, shared: Path, model: Path, history: Path, steps: Path) -> None:
    """Stage 2: from stage 1's checkpoint `shared`, go on with an own symbol tower where the stage uses symbols.

    Then the share of the fine-tuning that does best on validation is kept, a linear head is fitted if the recipe
    wants one and no stage has trained it, and the probabilities are calibrated on validation.
    """
    torch.set_num_threads(source.threads)
    keep_freed_memory()
    torch.manual_seed(recipe.seed + 1)
    inputs = read_inputs(source, recipe)
    with processes() as device:
        checkpoint = load_checkpoint(shared)
        towers, stage = checkpoint.model, recipe.stages["symbol"]
        if stage.epochs and (stage.weights.symbol_text or stage.weights.image_symbol):
            towers.own_symbol_tower()
        _add_missing_parts(towers, recipe, len(inputs.sheet.classes))
        towers.to(device)
        if not checkpoint.aligned and recipe.trains_texts("symbol") and not recipe.trains_texts("shared"):
            place_texts(towers, recipe, inputs.material)
        made_from = source.marks(recipe, shared)
        trained = replace(
            checkpoint, model=towers, recipe=recipe, stage="symbol", code=source.code, made_from=made_from
        )
        _train(trained, ["symbol"], source, inputs, model=model, history=history, steps=steps, start=shared)


def is_made(model: Path, source: Source, recipe: Recipe, shared: Path | None = None) -> bool:
    """Whether the model of a stage is there, made by this recipe and code from the very files that are there now.

    `shared` is stage 1's model, where that of stage 2 is asked for.
    """
    if not model.is_file():
        return False
    try:
        made = load_checkpoint(model)
    except GalaxAlignError as error:
        logger.info("%s: it is made anew", error)
        return False
    asked = (recipe.to_dict(), source.code, source.dataset, source.marks(recipe, shared))
    return (made.recipe.to_dict(), made.code, made.dataset, made.made_from) == asked


def _first_towers(source: Source, recipe: Recipe, sheet: ClassSheet) -> tuple[TriModalModel, bool]:
    """Towers of the recipe's backbone, or of the model to start from, and whether they are aligned already."""
    if source.start is None:
        backbone = build_backbone(recipe.backbone, with_text=recipe.uses("text"))
        towers = TriModalModel(backbone, temperature=recipe.temperature.start, dropout=recipe.dropout)
        aligned = backbone.aligned
    else:
        started = load_checkpoint(source.start)
        if started.recipe.backbone != recipe.backbone:
            raise GalaxAlignError(
                f"{source.start} has the backbone {started.recipe.backbone}, the run that starts from it "
                f"{recipe.backbone}: give both the same"
            )
        towers, aligned = started.model, "text" in started.trained
        towers.symbol = None
        if not recipe.has_head or [entry["label"] for entry in started.sheet["classes"]] != list(sheet.labels):
            towers.head = None
        towers.dropout = torch.nn.Dropout(recipe.dropout)
    _add_missing_parts(towers, recipe, len(sheet.classes))
    if recipe.norm_layers == "frozen":
        towers.freeze_norms(recipe.backbone.size)
    else:
        towers.free_norms()
    towers.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return towers, aligned


def _add_missing_parts(towers: TriModalModel, recipe: Recipe, classes: int) -> None:
    """Give a model the text tower or linear head that only a later stage uses."""
    if towers.text is None and recipe.uses("text"):
        towers.text = build_backbone(recipe.backbone, with_text=True).text
    if towers.head is None and recipe.has_head:
        towers.head = Head(towers.width, classes, unit=False)


def _train(
    checkpoint: Checkpoint,
    stages: list[str],
    source: Source,
    inputs: Inputs,
    *,
    model: Path,
    history: Path,
    steps: Path,
    start: Path | None = None,
) -> None:
    """Train through stages, finish the model after the last of a run, write it and its history."""
    recipe, towers, written = checkpoint.recipe, checkpoint.model, History()
    logger.info("%s: %d galaxies to train on", towers.logit_scale.device, len(inputs.material.train))
    mark = fingerprint(recipe=recipe.to_dict(), code=source.code, files=checkpoint.made_from)
    states = [StateFile(model.with_name(f"{model.stem}.{name}.state"), mark) for name in stages]
    for name, state in zip(stages, states, strict=True):
        if name in recipe.stages:
            trained = train_stage(towers, name=name, recipe=recipe, material=inputs.material, state=state)
            written.epochs += trained.epochs
            written.steps += trained.steps
    if start is not None:
        choose_interpolation(towers, recipe, inputs.material, source.start)
        if recipe.classifier == "head" and towers.head is None:
            towers.head = fitted_head(towers, recipe, inputs.material).to(towers.logit_scale.device)
        checkpoint = replace(checkpoint, calibration=_calibration(towers, recipe, inputs.material))
    if rank() == 0:
        written.write(history, steps)
        save_checkpoint(model, replace(checkpoint, model=towers.cpu().eval()))
        for state in states:
            state.remove()
    wait_for_all()


def choose_interpolation(towers: TriModalModel, recipe: Recipe, material: Material, start: Path | None) -> None:
    """Of the shares of the way from the weights before to those after fine-tuning, keep the best on validation."""
    if recipe.interpolate == (1.0,):
        return
    before = _weights_before(recipe, start)
    after = {name: value.detach().clone() for name, value in towers.state_dict().items()}
    scores = {}
    for share in recipe.interpolate:
        towers.load_state_dict(interpolated(before, after, share))
        measured = validate(towers, recipe, material.vocabulary.prompts, material.validation)
        scores[share] = measured.get("validation_macro_f1", 0.0)
    # Of equals the one nearest to the fine-tuned weights.
    best = max(sorted(scores, reverse=True), key=lambda share: scores[share])
    towers.load_state_dict(interpolated(before, after, best))
    logger.info("interpolation: validation macro-F1 %s; %g kept", scores, best)


def _weights_before(recipe: Recipe, start: Path | None) -> Mapping[str, Tensor]:
    """Pre-trained weights by their names in the model."""
    if start is not None:
        before = dict(load_checkpoint(start).model.state_dict())
    else:
        backbone = build_backbone(recipe.backbone, with_text=recipe.uses("text"))
        original = TriModalModel(backbone, temperature=recipe.temperature.start, dropout=0.0).state_dict()
        before = {name: value for name, value in original.items() if name.startswith(("image.", "text.trunk."))}
    # A symbol tower that there was none of before began as the image tower.
    images = {name: value for name, value in before.items() if name.startswith("image.")}
    return {f"symbol.{name[6:]}": value for name, value in images.items()} | before


def _calibration(towers: TriModalModel, recipe: Recipe, material: Material) -> float:
    scores = validation_scores(towers, recipe, material.vocabulary.prompts, material.validation, recipe.position_angles)
    return 1.0 if scores is None else fit_temperature(scores, material.validation.labels.numpy())


def read_inputs(source: Source, recipe: Recipe) -> Inputs:
    """Training and validation galaxies and the vocabulary.

    Raises
    ------
    GalaxAlignError
        The stores do not belong together, or hold nothing to train on.
    """
    store, drawn = read_store(source.images), read_symbols(source.symbols)
    if list(drawn.sheet.labels) != list(store.classes):
        raise GalaxAlignError(
            f"{source.images} and {source.symbols} are of different class sheets; delete both to make them again"
        )
    used = used_rows(store, recipe)
    if len(used) == 0 and recipe.living.share == 0:
        raise GalaxAlignError(
            f"{source.images} has no labelled galaxy to train on; the data set needs labels and a split, "
            "or the run a living.share above 0 and, as epoch_size, the number of rendered galaxies in an epoch"
        )
    if len(used) == 0 and recipe.epoch_size == "all":
        raise GalaxAlignError(
            f"{source.images} has no labelled galaxy, so that an epoch_size of all is none: give the number of "
            "rendered galaxies in an epoch"
        )
    living = None
    if recipe.living.share:
        look = read_look(source.look) if source.look is not None else None
        living = LivingSymbols(drawn.sheet, look, store.recipe.size)
    validation = np.flatnonzero((store.split == "validation") & (store.flag == "") & (store.label >= 0))
    vocabulary = vocabulary_of(drawn, recipe.targets)
    mass = None
    if drawn.sheet.tree is not None and vocabulary.prompts.tree is not None:
        mass = store_mass(store, drawn.sheet.tree, TreeTargets.of(vocabulary.prompts.tree))[used]
    material = Material(
        vocabulary=vocabulary,
        mass=mass,
        train=Galaxies(store, used, source.memory),
        validation=Galaxies(store, validation, source.memory),
        living=living,
    )
    return Inputs(material=material, sheet=drawn.sheet, image=store.recipe.to_dict())


def used_rows(store: Store, recipe: Recipe) -> NDArray[np.int64]:
    """Rows of the training galaxies whose labels or votes a run may see."""
    known = store.label >= 0
    if recipe.targets == "votes" and recipe.labels_per_class == "all":
        known = known | store.needed_votes().known
    rows = np.flatnonzero((store.split == "train") & (store.flag == "") & known).astype(np.int64)
    labels = torch.from_numpy(store.label[rows].astype(np.int64))
    used: NDArray[np.int64] = rows[few_labels(labels, recipe.labels_per_class, recipe.seed).numpy()]
    return used
