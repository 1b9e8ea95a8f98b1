"""One way to fine-tune, as the configuration states it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from galaxalign.align.augmentation import Augmentation
from galaxalign.align.backbones import BackboneSettings
from galaxalign.align.losses import Weights
from galaxalign.settings import uses


@dataclass(frozen=True)
class LearningRate:
    """Peak learning rates of pre-trained weights and of new ones."""

    tower: float
    new: float


@dataclass(frozen=True)
class Stage:
    """What one stage of training does."""

    epochs: int
    learning_rate: LearningRate
    weights: Weights
    symbol_views: int
    lock: tuple[str, ...]

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> "Stage":
        """From one entry of `recipe.stages`."""
        parts: dict[str, Any] = {
            "learning_rate": LearningRate(**settings["learning_rate"]),
            "weights": Weights(**settings["weights"]),
            "lock": tuple(settings["lock"]),
        }
        return cls(**{**settings, **parts})


@dataclass(frozen=True)
class Living:
    """Rendered galaxies: their share of every batch, and whether they are matched to the survey."""

    share: float
    matched: bool


@dataclass(frozen=True)
class Temperature:
    """Start of 1 / a, and whether a is learned."""

    start: float
    learned: bool


@dataclass(frozen=True)
class Optimizer:
    """AdamW: weight decay of matrices, share of steps that warm up, largest norm of the gradient, factor on
    the learning rate from one layer to the next one further from the output, decay of the averaged weights.
    """

    weight_decay: float
    warmup: float
    clip: float
    layer_decay: float
    average: float


@dataclass(frozen=True)
class Recipe:
    """A complete recipe; the keys are those of `recipe` in the configuration, where each is explained."""

    seed: int
    start: str
    backbone: BackboneSettings
    targets: str
    labels_per_class: int | str
    living: Living
    sampling: str
    epoch_size: int | str
    batch_size: int
    accumulate: int
    temperature: Temperature
    norm_layers: str
    dropout: float
    precision: str
    compile: bool
    optimizer: Optimizer
    patience: int
    augment: Augmentation
    stages: dict[str, Stage]
    interpolate: tuple[float, ...]
    classifier: str
    fusion: float
    position_angles: int

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> "Recipe":
        """From the merged configuration of a run; a missing or unknown key raises KeyError or TypeError naming it."""
        parts: dict[str, Any] = {
            "backbone": BackboneSettings(**settings["backbone"]),
            "living": Living(**settings["living"]),
            "temperature": Temperature(**settings["temperature"]),
            "optimizer": Optimizer(**settings["optimizer"]),
            "augment": Augmentation(**settings["augment"]),
            "stages": {name: Stage.from_dict(stage) for name, stage in settings["stages"].items()},
            "interpolate": tuple(settings["interpolate"]),
        }
        return cls(**{**settings, **parts})

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as a checkpoint stores them."""
        settings = asdict(self)
        settings["interpolate"] = list(self.interpolate)
        for stage in settings["stages"].values():
            stage["lock"] = list(stage["lock"])
        return settings

    def uses(self, modality: str) -> bool:
        """Whether any stage with epochs trains on `text` or `symbol`; without epochs, every modality is kept."""
        return uses(self.to_dict(), modality)

    def trains_texts(self, name: str) -> bool:
        """Whether a stage has a loss with texts."""
        stage = self.stages[name]
        return bool(stage.epochs and (stage.weights.image_text or stage.weights.symbol_text))

    @property
    def has_head(self) -> bool:
        """Whether a linear head is trained beside the towers, from random weights or from those of the start."""
        return any(stage.epochs and stage.weights.classifier for stage in self.stages.values())

    def stage_number(self, name: str) -> int:
        """Place of a stage in the order of training, which seeds its random draws."""
        return {"shared": 1, "symbol": 2}[name]
