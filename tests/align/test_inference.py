"""Embeddings of galaxies at several position angles."""

import numpy as np
import pytest
import torch

from galaxalign.align.checkpoint import load_checkpoint
from galaxalign.align.inference import embed_all
from galaxalign.align.model import Head
from tests.align.small import recipe, train

SIDE = 32


@pytest.fixture(scope="module")
def model(inputs, tmp_path_factory):
    return load_checkpoint(train(inputs, tmp_path_factory.mktemp("model"), recipe(classifier="fused"))).model


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
