"""Class scores against their formulae."""

import math

import numpy as np
import pytest
import torch
from scipy.special import logsumexp

from galaxalign.align.losses import class_contrast
from galaxalign.evaluate.prototypes import (
    among_answers,
    class_scores_by_answers,
    fused_answers,
    fused_scores,
    path_scores,
    shown_scores,
    symbol_scores,
    text_prototypes,
    text_scores,
)
from tests.synthetic_results import unit


@pytest.fixture
def vectors():
    generator = np.random.default_rng(0)
    return [unit(generator.normal(size=(count, 8))) for count in (20, 3, 3)]


def test_texts_are_averaged_and_made_unit_length():
    texts = np.array([[1, 0], [0, 1], [0, 1]], dtype=np.float32)
    prototypes = text_prototypes(texts, np.array([0, 0, 1]), 2)
    np.testing.assert_allclose(prototypes, [[math.sqrt(0.5)] * 2, [0, 1]])


def test_the_score_of_several_symbols_is_the_log_of_the_sum_of_their_exponentials():
    galaxy = np.array([[1, 0]], dtype=np.float32)
    symbols = np.array([[1, 0], [0, 1], [-1, 0]], dtype=np.float32)
    scores = symbol_scores(galaxy, symbols, np.array([0, 0, 1]), classes=2, scale=3.0)
    np.testing.assert_allclose(scores, [[math.log(math.exp(3) + 1), -3.0]])


def test_a_class_is_as_likely_by_symbol_as_the_loss_that_trained_it_says(vectors):
    galaxies, symbols, _ = vectors
    label = np.array([0, 1, 1])
    scores = symbol_scores(galaxies, symbols, label, classes=2, scale=20.0)
    chance = np.exp(scores[:, 1] - logsumexp(scores, axis=1))
    shown, own, scale = torch.tensor(symbols), torch.tensor(label), torch.tensor(20.0)
    each = [class_contrast(torch.tensor(galaxy[None]), shown, torch.tensor([1]), own, scale) for galaxy in galaxies]
    # Half of the loss is that of the symbols, which find the one galaxy for sure.
    np.testing.assert_allclose(chance, np.exp(-2 * torch.stack(each).numpy()), rtol=1e-4)


@pytest.mark.parametrize("fusion", [0.0, 0.3, 1.0])
def test_with_one_symbol_a_class_fused_is_the_product_with_mixed_prototypes(vectors, fusion):
    galaxies, symbols, texts = vectors
    text = text_scores(galaxies, text_prototypes(texts, np.arange(3), 3), 10.0)
    symbol = symbol_scores(galaxies, symbols, np.arange(3), classes=3, scale=10.0)
    mixed = fusion * texts.astype(float) + (1 - fusion) * symbols
    np.testing.assert_allclose(fused_scores(text, symbol, fusion), 10 * galaxies @ mixed.T, rtol=1e-5, atol=1e-5)


# Two questions, of three and of two answers; the third answer to the first has no symbol.
QUESTIONS = np.array([0, 0, 0, 1, 1])
SHOWN = np.array([[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]], bool)
PATHS = np.array([[1, 0, 0, 1, 0], [0, 1, 0, 0, 0]], bool)


def test_an_answer_is_shown_by_the_sum_of_its_symbols(vectors):
    galaxies, symbols, texts = vectors
    symbols = np.concatenate([symbols, texts[:1]])
    products = np.exp(5.0 * galaxies.astype(float) @ symbols.astype(float).T)
    scores = shown_scores(galaxies, symbols, SHOWN, 5.0)
    want = [products[:, 0] + products[:, 1], products[:, 2], np.zeros(20), products[:, 0], products[:, 3]]
    np.testing.assert_allclose(np.exp(scores), np.stack(want, 1))


def test_answers_to_a_question_share_one_probability():
    scores = np.random.default_rng(0).normal(size=(6, 5))
    logs = among_answers(scores, QUESTIONS)
    np.testing.assert_allclose(np.exp(logs[:, :3]).sum(1), 1)
    np.testing.assert_allclose(np.exp(logs[:, 3:]).sum(1), 1)
    np.testing.assert_allclose(logs[:, 3] - logs[:, 4], scores[:, 3] - scores[:, 4])
    scores[:, [2, 3, 4]] = -np.inf
    logs = among_answers(scores, QUESTIONS)
    np.testing.assert_allclose(np.exp(logs[:, :2]).sum(1), 1)
    assert (logs[:, 2:] == -np.inf).all()


@pytest.mark.parametrize("fusion", [0.0, 0.3, 1.0])
def test_where_every_answer_has_a_symbol_fused_answers_are_fused_scores(fusion):
    text, symbol = np.random.default_rng(0).normal(size=(2, 6, 5))
    got = fused_answers(among_answers(text, QUESTIONS), among_answers(symbol, QUESTIONS), QUESTIONS, fusion)
    np.testing.assert_allclose(got, among_answers(fused_scores(text, symbol, fusion), QUESTIONS))


def test_an_answer_without_symbol_is_for_the_text_to_tell():
    text, symbol = np.random.default_rng(0).normal(size=(2, 6, 5))
    symbol[:, [2, 3, 4]] = -np.inf
    text, symbol = among_answers(text, QUESTIONS), among_answers(symbol, QUESTIONS)
    by_symbol = np.exp(fused_answers(text, symbol, QUESTIONS, 0.0))
    np.testing.assert_allclose(by_symbol[:, 2], np.exp(text[:, 2]))
    np.testing.assert_allclose(by_symbol[:, :2], np.exp(symbol[:, :2]) * (1 - np.exp(text[:, [2]])))
    np.testing.assert_allclose(by_symbol[:, 3:], np.exp(text[:, 3:]))
    np.testing.assert_allclose(fused_answers(text, symbol, QUESTIONS, 1.0), text)


def test_a_class_is_as_likely_as_all_answers_of_its_rule():
    logs = np.log([[0.5, 0.25, 0.25, 0.1, 0.9]])
    np.testing.assert_allclose(np.exp(path_scores(logs, PATHS)), [[0.05, 0.25]])


def test_classes_by_answers(vectors):
    galaxies, symbols, texts = vectors
    given = {
        "texts": np.concatenate([texts, symbols]),
        "text_answers": np.array([0, 0, 1, 2, 3, 4]),
        "symbols": np.concatenate([symbols, texts[:1]]),
        "shown": SHOWN,
        "questions": QUESTIONS,
        "paths": PATHS,
        "scale": 5.0,
        "fusion": 0.5,
    }
    scores = class_scores_by_answers(galaxies, **given)
    assert list(scores) == ["text", "symbol", "fused"]
    assert {name: part.shape for name, part in scores.items()} == dict.fromkeys(scores, (20, 2))
    answers = among_answers(
        text_scores(galaxies, text_prototypes(given["texts"], given["text_answers"], 5), 5.0), QUESTIONS
    )
    np.testing.assert_allclose(scores["text"][:, 0], answers[:, 0] + answers[:, 3])
    np.testing.assert_allclose(scores["text"][:, 1], answers[:, 1])
    assert list(class_scores_by_answers(galaxies, **given | {"texts": None})) == ["symbol"]
