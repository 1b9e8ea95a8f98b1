"""Class scores against their formulae."""

import math

import numpy as np
import pytest

from galaxalign.evaluate.prototypes import fused_scores, symbol_scores, text_prototypes, text_scores
from tests.synthetic_results import unit


@pytest.fixture
def vectors():
    generator = np.random.default_rng(0)
    return [unit(generator.normal(size=(count, 8))) for count in (20, 3, 3)]


def test_texts_are_averaged_and_made_unit_length():
    texts = np.array([[1, 0], [0, 1], [0, 1]], dtype=np.float32)
    prototypes = text_prototypes(texts, np.array([0, 0, 1]), 2)
    np.testing.assert_allclose(prototypes, [[math.sqrt(0.5)] * 2, [0, 1]])


def test_the_score_of_several_symbols_is_the_log_of_their_mean_exponential():
    galaxy = np.array([[1, 0]], dtype=np.float32)
    symbols = np.array([[1, 0], [0, 1], [-1, 0]], dtype=np.float32)
    scores = symbol_scores(galaxy, symbols, np.array([0, 0, 1]), classes=2, scale=3.0)
    np.testing.assert_allclose(scores, [[math.log((math.exp(3) + 1) / 2), -3.0]])


def test_equal_symbols_count_once(vectors):
    galaxies, symbols, _ = vectors
    once = symbol_scores(galaxies, symbols, np.arange(3), classes=3, scale=20.0)
    thrice = symbol_scores(galaxies, np.repeat(symbols, 3, 0), np.repeat(np.arange(3), 3), classes=3, scale=20.0)
    np.testing.assert_allclose(once, thrice)


@pytest.mark.parametrize("fusion", [0.0, 0.3, 1.0])
def test_with_one_symbol_a_class_fused_is_the_product_with_mixed_prototypes(vectors, fusion):
    galaxies, symbols, texts = vectors
    text = text_scores(galaxies, text_prototypes(texts, np.arange(3), 3), 10.0)
    symbol = symbol_scores(galaxies, symbols, np.arange(3), classes=3, scale=10.0)
    mixed = fusion * texts.astype(float) + (1 - fusion) * symbols
    np.testing.assert_allclose(fused_scores(text, symbol, fusion), 10 * galaxies @ mixed.T, rtol=1e-5, atol=1e-5)
