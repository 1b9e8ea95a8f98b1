"""What is trained, how fast, and the running average of the weights."""

from itertools import chain

import torch
from torch import Tensor, nn

from galaxalign.align.backbones import layer_depths
from galaxalign.align.model import TriModalModel
from galaxalign.align.recipe import Recipe, Stage
from galaxalign.errors import GalaxAlignError


def build_optimizer(model: TriModalModel, stage: Stage, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW over what the stage trains.

    Towers and new weights have their own rates; in a tower the rate falls by `layer_decay` from each layer to
    the one before it (Clark et al. 2020, arXiv 2003.10555); only matrices are decayed.

    Raises `GalaxAlignError` where nothing is left to train.
    """
    choose_trained(model, stage, recipe)
    depths = _depths(model)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            below = depths.get(name)
            rate = (
                stage.learning_rate.new
                if below is None
                else stage.learning_rate.tower * recipe.optimizer.layer_decay**below
            )
            decay = recipe.optimizer.weight_decay if parameter.ndim >= 2 else 0.0
            groups.setdefault((rate, decay), []).append(parameter)
    if not groups:
        raise GalaxAlignError(
            "nothing is left to train: every tower that a loss reaches is locked, and neither temperature nor head is "
            "learned; take a tower out of the stage's lock, learn the temperature, or set the stage's epochs to 0"
        )
    return torch.optim.AdamW(
        [{"params": group, "lr": rate, "weight_decay": decay} for (rate, decay), group in groups.items()], fused=True
    )


def choose_trained(model: TriModalModel, stage: Stage, recipe: Recipe) -> None:
    """Ask for gradients of the weights that the losses of a stage reach, but for locked towers."""
    weights = stage.weights
    text = bool(weights.image_text or weights.symbol_text)
    symbol = bool(weights.symbol_text or weights.image_symbol)
    image = bool(weights.image_text or weights.image_symbol or weights.classifier)
    shared = symbol and model.symbol is None
    model.image.requires_grad_((image or shared) and "image" not in stage.lock)
    if model.symbol is not None:
        model.symbol.requires_grad_(symbol and "symbol" not in stage.lock)
    if model.text is not None:
        model.text.trunk.requires_grad_(text and "text" not in stage.lock)
        model.text.projection.requires_grad_(text)
    if model.head is not None:
        model.head.requires_grad_(bool(weights.classifier))
    model.logit_scale.requires_grad_(recipe.temperature.learned and (text or symbol))


def _depths(model: TriModalModel) -> dict[str, int]:
    """Layers between each pre-trained weight and the output of its tower, by the weight's name in the model."""
    depths: dict[str, int] = {}
    trunk = model.text.trunk if model.text is not None else None
    for prefix, tower in (("image", model.image), ("symbol", model.symbol), ("text.trunk", trunk)):
        if tower is not None:
            layers = layer_depths(tower)
            last = max(layers.values(), default=0)
            depths |= {f"{prefix}.{name}": last - layer for name, layer in layers.items()}
    return depths


class AveragedWeights:
    """Exponential moving average of what is trained (Polyak averaging); it follows closely at first.

    Statistics of batch norms are averaged too: those of the last weights are not those of the average.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        trained = (named for named in model.named_parameters() if named[1].requires_grad)
        # What is not kept with a model, such as the mask of a text tower, which holds infinities, is no statistic.
        kept = model.state_dict().keys()
        statistics = (named for named in model.named_buffers() if named[0] in kept and named[1].is_floating_point())
        self.weights = {name: values.detach().clone() for name, values in chain(trained, statistics)}

    def update(self, model: nn.Module) -> None:
        """Move the average towards the weights after a step."""
        self.steps += 1
        share = 1 - min(self.decay, (1 + self.steps) / (10 + self.steps))
        current = _tensors(model)
        torch._foreach_lerp_(list(self.weights.values()), [current[name].detach() for name in self.weights], share)

    def exchange(self, model: nn.Module) -> None:
        """Put the average into the model and keep the model's weights here; done twice, all is as before."""
        current = _tensors(model)
        with torch.no_grad():
            for name, average in self.weights.items():
                kept = current[name].detach().clone()
                current[name].copy_(average)
                average.copy_(kept)

    def state(self) -> dict[str, Tensor | int]:
        """What `restore` takes."""
        return {"steps": self.steps, **self.weights}

    def restore(self, state: dict[str, Tensor | int]) -> None:
        """Go on from `state`."""
        self.steps = int(state["steps"])
        for name, average in self.weights.items():
            average.copy_(torch.as_tensor(state[name]))


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    """Weights and statistics by name."""
    return dict(chain(model.named_parameters(), model.named_buffers()))
