"""Texts begin at the galaxies that they describe."""

import copy

import pytest
import torch
from torch.nn import functional as F

from galaxalign.align.backbones import build_backbone
from galaxalign.align.checkpoint import load_checkpoint
from galaxalign.align.inference import embed_all, embed_texts, in_batches
from galaxalign.align.inputs import read_inputs
from galaxalign.align.model import TriModalModel
from galaxalign.align.placement import place_texts
from tests.align.small import recipe, source, train, train_shared
from tests.align.voted import write_voted

EMBEDDED = {"name": "lite0-minilm", "pretrained": "embedded", "size": 32}


@pytest.fixture
def placed(inputs):
    """Towers before and after, and what they were placed by."""
    chosen = recipe(backbone=EMBEDDED)
    material = read_inputs(source(inputs), chosen).material
    towers = TriModalModel(build_backbone(chosen.backbone, with_text=True), temperature=0.03, dropout=0.0)
    before = copy.deepcopy(towers.text)
    place_texts(towers, chosen, material)
    return towers, before, material


def galaxies(towers, material):
    train = material.train
    pictures = in_batches(lambda rows: train.pictures(torch.from_numpy(rows)).numpy(), len(train))
    return torch.from_numpy(embed_all(towers, pictures, 32)[0]), train.labels


def test_every_text_points_to_the_galaxies_of_its_class(placed):
    towers, before, material = placed
    embeddings, labels = galaxies(towers, material)
    prompts = material.vocabulary.prompts
    means = torch.stack([embeddings[labels == index].mean(0) for index in range(prompts.classes)])
    places = F.normalize(means - means.mean(0), dim=1)[torch.as_tensor(prompts.text_classes)]
    texts = torch.from_numpy(embed_texts(towers, prompts.texts))
    assert ((texts * places).sum(1) > 0.99).all()
    with torch.no_grad():
        there = F.normalize(before(before.tokens(prompts.texts)), dim=1)
    assert ((there * places).sum(1) < 0.5).all()


def test_what_shares_nothing_with_the_sheets_texts_stays(placed):
    towers, before, material = placed
    with torch.no_grad():
        features = before.trunk(before.tokens(material.vocabulary.texts))
        other = torch.randn(features.shape[1], generator=torch.Generator().manual_seed(0))
        span = torch.linalg.qr(features.T).Q
        other -= span @ (span.T @ other)
        moved = towers.text.projection(other) - before.projection(other)
        assert moved.norm() < 1e-4 * before.projection(other).norm()


def test_a_class_without_galaxies_moves_only_by_the_words_it_shares(inputs):
    chosen = recipe(backbone=EMBEDDED)
    material = read_inputs(source(inputs), chosen).material
    lonely = material.vocabulary.prompts.classes - 1
    material.train.labels[:] = torch.arange(len(material.train)) % lonely
    towers = TriModalModel(build_backbone(chosen.backbone, with_text=True), temperature=0.03, dropout=0.0)
    before = copy.deepcopy(towers)
    place_texts(towers, chosen, material)
    prompts = material.vocabulary.prompts
    after, there = (torch.from_numpy(embed_texts(model, prompts.texts)) for model in (towers, before))
    own = torch.as_tensor(prompts.text_classes) == lonely
    cosines = (after * there).sum(1)
    assert cosines[own].mean() > 0.4 > 0.3 > cosines[~own].max()


def test_a_single_class_has_no_place_of_its_own(inputs):
    chosen = recipe(backbone=EMBEDDED)
    material = read_inputs(source(inputs), chosen).material
    material.train.labels[:] = 0
    towers = TriModalModel(build_backbone(chosen.backbone, with_text=True), temperature=0.03, dropout=0.0)
    before = towers.text.projection.weight.detach().clone()
    place_texts(towers, chosen, material)
    assert torch.equal(towers.text.projection.weight, before)


