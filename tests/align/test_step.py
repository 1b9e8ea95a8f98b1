"""A step gives the same gradients whole, in parts, and shared between processes."""

import os
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import distributed as dist

from galaxalign.align.augmentation import augment
from galaxalign.align.backbones import build_backbone
from galaxalign.align.batches import RENDERED, Batch
from galaxalign.align.distributed import of_first
from galaxalign.align.inference import embed_symbols
from galaxalign.align.inputs import read_inputs
from galaxalign.align.model import Head, TriModalModel
from galaxalign.align.optimizer import choose_trained
from galaxalign.align.recipe import Recipe
from galaxalign.align.step import Step
from galaxalign.align.training import set_training_mode
from tests.align.small import recipe, source

STILL = {"rotate": False, "flip": False, "zoom": 0.0, "shift": 0.0, "brightness": 0.0, "noise": 0.0}
WEIGHTS = {"image_text": 1.0, "symbol_text": 0.7, "image_symbol": 0.5, "classifier": 0.3}
MIXED = {"living": {"share": 0.25, "matched": False}, "stages": {"shared": {"weights": WEIGHTS}}, "batch_size": 7}


def batch_of(indices: list[int], labels: list[int], mirrored: tuple[int, ...] = ()) -> Batch:
    """Galaxies of a step, of which those at the places `mirrored` are."""
    turned = torch.zeros(len(indices), dtype=torch.bool)
    turned[list(mirrored)] = True
    return Batch(torch.tensor(indices), torch.tensor(labels), turned)


BATCH = batch_of([0, 5, RENDERED, 9, 13, 2, RENDERED], [0, 1, 3, 2, 3, 0, 1])


def gradients(
    inputs: tuple[Path, Path], chosen: Recipe, own_tower: bool, batch: Batch = BATCH
) -> dict[str, torch.Tensor]:
    """Gradients of one step by name, and its losses, of a model that is the same in every process."""
    torch.manual_seed(0)
    material = read_inputs(source(inputs), chosen).material
    model = TriModalModel(build_backbone(chosen.backbone, with_text=True), temperature=0.07, dropout=chosen.dropout)
    model.head = Head(model.width, 4, unit=False)
    if own_tower:
        model.own_symbol_tower()
    choose_trained(model, chosen.stages["shared"], chosen)
    set_training_mode(model, chosen.stages["shared"], chosen)
    step = Step(model, name="shared", recipe=chosen, material=material)
    own = step.own(step.pieces(batch))
    real = [material.train.pictures(piece.indices[piece.indices != RENDERED]) for piece in own]
    losses = step.gradients(3, batch, own, real, torch.amp.GradScaler("cpu", enabled=False))
    found = {name: value.grad for name, value in model.named_parameters() if value.grad is not None}
    return found | {f"loss {name}": value for name, value in losses.items()}


def assert_same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert set(first) == set(second)
    for name, value in first.items():
        assert torch.allclose(value, second[name], rtol=1e-3, atol=1e-5 * float(value.abs().max()) + 1e-7), name


@pytest.mark.parametrize("own_tower", [False, True])
@pytest.mark.parametrize("targets", ["class", "identity"])
def test_a_batch_in_parts_has_the_gradients_of_the_whole(inputs, targets, own_tower):
    still = MIXED | {"augment": STILL, "targets": targets, "living": {"share": 0.0, "matched": False}}
    batch = batch_of([0, 5, 11, 9, 13, 2, 8], [0, 1, 2, 2, 3, 0, 2], mirrored=(1, 4))
    whole = gradients(inputs, recipe(**still), own_tower, batch)
    parts = gradients(inputs, recipe(accumulate=3, **still), own_tower, batch)
    assert {"image.conv1.weight", "logit_scale", "head.linear.weight", "loss image_symbol"} <= set(whole)
    assert_same(whole, parts)


def _work(rank: int, port: int, inputs: tuple[Path, Path], model: Path, chosen: Recipe, folder: Path) -> None:
    from galaxalign.align.backbones import declare_torchvision

    declare_torchvision()
    import open_clip

    open_clip.add_model_config(model)
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "RANK": str(rank), "WORLD_SIZE": "2"}
    dist.init_process_group("gloo")
    assert of_first({"of": rank}) == {"of": 0}
    torch.save(gradients(inputs, chosen, own_tower=True), folder / f"{rank}.pt")
    dist.destroy_process_group()


# A text tower that learns has dropout of its own, which all processes must draw alike.
TEXTS_LEARN = {
    "backbone": {"name": "lite0-minilm", "pretrained": "embedded", "size": 32},
    "stages": {"shared": {"weights": WEIGHTS, "lock": []}},
}


