"""The published form of tri-modal alignment, written plainly, to compare with.

As in the text of arXiv 2411.19475: every galaxy of a batch comes with a symbol and a text of its own, which pass
their towers with it, and galaxy i belongs to symbol i and text i alone.  The towers are the same as the library's,
so that only the form differs.
"""

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn import functional as F

from galaxalign.align.augmentation import augment
from galaxalign.align.losses import identity_contrast
from galaxalign.align.material import Material
from galaxalign.align.model import TriModalModel
from galaxalign.align.optimizer import build_optimizer
from galaxalign.align.recipe import Recipe
from galaxalign.align.training import set_training_mode


def published_steps(model: TriModalModel, *, name: str, recipe: Recipe, material: Material) -> Iterator[None]:
    """Train without end by the weights of stage `name`, a step at a time."""
    stage, vocabulary, galaxies = recipe.stages[name], material.vocabulary, material.train
    optimizer = build_optimizer(model, stage, recipe)
    set_training_mode(model, stage, recipe)
    draws = torch.Generator().manual_seed(0)
    classes = vocabulary.prompts.classes
    own_texts = [torch.nonzero(vocabulary.text_items == item).flatten() for item in range(classes)]
    own_symbols = [torch.nonzero(vocabulary.views.classes == item).flatten() for item in range(classes)]
    assert model.text is not None
    tokens = model.text.tokens(vocabulary.texts)

    def one_of(choices: torch.Tensor) -> int:
        return int(choices[torch.randint(len(choices), (), generator=draws)])

    def embed(pictures: torch.Tensor, tower: nn.Module | None) -> torch.Tensor:
        changed = augment(pictures, recipe.backbone.size, recipe.augment, flip=not vocabulary.handed, generator=draws)
        return F.normalize(model.features(changed, tower), dim=-1)

    while True:
        chosen = torch.randint(len(galaxies), (recipe.batch_size,), generator=draws)
        labels = galaxies.labels[chosen].tolist()
        drawings = vocabulary.views.views
        symbols = [one_of(own_symbols[label]) for label in labels]
        views = drawings[symbols, torch.randint(drawings.shape[1], (len(labels),), generator=draws)]
        optimizer.zero_grad()
        images = embed(galaxies.pictures(chosen), None)
        drawn = embed(views[..., None].expand(-1, -1, -1, 3), model.symbol)
        texts = F.normalize(model.text(tokens[[one_of(own_texts[label]) for label in labels]]), dim=-1)
        loss = (
            stage.weights.image_text * identity_contrast(images, texts, model.scale)
            + stage.weights.symbol_text * identity_contrast(drawn, texts, model.scale)
            + stage.weights.image_symbol * identity_contrast(images, drawn, model.scale)
        )
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), recipe.optimizer.clip)
        optimizer.step()
        yield