def test_an_answer_points_to_the_galaxies_that_got_it_by_how_much_they_got_it(tmp_path):
    chosen = recipe(backbone=EMBEDDED, targets="votes", classifier="fused")
    material = read_inputs(source(write_voted(tmp_path, galaxies=32)), chosen).material
    towers = TriModalModel(build_backbone(chosen.backbone, with_text=True), temperature=0.03, dropout=0.0)
    place_texts(towers, chosen, material)
    embeddings, _ = galaxies(towers, material)
    means = material.mass.T @ embeddings / material.mass.sum(0)[:, None]
    places = F.normalize(means - means.mean(0), dim=1)[material.vocabulary.text_items]
    texts = torch.from_numpy(embed_texts(towers, material.vocabulary.texts))
    assert ((texts * places).sum(1) > 0.95).all()


def test_without_labels_rendered_galaxies_tell_the_place(inputs):
    chosen = recipe(backbone=EMBEDDED, labels_per_class=0, living={"share": 1.0}, epoch_size=8)
    material = read_inputs(source(inputs), chosen).material
    towers = TriModalModel(build_backbone(chosen.backbone, with_text=True), temperature=0.03, dropout=0.0)
    place_texts(towers, chosen, material)
    prompts = material.vocabulary.prompts
    labels = torch.arange(prompts.classes).repeat(20)
    pictures = material.living.draw(labels, torch.Generator().manual_seed(7)).numpy()
    embeddings, _ = embed_all(towers, iter([pictures]), 32)
    texts = torch.from_numpy(embed_texts(towers, prompts.texts))
    means = torch.stack(
        [texts[torch.as_tensor(prompts.text_classes) == index].mean(0) for index in range(prompts.classes)]
    )
    scores = torch.from_numpy(embeddings) @ F.normalize(means, dim=1).T
    assert (scores.argmax(1) == labels).float().mean() > 1.5 / prompts.classes


def test_a_run_that_starts_from_another_keeps_the_places_it_learned(inputs, tmp_path):
    first = train_shared(inputs, tmp_path / "first", recipe(backbone=EMBEDDED))
    still = recipe(backbone=EMBEDDED, stages={"shared": {"learning_rate": {"tower": 0.0, "new": 0.0}}})
    second = train_shared(inputs, tmp_path / "second", still, start=first)
    learned, kept = (load_checkpoint(path).model.text.projection.weight for path in (first, second))
    torch.testing.assert_close(learned, kept)


@pytest.mark.parametrize("start", ["none", "images alone"])
def test_texts_that_stage_2_or_a_start_without_texts_brings_are_placed(inputs, tmp_path, start):
    """They stay where they are put, as nothing is learned."""
    resting = {"learning_rate": {"tower": 0.0, "new": 0.0}, "lock": ["image", "text"]}
    late = {"shared": {"epochs": 0}, "symbol": resting | {"weights": {"image_symbol": 0.0, "symbol_text": 0.0}}}
    chosen, started = recipe(backbone=EMBEDDED, classifier="text", stages=late), None
    if start != "none":
        chosen = recipe(backbone=EMBEDDED, classifier="text", stages={"shared": resting, "symbol": {"epochs": 0}})
        slow = {"shared": {"learning_rate": {"tower": 1e-6, "new": 1e-6}}}
        started = train_shared(inputs, tmp_path / "start", recipe("image_only", backbone=EMBEDDED, stages=slow))
    towers = load_checkpoint(train(inputs, tmp_path / "run", chosen, start=started)).model
    material = read_inputs(source(inputs), chosen).material
    embeddings, labels = galaxies(towers, material)
    prompts = material.vocabulary.prompts
    means = torch.stack([embeddings[labels == index].mean(0) for index in range(prompts.classes)])
    places = F.normalize(means - means.mean(0), dim=1)[torch.as_tensor(prompts.text_classes)]
    assert ((torch.from_numpy(embed_texts(towers, prompts.texts)) * places).sum(1) > 0.99).all()
