"""What a run reads: where it is, and what of it is trained on and judged by."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from galaxalign.align.batches import Galaxies, few_labels
from galaxalign.align.distributed import world
from galaxalign.align.material import Material
from galaxalign.align.recipe import Recipe
from galaxalign.align.vocabulary import vocabulary_of
from galaxalign.align.votes import TreeTargets, store_mass
from galaxalign.data.store import Store, read_store
from galaxalign.errors import GalaxAlignError
from galaxalign.provenance import content_mark
from galaxalign.settings import epochs_of
from galaxalign.symbols.living import LivingSymbols
from galaxalign.symbols.matching import read_look
from galaxalign.symbols.sheet import ClassSheet
from galaxalign.symbols.store import read_symbols


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
    memory : bytes that pictures may take, in all processes together; larger stores are read as training goes.
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
    trained = epochs_of(recipe.to_dict()) > 0
    if trained and len(used) == 0 and recipe.living.share == 0:
        raise GalaxAlignError(
            f"{source.images} has no labelled galaxy to train on; the data set needs labels and a split, "
            "or the run a living.share above 0 and, as epoch_size, the number of rendered galaxies in an epoch"
        )
    if trained and len(used) == 0 and recipe.epoch_size == "all":
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
    memory = source.memory / world()
    train = Galaxies(store, used, memory)
    material = Material(
        vocabulary=vocabulary,
        mass=mass,
        train=train,
        validation=Galaxies(store, validation, memory - train.held),
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
