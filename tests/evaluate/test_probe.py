"""The linear probe: what it may see, and what it finds."""

import numpy as np
import pytest

from galaxalign.errors import GalaxAlignError
from galaxalign.evaluate.probe import probe

CLASSES = 3


@pytest.fixture
def galaxies():
    generator = np.random.default_rng(0)
    label = np.arange(120) % CLASSES
    embedding = (np.eye(8)[label] + 0.3 * generator.normal(size=(120, 8))).astype(np.float32)
    return embedding, label, np.arange(0, 60), np.arange(60, 90)


def test_finds_classes_that_a_plane_separates(galaxies):
    embedding, label, train, validation = galaxies
    predicted = probe(embedding, label, train=train, validation=validation, strengths=[0.01, 1.0], classes=CLASSES)
    assert (predicted[90:] == label[90:]).mean() > 0.9


def test_never_reads_labels_of_the_judged(galaxies):
    embedding, label, train, validation = galaxies
    how = {"train": train, "validation": validation, "strengths": [0.1, 1.0], "classes": CLASSES}
    hidden = np.where(np.arange(120) < 90, label, -1)
    np.testing.assert_array_equal(probe(embedding, label, **how), probe(embedding, hidden, **how))


def test_does_not_depend_on_the_scale_of_embeddings(galaxies):
    embedding, label, train, validation = galaxies
    how = {"train": train, "validation": validation, "strengths": [0.1], "classes": CLASSES}
    np.testing.assert_array_equal(probe(embedding, label, **how), probe(100 * embedding + 5, label, **how))


def test_says_what_is_missing(galaxies):
    embedding, label, train, validation = galaxies
    nobody = np.array([], dtype=np.int64)
    with pytest.raises(GalaxAlignError, match=r"evaluate\.probe"):
        probe(embedding, label, train=train, validation=nobody, strengths=[0.1, 1.0], classes=CLASSES)
    with pytest.raises(GalaxAlignError, match=r"fractions\.train"):
        probe(embedding, label, train=nobody, validation=validation, strengths=[0.1], classes=CLASSES)
