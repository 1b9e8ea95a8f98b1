"""Seconds of a training step: tri-modal over image-only, the published form, and folded over plain batch norms.

All arms train the same tower (lite0-minilm, 112 px) on the same galaxies of ten classes with random labels, by the
library's own loop, and take turns step by step in one process.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.material import TREE, Material, make_material, recipe, source_of
from benchmarks.measuring import Measured, alternately, options, ratios, write
from benchmarks.published import published_steps
from galaxalign.align.backbones import build_backbone
from galaxalign.align.history import History
from galaxalign.align.inputs import read_inputs
from galaxalign.align.material import Material as Learned
from galaxalign.align.model import Head, TriModalModel
from galaxalign.align.recipe import Recipe
from galaxalign.align.training import StageTrainer
from galaxalign.memory import keep_freed_memory

# Largest share of an image-only step, by batch size.
TARGETS = {64: 1.25, 256: 1.10}
BASE = "image-only"
# Steps of one repetition, by batch size.
STEPS = {64: 3, 256: 1}


@dataclass(frozen=True)
class Arm:
    """One way to train: a run of the configuration, a stage, and what is changed of them."""

    run: str
    stage: str
    targets: str
    published: bool
    lock_text: bool
    folded: bool


ARMS = {
    BASE: Arm("image_only", "shared", "class", published=False, lock_text=True, folded=True),
    "tri-modal, stage 1": Arm("galaxalign", "shared", "class", published=False, lock_text=True, folded=True),
    "tri-modal, stage 2": Arm("galaxalign", "symbol", "class", published=False, lock_text=True, folded=True),
    "votes, stage 1": Arm("galaxalign", "shared", "votes", published=False, lock_text=True, folded=True),
    "votes, stage 2": Arm("galaxalign", "symbol", "votes", published=False, lock_text=True, folded=True),
    "published form, stage 1": Arm("galaxalign", "shared", "class", published=True, lock_text=True, folded=True),
    "published form, stage 2": Arm("galaxalign", "symbol", "class", published=True, lock_text=True, folded=True),
    "published form, stage 2, text trained": Arm(
        "galaxalign", "symbol", "class", published=True, lock_text=False, folded=True
    ),
}
# Those that TARGETS are for.
AIMED = ("tri-modal, stage 1", "tri-modal, stage 2")
PLAIN = {
    "image-only, norms not folded": Arm("image_only", "shared", "class", published=False, lock_text=True, folded=False),
    "tri-modal, stage 1, norms not folded": Arm(
        "galaxalign", "shared", "class", published=False, lock_text=True, folded=False
    ),
}


def main() -> None:
    """Measure and write."""
    given = options(__doc__, list(TARGETS))
    torch.set_num_threads(os.cpu_count() or 1)
    keep_freed_memory()
    measured: list[Measured] = []
    with tempfile.TemporaryDirectory() as folder:
        materials = {
            "class": make_material(Path(folder) / "class", count=1024),
            "votes": make_material(Path(folder) / "votes", count=1024, sheet=TREE),
        }
        for batch in given.batches:
            arms = ARMS | (PLAIN if batch == min(given.batches) else {})
            steps = {
                name: _timed(_steps(arm, materials[arm.targets], batch), STEPS.get(batch, 1))
                for name, arm in arms.items()
            }
            for step in steps.values():
                # The first step allocates what later ones use again.
                step()
            measured += _summary(batch, alternately(steps, given.repetitions))
        settings = {"pictures": materials["class"].origin, "backbone": "lite0-minilm", "size": 112}
    write(given.results / "steps.json", measured, settings=settings, skipped={})


def _summary(batch: int, found: dict[str, dict[str, list[float]]]) -> Iterator[Measured]:
    for name, values in found.items():
        yield Measured(f"A step, batch {batch}", name, "s", values["seconds"], None)
    for name, values in found.items():
        if name in ARMS and name != BASE:
            target = f"<= {TARGETS[batch]:.2f}" if name in AIMED and batch in TARGETS else None
            shares = ratios(values["seconds"], found[BASE]["seconds"])
            yield Measured(f"A step over an image-only one, batch {batch}", name, "", shares, target)
            shares = ratios(values["processor"], found[BASE]["processor"])
            yield Measured(f"The same by processor time, batch {batch}", name, "", shares, target)
    for name in PLAIN:
        if name in found:
            folded = name.removesuffix(", norms not folded")
            shares = ratios(found[folded]["seconds"], found[name]["seconds"])
            yield Measured(f"Folded over plain batch norms, batch {batch}", folded, "", shares, None)


def _steps(arm: Arm, material: Material, batch: int) -> Iterator[None]:
    """Train as an arm does, a step at a time."""
    chosen = recipe(
        arm.run,
        targets=arm.targets,
        batch_size=batch,
        # More than are ever done.
        epoch_size=1000 * batch,
        stages={arm.stage: {"epochs": 1, "lock": ["text"] if arm.lock_text else []}},
    )
    inputs = source_of(material.images, material.symbols, memory=1e9)
    learned = read_inputs(inputs, chosen).material
    model = _model(arm, chosen, learned)
    if arm.published:
        return published_steps(model, name=arm.stage, recipe=chosen, material=learned)
    trainer = StageTrainer(model, name=arm.stage, recipe=chosen, material=learned, history=History(), state=None)
    # Not `run`, which goes through without a stop.
    return trainer.steps()


def _model(arm: Arm, chosen: Recipe, learned: Learned) -> TriModalModel:
    """The towers as the library prepares them."""
    torch.manual_seed(0)
    backbone = build_backbone(chosen.backbone, with_text=chosen.uses("text"))
    model = TriModalModel(backbone, temperature=chosen.temperature.start, dropout=chosen.dropout)
    if chosen.has_head:
        model.head = Head(model.width, learned.vocabulary.prompts.classes, unit=False)
    if arm.folded:
        model.freeze_norms(chosen.backbone.size)
    if arm.stage == "symbol":
        model.own_symbol_tower()
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model


def _timed(steps: Iterator[None], count: int) -> Callable[[], dict[str, float]]:
    def step() -> dict[str, float]:
        # The first step after those of others finds memory as they left it, which no training does.
        next(steps)
        wall, processor = time.perf_counter(), time.process_time()
        for _ in range(count):
            next(steps)
        return {
            "seconds": (time.perf_counter() - wall) / count,
            "processor": (time.process_time() - processor) / count,
        }

    return step


if __name__ == "__main__":
    main()
