"""One stage of training: the loop, from batches to history."""

import logging
import math
import time
from collections import defaultdict
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from galaxalign.align.augmentation import augment
from galaxalign.align.batches import LabelledPictures, SymbolViews, sampled_indices
from galaxalign.align.classification import ClassPrompts, class_scores
from galaxalign.align.inference import embed_all, in_batches
from galaxalign.align.losses import alignment_losses, prototypes
from galaxalign.align.model import TriModalModel
from galaxalign.align.recipe import Recipe, Stage
from galaxalign.align.schedule import learning_rate_share
from galaxalign.errors import GalaxAlignError
from galaxalign.evaluate.metrics import accuracy, confusion, macro_f1
from galaxalign.logs import progress

logger = logging.getLogger(__name__)

TERMS = ("image_text", "symbol_text", "image_symbol", "classifier")
COLUMNS = (
    "stage",
    "epoch",
    "learning_rate",
    "temperature",
    "loss",
    *(f"loss_{term}" for term in TERMS),
    "validation_accuracy",
    "validation_macro_f1",
    "galaxies_per_second",
)


@dataclass(frozen=True)
class Vocabulary:
    """What classes are shown and told with while training.

    Attributes
    ----------
    prompts : every text and every symbol as it is.
    symbols : variants of the symbols that training draws views from.
    handed : whether a mirror image may be another class.
    """

    prompts: ClassPrompts
    symbols: SymbolViews
    handed: bool


def train_stage(
    model: TriModalModel,
    *,
    name: str,
    recipe: Recipe,
    vocabulary: Vocabulary,
    train: LabelledPictures,
    validation: LabelledPictures,
    device: torch.device,
) -> list[dict[str, float | str]]:
    """Train `model` in place, on `device`, through the stage `name` of `recipe`.

    Returns
    -------
    One row an epoch, by the names in `COLUMNS`.

    Raises
    ------
    GalaxAlignError
        The loss is not finite any more.
    """
    trainer = StageTrainer(model.to(device), name=name, recipe=recipe, vocabulary=vocabulary, train=train)
    rows: list[dict[str, float | str]] = []
    for epoch in range(1, recipe.stages[name].epochs + 1):
        start = time.monotonic()
        means = trainer.epoch(epoch)
        row: dict[str, float | str] = dict.fromkeys(COLUMNS, math.nan)
        row |= {"stage": name, "epoch": epoch, **means}
        row["galaxies_per_second"] = len(train.labels) / (time.monotonic() - start)
        row |= validate(model, recipe, vocabulary, validation)
        rows.append(row)
        logger.info(
            "stage %s, epoch %d of %d: loss %.3f, validation macro-F1 %.3f, %.0f galaxies/s",
            name, epoch, recipe.stages[name].epochs,
            row["loss"], row["validation_macro_f1"], row["galaxies_per_second"],
        )  # fmt: skip
    return rows


class StageTrainer:
    """The state of one stage of training: optimizer, schedule, random draws."""

    def __init__(
        self, model: TriModalModel, *, name: str, recipe: Recipe, vocabulary: Vocabulary, train: LabelledPictures
    ) -> None:
        self.model, self.name, self.recipe, self.train = model, name, recipe, train
        self.stage = recipe.stages[name]
        self.device = model.logit_scale.device
        self.vocabulary = vocabulary
        self.symbols = vocabulary.symbols.to(self.device)
        self.text_classes = torch.from_numpy(vocabulary.prompts.text_classes).to(self.device)
        self.order = torch.Generator().manual_seed(recipe.seed)
        self.draws = torch.Generator(self.device).manual_seed(recipe.seed)
        self.optimizer = build_optimizer(model, self.stage, recipe)
        self.peaks = [group["lr"] for group in self.optimizer.param_groups]
        self.text_features = locked_text_features(model, self.stage, vocabulary)
        self.steps_an_epoch = math.ceil(len(train.labels) / recipe.batch_size)
        self.step = 0

    def epoch(self, epoch: int) -> dict[str, float]:
        """Train one epoch; the mean of every loss, the last learning rate and temperature."""
        set_training_mode(self.model, self.stage, self.recipe)
        sums: dict[str, float] = defaultdict(float)
        batches = sampled_indices(self.train.labels, self.recipe.sampling, self.recipe.batch_size, self.order)
        what = f"stage {self.name}, epoch {epoch} of {self.stage.epochs}"
        for indices in progress(batches, total=self.steps_an_epoch, what=what, unit="step"):
            share = learning_rate_share(
                self.step, self.stage.epochs * self.steps_an_epoch, self.recipe.optimizer.warmup
            )
            for group, peak in zip(self.optimizer.param_groups, self.peaks, strict=True):
                group["lr"] = peak * share
            losses = self.losses(indices)
            total = torch.stack([getattr(self.stage.weights, term) * loss for term, loss in losses.items()]).sum()
            self.update(total)
            sums["loss"] += total.item()
            for term, loss in losses.items():
                sums[f"loss_{term}"] += loss.item()
        means = {name: value / self.steps_an_epoch for name, value in sums.items()}
        return means | {
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            "temperature": 1 / self.model.scale.item(),
        }

    def update(self, total: Tensor) -> None:
        """One step of the optimizer; a loss that is not finite stops the job before it spoils the weights."""
        if not torch.isfinite(total):
            rates = ", ".join(f"{group['lr']:.2g}" for group in self.optimizer.param_groups)
            raise GalaxAlignError(
                f"the loss is {total.item()} at step {self.step} of stage {self.name}, with learning rates {rates}: "
                f"lower stages.{self.name}.learning_rate"
            )
        self.optimizer.zero_grad()
        total.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.optimizer.clip)
        self.optimizer.step()
        self.step += 1

    def losses(self, indices: Tensor) -> dict[str, Tensor]:
        """The losses of one step: each distinct text and each view of a symbol passes its tower once."""
        model, recipe, weights = self.model, self.recipe, self.stage.weights
        size, flip = recipe.backbone.size, not self.vocabulary.handed
        labels = self.train.labels[indices].to(self.device)
        galaxies = self.train.pictures[indices].to(self.device)
        pictures = augment(galaxies, size, recipe.augment, flip=flip, generator=self.draws)
        views, classes = None, self.symbols.classes
        if weights.symbol_text or weights.image_symbol:
            views, classes = self.symbols.draw(
                recipe.symbol_views, size, recipe.augment, flip=flip, generator=self.draws
            )
        symbols = None
        if views is not None and model.symbol is None:
            # One pass for all pictures of the shared tower.
            features, drawn = model.features(torch.cat([pictures, views])).split([len(pictures), len(views)])
            symbols = F.normalize(drawn, dim=-1)
        else:
            features = model.features(pictures)
            symbols = model.encode_symbols(views) if views is not None else None
        texts = self.text_prototypes() if weights.image_text or weights.symbol_text else None
        own = classes[None, :] == labels[:, None]
        dice = torch.rand(own.shape, generator=self.draws, device=self.device)
        return alignment_losses(
            weights=weights,
            targets=recipe.targets,
            scale=model.scale,
            labels=labels,
            images=F.normalize(features, dim=-1),
            texts=texts,
            symbols=symbols,
            symbol_classes=classes,
            symbol_choice=(own * dice).argmax(1),
            head_logits=model.head(features) if model.head is not None else None,
        )

    def text_prototypes(self) -> Tensor:
        """W (C, D): one prototype a class; a locked trunk is not passed again."""
        model = self.model
        if model.text is None:
            raise ValueError("texts have weights, but the model has no text tower")
        if self.text_features is None:
            embeddings = model.encode_texts(self.vocabulary.prompts.texts)
        else:
            embeddings = F.normalize(model.text.projection(self.text_features), dim=-1)
        return prototypes(embeddings, self.text_classes, self.vocabulary.prompts.classes)


