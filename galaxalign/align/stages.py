"""The two stages of a run, from files to files."""

import logging
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from galaxalign.align.backbones import build_backbone
from galaxalign.align.calibration import fit_temperature
from galaxalign.align.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from galaxalign.align.distributed import processes, rank, wait_for_all
from galaxalign.align.fitting import fitted_head
from galaxalign.align.history import History
from galaxalign.align.inputs import Inputs, Source, read_inputs
from galaxalign.align.interpolation import interpolated
from galaxalign.align.material import Material
from galaxalign.align.model import Head, TriModalModel
from galaxalign.align.placement import place_texts
from galaxalign.align.recipe import Recipe
from galaxalign.align.state import StateFile, fingerprint
from galaxalign.align.training import train_stage
from galaxalign.align.validation import validate, validation_scores
from galaxalign.errors import GalaxAlignError
from galaxalign.memory import keep_freed_memory
from galaxalign.settings import epochs_of, first_stage
from galaxalign.symbols.sheet import ClassSheet

logger = logging.getLogger(__name__)


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

    Raises
    ------
    GalaxAlignError
        The checkpoint is not of stage 1 of this recipe and data set.
    """
    torch.set_num_threads(source.threads)
    keep_freed_memory()
    torch.manual_seed(recipe.seed + 1)
    inputs = read_inputs(source, recipe)
    with processes() as device:
        checkpoint = load_checkpoint(shared)
        check_recipe_of(shared, checkpoint, "shared", recipe, source.dataset)
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


def check_recipe_of(model: Path, checkpoint: Checkpoint, stage: str, recipe: Recipe, dataset: str) -> None:
    """Raise `GalaxAlignError` where a model, such as one from the command line, is not what a run's stage makes."""
    made, asked = checkpoint.recipe.to_dict(), recipe.to_dict()
    if stage == "shared":
        made, asked = first_stage(made), first_stage(asked)
    wrong = next((key for key in asked if made.get(key) != asked[key]), "")
    if (checkpoint.stage, checkpoint.dataset) != (stage, dataset):
        wrong = f"stage {checkpoint.stage} on data set {checkpoint.dataset}"
    if wrong:
        raise GalaxAlignError(f"{model} was trained by another recipe ({wrong}): remove it and run again")


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
        if epochs_of(recipe.to_dict()):
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
        scores[share] = measured.get("validation_macro_f1", math.nan)
    if any(map(math.isnan, scores.values())):
        towers.load_state_dict(after)
        logger.warning("interpolation: no galaxy of validation to choose by; the fine-tuned weights are kept")
        return
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
