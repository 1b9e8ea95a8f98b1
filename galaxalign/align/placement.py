"""Where texts begin: at the galaxies that they describe.

A projection from a text tower into the space of a foreign image tower starts at random, so that the first steps of a
run are spent on carrying every text across that space; with few galaxies there are few steps, and texts that are
alike in words (tightly and loosely wound arms) stay together.  But where a text belongs is known before the first
step: where the pre-trained image tower sees the galaxies of its class.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from galaxalign.align.inference import embed_all, in_batches
from galaxalign.align.material import Material
from galaxalign.align.model import TriModalModel
from galaxalign.align.randomness import Purpose, generator_for
from galaxalign.align.recipe import Recipe
from galaxalign.align.step import text_inputs

# Galaxies that are looked at: of the survey at most, and rendered ones of each class where no label may be used.
MOST, RENDERED = 2048, 48
# Ridge of the least squares, as a share of the mean square of the texts: paraphrases of a class are nearly collinear.
RIDGE = 1e-3
# A single class has no direction from the mean of all.
TOLD_APART = 2


def place_texts(towers: TriModalModel, recipe: Recipe, material: Material) -> None:
    """Change a new text projection as little as puts each text where the galaxies of its class are.

    The place of class c is the direction (mu_c - mu) of the mean mu_c of the unit-length embeddings of its labelled
    galaxies from the mean mu of those means.  With t the features of the texts, Y their places at the length that
    they have, and P the projection, the change of least Frobenius norm that gives P t = Y is added, by ridge
    regression: a text that shares nothing with the sheet's keeps the place it had.

    Where votes are the targets, answers take the place of classes, and their galaxies count as much as the volunteers
    gave the answer.  Without any label, rendered galaxies of every class are looked at, but for votes.  Texts of
    classes (or answers) without galaxies move with the words that they share with others.  Towers that were built for
    one space have no new projection, and stay as they are.
    """
    projection = towers.text.projection if towers.text is not None else None
    if not isinstance(projection, nn.Linear) or (looked := _galaxies(towers, recipe, material)) is None:
        return
    embeddings, mass = (torch.from_numpy(part).double() for part in looked)
    known = mass.sum(0) > 0
    if known.sum() < TOLD_APART:
        return
    means = (mass.T @ embeddings)[known] / mass.sum(0)[known, None]
    places = torch.zeros(mass.shape[1], embeddings.shape[1], dtype=torch.double)
    places[known] = F.normalize(means - means.mean(0), dim=1)
    texts = text_inputs(towers, material.vocabulary, locked=True).double().cpu()
    weight = projection.weight
    own = known[material.vocabulary.text_items]
    texts, places = texts[own], places[material.vocabulary.text_items[own]]
    before = texts @ weight.detach().double().cpu().T
    wanted = places * before.norm(dim=1, keepdim=True)
    products = texts @ texts.T
    products += RIDGE * products.diagonal().mean() * torch.eye(len(texts), dtype=torch.double)
    change = torch.linalg.solve(products, wanted - before).T @ texts
    with torch.no_grad():
        weight += change.to(weight)


def _galaxies(
    towers: TriModalModel, recipe: Recipe, material: Material
) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """Unit-length embeddings (N, D) of galaxies, and how strongly (N, A) each belongs to each class or answer."""
    size, classes = recipe.backbone.size, material.vocabulary.prompts.classes
    generator = generator_for(towers.logit_scale.device, Purpose.PLACEMENT, recipe.seed)
    if len(material.train):
        order = torch.randperm(len(material.train), generator=torch.Generator().manual_seed(recipe.seed))[:MOST]
        mass = material.mass[order] if material.mass is not None else F.one_hot(material.train.labels[order], classes)

        def read(rows: NDArray[np.int64]) -> NDArray[np.uint8]:
            return material.train.pictures(order[torch.from_numpy(rows)]).numpy()

    elif material.living is not None and material.vocabulary.prompts.tree is None:
        labels = torch.arange(classes).repeat(RENDERED)
        mass, living = F.one_hot(labels, classes), material.living

        def read(rows: NDArray[np.int64]) -> NDArray[np.uint8]:
            return living.draw(labels[torch.from_numpy(rows)], generator).cpu().numpy()

    else:
        return None
    embeddings, _ = embed_all(towers, in_batches(read, len(mass)), size)
    return embeddings, mass.numpy().astype(np.float32)