def locked_text_features(model: TriModalModel, stage: Stage, vocabulary: Vocabulary) -> Tensor | None:
    """What a locked text trunk says of every text (T, F), computed once a stage."""
    needed = stage.epochs and (stage.weights.image_text or stage.weights.symbol_text)
    if model.text is None or not needed or "text" not in stage.lock:
        return None
    model.text.eval()
    with torch.no_grad():
        features: Tensor = model.text.trunk(model.text.tokens(vocabulary.prompts.texts).to(model.logit_scale.device))
    return features


def set_training_mode(model: TriModalModel, stage: Stage, recipe: Recipe) -> None:
    """Training mode, but for locked towers and, on request, for the statistics of batch norm."""
    model.train()
    if "image" in stage.lock:
        model.image.eval()
    if model.text is not None and "text" in stage.lock:
        model.text.trunk.eval()
    for tower in (model.image, model.symbol):
        for module in tower.modules() if tower is not None else ():
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and recipe.norm_layers == "frozen":
                module.eval()


def build_optimizer(model: TriModalModel, stage: Stage, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW over what the stage leaves free: towers and new weights at their own rates, only matrices decayed."""
    towers: dict[int, nn.Parameter] = {}
    for part in (model.image, model.symbol, model.text.trunk if model.text is not None else None):
        for parameter in part.parameters() if part is not None else ():
            towers[id(parameter)] = parameter
    for part, lock in ((model.image, "image"), (model.text.trunk if model.text is not None else None, "text")):
        for parameter in part.parameters() if part is not None else ():
            parameter.requires_grad_(lock not in stage.lock)
    model.logit_scale.requires_grad_(recipe.temperature.learned)
    groups = []
    for rate, inside in ((stage.learning_rate.tower, True), (stage.learning_rate.new, False)):
        free = [p for p in model.parameters() if p.requires_grad and (id(p) in towers) is inside]
        for decay, matrices in ((recipe.optimizer.weight_decay, True), (0.0, False)):
            chosen = [p for p in free if (p.ndim >= 2) is matrices]
            if chosen:
                groups.append({"params": chosen, "lr": rate, "weight_decay": decay})
    return torch.optim.AdamW(groups)


def validate(
    model: TriModalModel, recipe: Recipe, vocabulary: Vocabulary, validation: LabelledPictures
) -> dict[str, float]:
    """Accuracy and macro-F1 of the recipe's own classifier on the validation galaxies; none for a probe."""
    if recipe.classifier == "probe" or len(validation.labels) == 0:
        return {}
    pictures = validation.pictures.numpy()
    batches = in_batches(lambda rows: pictures[rows], len(pictures))
    embeddings, logits = embed_all(model, batches, recipe.backbone.size)
    scores = class_scores(model, recipe, vocabulary.prompts, embeddings, logits)
    matrix = confusion(validation.labels.numpy(), scores.argmax(1), vocabulary.prompts.classes)
    return {"validation_accuracy": float(accuracy(matrix)), "validation_macro_f1": float(macro_f1(matrix))}
