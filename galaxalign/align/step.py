"""One training step: from a batch to gradients, whatever number of parts and processes it is done in."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from galaxalign.align.augmentation import augment
from galaxalign.align.batches import RENDERED, Batch, SymbolViews
from galaxalign.align.distributed import gather, rank, world
from galaxalign.align.losses import alignment_losses, prototypes
from galaxalign.align.material import Material
from galaxalign.align.model import TriModalModel
from galaxalign.align.randomness import Purpose, generator_for, seed_for
from galaxalign.align.recipe import Recipe
from galaxalign.align.vocabulary import Vocabulary
from galaxalign.align.votes import TreeTargets, vote_losses
from galaxalign.errors import GalaxAlignError

Forward = Callable[[Tensor, Tensor | None, Tensor | None, int], dict[str, Tensor]]
# What the model gives of each galaxy; the rest is shared by all.
PER_GALAXY = ("images", "logits")
PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Piece:
    """What one process passes at once: galaxies (n, 3, H, W) between 0 and 1, and seeds of dropout.

    `seed` is the piece's own, `text_seed` that of texts, which all processes pass alike.
    """

    pictures: Tensor
    seed: int
    text_seed: int


@dataclass(frozen=True)
class Shown:
    """What the galaxies of a step are aligned with, in every process alike.

    Attributes
    ----------
    views, items : views (M, 3, h, w) of symbols, None where no loss needs them, and the class or place of each.
    texts, text_items : as the model takes them, None likewise, and the class or answer each says.
    draws : of what else the losses draw, on the CPU.
    """

    views: Tensor | None
    items: Tensor
    texts: Tensor | None
    text_items: Tensor
    draws: torch.Generator


class Step:
    """The work of one step.

    A batch is cut into as many pieces as there are processes times `accumulate`, and each piece has random
    draws of its own, so the same pieces give the same gradients wherever they are computed.
    """

    def __init__(self, model: TriModalModel, *, name: str, recipe: Recipe, material: Material) -> None:
        self.model, self.recipe, self.material = model, recipe, material
        vocabulary = self.vocabulary = material.vocabulary
        self.weights, self.symbol_views = recipe.stages[name].weights, recipe.stages[name].symbol_views
        self.place = recipe.seed, recipe.stage_number(name)
        self.device = model.logit_scale.device
        self.symbols: SymbolViews = vocabulary.views.to(self.device)
        self.text_items = vocabulary.text_items.to(self.device)
        tree = vocabulary.prompts.tree
        self.tree = None if tree is None else TreeTargets.of(tree).to(self.device)
        locked = "text" in recipe.stages[name].lock
        self.texts = text_inputs(model, vocabulary, locked=locked) if self.uses_texts else None
        devices = [self.device] if self.device.type == "cuda" else None
        self.forward: Forward = model
        if world() > 1:
            self.forward = DistributedDataParallel(model, device_ids=devices)

    @property
    def uses_texts(self) -> bool:
        """Whether a loss of the stage needs texts."""
        return bool(self.weights.image_text or self.weights.symbol_text)

    @property
    def uses_symbols(self) -> bool:
        """Whether a loss of the stage needs symbols."""
        return bool(self.weights.symbol_text or self.weights.image_symbol)

    def pieces(self, batch: Batch) -> list[Batch]:
        """The pieces of a batch, of all processes; none is empty.

        Raises `GalaxAlignError` where several processes share fewer galaxies than they make pieces.
        """
        wanted, there = world() * self.recipe.accumulate, len(batch.indices)
        if there < wanted and world() > 1:
            raise GalaxAlignError(
                f"a batch of {there} galaxies cannot be shared among {world()} processes in {self.recipe.accumulate} "
                "parts each: lower accumulate, or raise batch_size or epoch_size"
            )
        return batch.pieces(min(wanted, there))

    def own(self, pieces: list[Batch]) -> list[Batch]:
        """Those of this process."""
        return pieces[rank() * self.recipe.accumulate :][: self.recipe.accumulate]

    def gradients(
        self, step: int, batch: Batch, own: list[Batch], real: list[Tensor], scaler: torch.amp.GradScaler
    ) -> dict[str, Tensor]:
        """Leave the gradients of the weighted sum of losses in the weights; the losses by name, and their `loss`.

        Parameters
        ----------
        step : number of the step in its stage.
        batch : the batch of all processes.
        own, real : this process's pieces, and the pictures of the real galaxies in each, uint8.
        scaler : of losses in half precision.
        """
        number = rank() * len(own)
        pieces = [
            self._piece(step, number + place, piece, pictures)
            for place, (piece, pictures) in enumerate(zip(own, real, strict=True))
        ]
        shown = self._shown(step)
        if len(pieces) == 1:
            outputs = self._pass(self.forward, pieces[0], shown.views, shown.texts)
            total, losses = self._losses(batch, outputs, shown)
            scaler.scale(total).backward()
            return losses
        return self._in_parts(batch, pieces, shown, scaler)

    def _in_parts(
        self, batch: Batch, pieces: list[Piece], shown: Shown, scaler: torch.amp.GradScaler
    ) -> dict[str, Tensor]:
        """The gradients of the whole batch with the activations of one piece in memory (Gao et al. 2021,
        arXiv 2101.06983): embed without gradients, differentiate the loss by the embeddings, embed again with them.

        Symbols and texts pass with the last piece.
        """
        last = len(pieces) - 1
        shared = [(None, None)] * last + [(shown.views, shown.texts)]
        with torch.no_grad():
            passed = [self._pass(self.model, piece, *extra) for piece, extra in zip(pieces, shared, strict=True)]
        whole = passed[last] | {
            name: torch.cat([outputs[name] for outputs in passed]) for name in PER_GALAXY if name in passed[0]
        }
        leaves = {name: value.detach().requires_grad_() for name, value in whole.items()}
        total, losses = self._losses(batch, leaves, shown)
        scaler.scale(total).backward()
        start = 0
        for at, piece in enumerate(pieces):
            rows = slice(start, start + len(piece.pictures))
            start = rows.stop
            with self._unsynchronised(at != last):
                outputs = self._pass(self.forward, piece, *shared[at])
                self._push(outputs, leaves, rows, everything=at == last)
        return losses

    def _push(self, outputs: dict[str, Tensor], leaves: dict[str, Tensor], rows: slice, *, everything: bool) -> None:
        """Send the gradients by the embeddings back through one piece, those shared by all pieces with the last."""
        values, gradients = [], []
        for name, output in outputs.items():
            gradient = leaves[name].grad
            own = name in PER_GALAXY
            if gradient is None or not output.requires_grad or not (own or everything):
                continue
            values.append(output)
            gradients.append(gradient[rows] if own else gradient)
        torch.autograd.backward(values, gradients)

    def _unsynchronised(self, wait: bool) -> AbstractContextManager[None]:
        """Where gradients are exchanged between processes: with the last piece."""
        if wait and isinstance(self.forward, DistributedDataParallel):
            return self.forward.no_sync()
        return nullcontext()

    def _pass(self, forward: Forward, piece: Piece, views: Tensor | None, texts: Tensor | None) -> dict[str, Tensor]:
        torch.manual_seed(piece.seed)
        kind = PRECISIONS[self.recipe.precision]
        with torch.autocast(self.device.type, kind, enabled=kind is not None):
            return forward(piece.pictures, views, texts, piece.text_seed)

    def _piece(self, step: int, number: int, piece: Batch, real: Tensor) -> Piece:
        """The galaxies of a piece, read and rendered, changed at random."""
        draws = generator_for(self.device, Purpose.GALAXIES, *self.place, step, number)
        flip = not self.vocabulary.handed
        pictures = real.to(self.device, non_blocking=True)
        turned = piece.mirrored[piece.indices != RENDERED].to(self.device)
        if bool(turned.any()):
            pictures = torch.where(turned[:, None, None, None], pictures.flip(2), pictures)
        made = (piece.indices == RENDERED).to(self.device)
        if self.material.living is not None and bool((piece.indices == RENDERED).any()):
            rendered = self.material.living.draw(piece.labels[piece.indices == RENDERED].to(self.device), draws)
            mixed = torch.empty((len(made), *rendered.shape[1:]), dtype=torch.uint8, device=self.device)
            mixed[made], mixed[~made] = rendered, pictures
            pictures = mixed
        changed = augment(pictures, self.recipe.backbone.size, self.recipe.augment, flip=flip, generator=draws)
        seeds = seed_for(Purpose.GALAXIES, *self.place, step, number), seed_for(Purpose.TEXTS, *self.place, step)
        return Piece(changed, *seeds)

    def _shown(self, step: int) -> Shown:
        """This step's views and texts."""
        draws = generator_for("cpu", Purpose.TEXTS, *self.place, step)
        views = self._views(step)
        if self.texts is None:
            return Shown(*views, None, self.text_items, draws)
        kept = self._some_texts(draws)
        return Shown(*views, self.texts[kept], self.text_items[kept], draws)

    def _some_texts(self, draws: torch.Generator) -> Tensor:
        """Places of a random half of the texts of each class, of one at least.

        Alignment of the mean of all alone would leave single texts free to lie anywhere around it.
        """
        items = self.vocabulary.text_items
        chance = torch.rand(len(items), generator=draws)
        best = torch.full((self.vocabulary.text_count,), 2.0).scatter_reduce(0, items, chance, "amin")
        return ((chance < 0.5) | (chance == best[items])).nonzero().flatten().to(self.device)

    def _views(self, step: int) -> tuple[Tensor | None, Tensor]:
        """This step's views of the symbols and their classes, the same in every process."""
        if not self.uses_symbols:
            return None, self.symbols.classes
        draws = generator_for(self.device, Purpose.SYMBOLS, *self.place, step)
        return self.symbols.draw(
            self.symbol_views,
            self.model.symbol_size,
            self.recipe.augment,
            flip=not self.vocabulary.handed,
            generator=draws,
        )

    def _losses(self, batch: Batch, outputs: dict[str, Tensor], shown: Shown) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum of the losses of the whole batch, and each by name."""
        counts = [sum(len(part.indices) for part in self._of(process, batch)) for process in range(world())]
        labels = batch.labels.to(self.device)
        shared: dict[str, Any] = {
            "weights": self.weights,
            "scale": outputs["scale"],
            "labels": labels,
            "images": gather(outputs["images"], counts),
            "texts": prototypes(outputs["texts"], shown.text_items, self.vocabulary.text_count)
            if "texts" in outputs
            else None,
            "symbols": outputs.get("symbols"),
            "head_logits": gather(outputs["logits"], counts) if "logits" in outputs else None,
        }
        if self.tree is not None:
            losses = vote_losses(
                mass=self._mass(self.tree, batch),
                questions=self.tree.questions,
                shown=self.tree.shown[:, shown.items],
                symbol_mass=self.tree.symbols[shown.items],
                **shared,
            )
        else:
            own = shown.items[None, :] == labels[:, None]
            dice = torch.rand(own.shape, generator=shown.draws).to(self.device)
            losses = alignment_losses(
                targets=self.recipe.targets, symbol_classes=shown.items, symbol_choice=(own * dice).argmax(1), **shared
            )
        total = torch.stack([getattr(self.weights, name) * loss for name, loss in losses.items()]).sum()
        return total, {"loss": total.detach()} | {name: loss.detach() for name, loss in losses.items()}

    def _mass(self, tree: TreeTargets, batch: Batch) -> Tensor:
        """m (N, A) of a batch: of a galaxy by its votes, of a rendered one as far as its class tells."""
        if self.material.mass is None:
            raise ValueError("votes are the targets, but there are none")
        mass = torch.empty((len(batch.labels), tree.rules.shape[1]), device=self.device)
        made = batch.indices == RENDERED
        mass[made.to(self.device)] = tree.rules[batch.labels[made].to(self.device)]
        mass[~made.to(self.device)] = self.material.mass[batch.indices[~made]].to(self.device)
        return mass

    def _of(self, process: int, batch: Batch) -> list[Batch]:
        return self.pieces(batch)[process * self.recipe.accumulate :][: self.recipe.accumulate]


def text_inputs(model: TriModalModel, vocabulary: Vocabulary, *, locked: bool) -> Tensor:
    """What a locked text trunk says of every text (T, F), computed once; token ids (T, L) of one that learns."""
    if model.text is None:
        raise ValueError("texts have weights, but the model has no text tower")
    tokens = model.text.tokens(vocabulary.texts).to(model.logit_scale.device)
    if not locked:
        return tokens
    training = model.text.training
    model.text.eval()
    with torch.no_grad():
        features: Tensor = model.text.trunk(tokens)
    model.text.train(training)
    return features.float()