@pytest.mark.parametrize(
    ("changes", "accumulate"),
    [({"targets": "class"}, 1), ({"targets": "class"}, 2), ({"targets": "identity"}, 1), (TEXTS_LEARN, 1)],
)
def test_two_processes_give_the_loss_and_gradients_of_one(inputs, tiny, tmp_path, changes, accumulate):
    """With augmentation, dropout and rendered galaxies: the pieces of a batch have draws of their own."""
    chosen = {**MIXED, "dropout": 0.2, **changes}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = (port, inputs, tiny, recipe(accumulate=accumulate, **chosen), tmp_path)
    torch.multiprocessing.spawn(_work, args=shared, nprocs=2)
    alone = gradients(inputs, recipe(accumulate=2 * accumulate, **chosen), own_tower=True)
    for rank in (0, 1):
        assert_same(alone, torch.load(tmp_path / f"{rank}.pt", weights_only=True))


def test_pieces_keep_order_and_number():
    pieces = BATCH.pieces(3)
    assert np.concatenate([piece.indices.numpy() for piece in pieces]).tolist() == BATCH.indices.tolist()
    assert [len(piece.labels) for piece in pieces] == [3, 2, 2]


def what_passes(inputs, chosen: Recipe, batch: Batch, stage: str, part: str = "") -> tuple[list, Step]:
    """What one step gives to the model, or to a part of it, each time that it is called; and the step."""
    material = read_inputs(source(inputs), chosen).material
    model = TriModalModel(build_backbone(chosen.backbone, with_text=True), temperature=0.07, dropout=0.0)
    step, seen = Step(model, name=stage, recipe=chosen, material=material), []
    hook = model.get_submodule(part).register_forward_pre_hook(lambda _, given: seen.append(given))
    pictures = material.train.pictures(batch.indices)
    step.gradients(0, batch, step.own(step.pieces(batch)), [pictures], torch.amp.GradScaler("cpu", enabled=False))
    hook.remove()
    return seen, step


def test_mirrored_galaxies_pass_the_tower_as_their_mirror_image(inputs):
    chosen = recipe(augment=STILL, batch_size=3)
    batch = batch_of([4, 5, 6], [0, 1, 1], mirrored=(1,))
    seen, step = what_passes(inputs, chosen, batch, "shared")
    pictures = step.material.train.pictures(batch.indices)
    shown = augment(pictures, 32, chosen.augment, flip=False, generator=torch.Generator())
    torch.testing.assert_close(seen[0][0], torch.stack([shown[0], shown[1].flip(-1), shown[2]]), atol=1e-5, rtol=0)


def test_each_stage_shows_as_many_views_of_each_symbol_as_it_says(inputs):
    chosen = recipe(stages={"shared": {"symbol_views": 3}, "symbol": {"symbol_views": 2}})
    for stage, views in (("shared", 3), ("symbol", 2)):
        seen, step = what_passes(inputs, chosen, batch_of([0, 5, 9], [0, 1, 2]), stage)
        assert len(seen[0][1]) == views * len(step.vocabulary.prompts.drawings)


@pytest.mark.parametrize("lock", [[], ["text"]])
def test_texts_that_have_no_part_in_a_step_do_not_pass(inputs, lock):
    chosen = recipe(backbone=TEXTS_LEARN["backbone"], stages={"shared": {"weights": WEIGHTS, "lock": lock}})
    part = "text.projection" if lock else "text.trunk"
    (passed, *more), step = what_passes(inputs, chosen, batch_of([0, 5, 9], [0, 1, 2]), "shared", part)
    assert not more
    every, items = step.texts, step.vocabulary.text_items
    rows = [int((every == row).all(1).nonzero()[0]) for row in passed[0]]
    assert len(rows) < len(every)
    assert set(items[rows].tolist()) == set(items.tolist())


def test_smaller_symbols_pass_the_shared_tower_by_themselves_at_their_size(inputs):
    smaller = {"name": "small-convnext", "size": 64, "symbol_scale": 0.5}
    still = MIXED | {"augment": STILL, "backbone": smaller, "living": {"share": 0.0, "matched": False}}
    batch = batch_of([0, 5, 11, 9, 13, 2, 8], [0, 1, 2, 2, 3, 0, 2])
    whole = gradients(inputs, recipe(**still), own_tower=False, batch=batch)
    assert {"loss symbol_text", "loss image_symbol"} <= set(whole)
    assert_same(whole, gradients(inputs, recipe(accumulate=3, **still), own_tower=False, batch=batch))

    seen, step = what_passes(inputs, recipe(**still), batch, "shared", part="image")
    assert [given[0].shape[-1] for given in seen] == [64, 32]
    again = []
    step.model.image.register_forward_pre_hook(lambda _, given: again.append(given[0].shape[-1]))
    embed_symbols(step.model, step.vocabulary.prompts.drawings)
    assert set(again) == {32}
