"""One stage of training: the loop, from batches to history."""

import logging
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from galaxalign.align.batches import Batch, epoch_batches, epoch_galaxies, epoch_length, mirrored, order_of, read_ahead
from galaxalign.align.distributed import of_first, rank, world
from galaxalign.align.history import TERMS, Clock, History
from galaxalign.align.material import Material
from galaxalign.align.model import TriModalModel
from galaxalign.align.norms import hold_norms
from galaxalign.align.optimizer import AveragedWeights, build_optimizer
from galaxalign.align.recipe import Recipe, Stage
from galaxalign.align.schedule import learning_rate_share
from galaxalign.align.state import INTERVAL, StateFile
from galaxalign.align.step import Step
from galaxalign.align.validation import validate
from galaxalign.errors import GalaxAlignError
from galaxalign.logs import progress

logger = logging.getLogger(__name__)


def train_stage(
    model: TriModalModel, *, name: str, recipe: Recipe, material: Material, state: StateFile | None
) -> History:
    """Train `model` in place, on its device, through the stage `name` of `recipe`.

    Parameters
    ----------
    state
        Where a state is kept as training goes, to go on from after an interruption; None keeps none.

    Raises
    ------
    GalaxAlignError
        The loss is not finite any more, or several processes are to train norms.
    """
    history = History()
    if recipe.stages[name].epochs:
        trainer = StageTrainer(model, name=name, recipe=recipe, material=material, history=history, state=state)
        trainer.run()
    return history


