"""Embeddings of galaxies at several position angles."""

import numpy as np
import pytest
import torch

from galaxalign.align import fitting, stages
from galaxalign.align.calibration import fit_temperature
from galaxalign.align.checkpoint import load_checkpoint
from galaxalign.align.classification import class_scores
from galaxalign.align.inference import embed_all
from galaxalign.align.inputs import read_inputs
from galaxalign.align.model import Head
from galaxalign.align.validation import galaxy_batches
from galaxalign.embed.embedding import embed_galaxies, galaxy_embeddings
from tests.align.small import recipe, source, train

SIDE = 32


@pytest.fixture(scope="module")
def trained(inputs, tmp_path_factory):
    """A model that sees galaxies at four position angles."""
    return train(inputs, tmp_path_factory.mktemp("model"), recipe(classifier="fused", position_angles=4))


@pytest.fixture(scope="module")
def model(trained):
    return load_checkpoint(trained).model


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).integers(0, 256, (5, SIDE, SIDE, 3), dtype=np.uint8)


def turned(pictures, quarters):
    return np.rot90(pictures, quarters, (1, 2))


@pytest.mark.parametrize(("angles", "same", "other"), [(4, (1, 2, 3), ()), (2, (2,), (1, 3)), (1, (), (1, 2, 3))])
def test_galaxies_are_the_same_at_the_angles_they_are_seen_at(model, pictures, angles, same, other):
    def embedded(quarters):
        return embed_all(model, iter([turned(pictures, quarters).copy()]), SIDE, angles)[0]

    straight = embedded(0)
    assert np.linalg.norm(straight, axis=1) == pytest.approx(1, abs=1e-5)
    for quarters in same:
        np.testing.assert_allclose(embedded(quarters), straight, atol=2e-6)
    for quarters in other:
        assert np.abs(embedded(quarters) - straight).max() > 1e-4


def test_what_the_tower_and_a_trained_head_say_is_averaged(model, pictures, monkeypatch):
    monkeypatch.setattr(model, "head", Head(model.width, 3, unit=False))
    with torch.inference_mode():
        views = [torch.from_numpy(turned(pictures, quarters).copy()) for quarters in range(4)]
        features = torch.stack([model.features(view.permute(0, 3, 1, 2) / 255) for view in views]).mean(0)
        said = model.head(features).numpy()
    embeddings, logits = embed_all(model, iter([pictures]), SIDE, 4)
    np.testing.assert_allclose(embeddings, torch.nn.functional.normalize(features, dim=-1).numpy(), atol=1e-5)
    np.testing.assert_allclose(logits, said, atol=1e-5)


def test_a_store_is_embedded_at_the_angles_of_the_recipe(inputs, trained, tmp_path):
    checkpoint = load_checkpoint(trained)
    material = read_inputs(source(inputs), checkpoint.recipe).material
    embed_galaxies(model=trained, images=inputs[0], threads=2, embeddings=tmp_path / "embeddings.h5")
    with galaxy_embeddings(tmp_path / "embeddings.h5", 24) as (galaxies, _):
        written = galaxies[:]
    four, one = (embed_all(checkpoint.model, galaxy_batches(material.train), SIDE, angles)[0] for angles in (4, 1))
    rows = material.train.rows
    np.testing.assert_allclose(written[rows], four, atol=2e-6)
    assert np.abs(written[rows] - one).max() > 1e-4


def test_probabilities_are_calibrated_at_the_angles_of_the_recipe(inputs, tmp_path, monkeypatch):
    seen = []

    def watched(scores, labels):
        seen.append(scores)
        return fit_temperature(scores, labels)

    monkeypatch.setattr(stages, "fit_temperature", watched)
    made = load_checkpoint(train(inputs, tmp_path, recipe(classifier="fused", position_angles=4)))
    material = read_inputs(source(inputs), made.recipe).material

    def scores(angles):
        embeddings, _ = embed_all(made.model, galaxy_batches(material.validation), SIDE, angles)
        return class_scores(made.model, made.recipe, material.vocabulary.prompts, embeddings, None)

    np.testing.assert_allclose(seen[0], scores(4), atol=1e-4)
    assert np.abs(seen[0] - scores(1)).max() > 1e-3


def test_a_head_is_fitted_at_the_angles_of_the_recipe(inputs, model, monkeypatch):
    chosen = recipe(classifier="head", position_angles=4)
    material = read_inputs(source(inputs), chosen).material
    fit, seen = fitting.fit_head, []

    def watched(embeddings, *others):
        seen.append(embeddings)
        return fit(embeddings, *others)

    monkeypatch.setattr(fitting, "fit_head", watched)
    fitting.fitted_head(model, chosen, material)
    four, one = (embed_all(model, galaxy_batches(material.train), SIDE, angles)[0] for angles in (4, 1))
    np.testing.assert_allclose(seen[0], four, atol=2e-6)
    assert np.abs(seen[0] - one).max() > 1e-4
