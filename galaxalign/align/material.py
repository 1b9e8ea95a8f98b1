"""All that a run learns from."""

from dataclasses import dataclass

from torch import Tensor

from galaxalign.align.batches import Galaxies
from galaxalign.align.vocabulary import Vocabulary
from galaxalign.symbols.living import LivingSymbols


@dataclass(frozen=True)
class Material:
    """What a run learns from, and the galaxies that tell how well it goes.

    Attributes
    ----------
    mass : m (N, A) of the training galaxies where votes are the targets, see `votes`; else None.
    living : draws rendered galaxies, where the recipe has any.
    """

    vocabulary: Vocabulary
    train: Galaxies
    mass: Tensor | None
    validation: Galaxies
    living: LivingSymbols | None