class StageTrainer:
    """The state of one stage of training, and the way through it."""

    def __init__(
        self,
        model: TriModalModel,
        *,
        name: str,
        recipe: Recipe,
        material: Material,
        history: History,
        state: StateFile | None,
    ) -> None:
        if world() > 1 and recipe.norm_layers == "trained":
            raise GalaxAlignError(
                f"norm_layers are trained by the statistics of whole batches, of which each of {world()} processes "
                "sees a part: run one process, or set norm_layers to frozen"
            )
        self.model, self.name, self.recipe, self.material = model, name, recipe, material
        self.stage = recipe.stages[name]
        self.history, self.state = history, state
        # Every process reads the state, the first one writes it.
        self.own_state = state if rank() == 0 else None
        self.optimizer = build_optimizer(model, self.stage, recipe)
        self.peaks = [group["lr"] for group in self.optimizer.param_groups]
        self.average = AveragedWeights(model, recipe.optimizer.average) if recipe.optimizer.average else None
        device = model.logit_scale.device
        self.scaler = torch.amp.GradScaler(device.type, enabled=recipe.precision == "float16")
        if recipe.compile:
            # A graph for each of the few sizes; one for all sizes takes minutes to make.
            model.image.compile(dynamic=False)
        self.step = Step(model, name=name, recipe=recipe, material=material)
        self.steps_an_epoch = epoch_length(len(material.train), recipe)
        self.done, self.skipped = 0, 0
        self.best: dict[str, Any] = {"score": -1.0, "epoch": 0, "weights": {}}
        self.unread: dict[str, Tensor] | None = None
        self._restore()

    def run(self) -> None:
        """Train to the end; the weights are the last, or with `patience` the best on validation."""
        left = self.stage.epochs * self.steps_an_epoch - self.done
        # Batches have even sizes.
        each = epoch_galaxies(len(self.material.train), self.recipe) / max(1, self.steps_an_epoch)
        bar = progress(
            self.steps(), total=round(left * each), what=f"stage {self.name}", unit="galaxies", each=math.ceil(each)
        )
        for _ in bar:
            pass
        self._tell_skipped()
        if self.average is not None:
            self.average.exchange(self.model)
        if not all(bool(weights.isfinite().all()) for weights in self.model.parameters()):
            raise self._diverged("weights are not finite")
        if self.best["weights"]:
            self.model.load_state_dict(self.best["weights"])
            logger.info("stage %s: the best weights are those of epoch %d", self.name, self.best["epoch"])

    def steps(self) -> Iterator[None]:
        """Do every step that is left, and what comes between epochs; yields after each step."""
        for epoch in range(self.done // self.steps_an_epoch + 1, self.stage.epochs + 1):
            if self._given_up(epoch):
                logger.info("stage %s: no gain for %d epochs, stopped", self.name, self.recipe.patience)
                return
            yield from self._epoch(epoch)

    def _tell_skipped(self) -> None:
        """Half precision begins with gradients scaled too high for it, and leaves out steps until they are not."""
        if not self.skipped:
            return
        told = f"stage {self.name}: {self.skipped} of {self.done} steps were left out, as float16 could not hold "
        told += "their gradients"
        if self.skipped == self.done:
            raise GalaxAlignError(f"{told}: train for more steps, or set precision to bfloat16 or float32")
        logger.warning(told)

    def _given_up(self, epoch: int) -> bool:
        judged = self.best["epoch"] > 0
        return bool(self.recipe.patience and judged and epoch > self.best["epoch"] + self.recipe.patience)

    def _epoch(self, epoch: int) -> Iterator[None]:
        set_training_mode(self.model, self.stage, self.recipe)
        order = order_of(self.recipe.seed, self.recipe.stage_number(self.name), epoch)
        train, classes = self.material.train, self.material.vocabulary.prompts.classes
        batches = epoch_batches(train.labels, classes, self.recipe, order)
        mirror = self.material.vocabulary.mirror
        if mirror is not None and self.recipe.augment.flip:
            batches = [mirrored(batch, mirror, order) for batch in batches]
        left = batches[self.done % self.steps_an_epoch :]
        clock, saved = Clock(), Clock()
        own = [self.step.own(self.step.pieces(batch)) for batch in left]
        reader = read_ahead(train, own, pin=self.model.logit_scale.is_cuda)
        for batch, (pieces, real) in zip(left, clock.waiting(reader), strict=True):
            self._step(epoch, batch, pieces, real, clock)
            if self.done % self.steps_an_epoch and saved.since() > INTERVAL:
                self._save()
                saved = Clock()
            yield
        self._read_losses()
        self._end_epoch(epoch, sum(len(batch.labels) for batch in batches), clock)

    def _step(self, epoch: int, batch: Batch, pieces: list[Batch], real: list[Tensor], clock: Clock) -> None:
        share = learning_rate_share(self.done, self.stage.epochs * self.steps_an_epoch, self.recipe.optimizer.warmup)
        for group, peak in zip(self.optimizer.param_groups, self.peaks, strict=True):
            group["lr"] = peak * share
        self.optimizer.zero_grad()
        losses = self.step.gradients(self.done, batch, pieces, real, self.scaler)
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.optimizer.clip)
        scale = self.scaler.get_scale()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.skipped += self.scaler.get_scale() < scale
        self.model.bound_scale()
        if self.average is not None:
            self.average.update(self.model)
        self._read_losses()
        self.done += 1
        self.history.add_step(
            stage=self.name,
            epoch=epoch,
            step=self.done,
            learning_rate=max(group["lr"] for group in self.optimizer.param_groups),
            seconds=clock.lap(),
        )
        self.unread = losses | {"gradient_norm": norm, "scale": self.model.scale.detach()}

    def _read_losses(self) -> None:
        """Write down the losses of the step before, by now computed; one that is not finite stops the job."""
        if self.unread is None:
            return
        names = list(self.unread)
        values = dict(zip(names, torch.stack([self.unread[name].float() for name in names]).tolist(), strict=True))
        self.unread = None
        row = self.history.steps[-1]
        row["temperature"], row["gradient_norm"] = 1 / values["scale"], values["gradient_norm"]
        row |= {"loss": values["loss"]} | {f"loss_{term}": values[term] for term in TERMS if term in values}
        if not torch.isfinite(torch.tensor(values["loss"])):
            raise self._diverged(f"the loss is {values['loss']}")
        if self.own_state is not None:
            self.own_state.approve()

    def _diverged(self, what: str) -> GalaxAlignError:
        if self.own_state is not None:
            self.own_state.reject()
        rates = ", ".join(f"{group['lr']:.2g}" for group in self.optimizer.param_groups)
        kept = f"; the last good state is in {self.state.path}" if self.state and self.state.path.exists() else ""
        return GalaxAlignError(
            f"{what} at step {self.history.steps[-1]['step']} of stage {self.name}, with learning rates "
            f"{rates}: lower stages.{self.name}.learning_rate{kept}"
        )

    def _end_epoch(self, epoch: int, galaxies: int, clock: Clock) -> None:
        if self.average is not None:
            self.average.exchange(self.model)
        # Rounding differs between GPUs; were each to judge by its own, they might not stop at one epoch.
        measured = of_first(
            validate(self.model, self.recipe, self.material.vocabulary.prompts, self.material.validation)
        )
        row = self.history.add_epoch(epoch, galaxies, clock, **measured)
        score = measured.get("validation_macro_f1", -1.0)
        if self.recipe.patience and not measured and epoch == 1:
            logger.warning("stage %s: nothing can be judged on validation, so that patience ends nothing", self.name)
        if self.recipe.patience and score > self.best["score"]:
            weights = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
            self.best = {"score": score, "epoch": epoch, "weights": weights}
        if self.average is not None:
            self.average.exchange(self.model)
        logger.info(
            "stage %s, epoch %d of %d: loss %.3f, validation macro-F1 %.3f, %.0f galaxies/s",
            self.name, epoch, self.stage.epochs,
            row["loss"], row["validation_macro_f1"], row["galaxies_per_second"],
        )  # fmt: skip
        self._save()

    def _save(self) -> None:
        if self.own_state is None:
            return
        self._read_losses()
        self.own_state.save(
            {
                "done": self.done,
                "skipped": self.skipped,
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "scaler": self.scaler.state_dict(),
                "average": self.average.state() if self.average is not None else None,
                "best": self.best,
                "steps": self.history.steps,
                "epochs": self.history.epochs,
            }
        )

    def _restore(self) -> None:
        content = self.state.load(self.model.logit_scale.device) if self.state is not None else None
        if content is None:
            return
        self.done, self.skipped, self.best = content["done"], content["skipped"], content["best"]
        self.model.load_state_dict(content["model"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.scaler.load_state_dict(content["scaler"])
        if self.average is not None:
            self.average.restore(content["average"])
        self.history.steps, self.history.epochs = content["steps"], content["epochs"]
        logger.info("stage %s goes on after step %d", self.name, self.done)


def set_training_mode(model: TriModalModel, stage: Stage, recipe: Recipe) -> None:
    """Training mode, but for locked towers and, on request, for the statistics of batch norm."""
    model.train()
    if "image" in stage.lock:
        model.image.eval()
    if model.symbol is not None and "symbol" in stage.lock:
        model.symbol.eval()
    if model.text is not None and "text" in stage.lock:
        model.text.trunk.eval()
    for tower in (model.image, model.symbol):
        if tower is not None and recipe.norm_layers == "frozen":
            hold_norms(tower)
