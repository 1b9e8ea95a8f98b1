"""Confusion matrices and scores against numbers worked out by hand."""

import numpy as np
import pytest

from galaxalign.evaluate.metrics import accuracy, confusion, f1, macro_f1

# Rows are true classes: of four of class 0 three are found, class 1 loses one to 0, class 2 is never seen.
MATRIX = np.array([[3, 1, 0], [1, 2, 0], [0, 0, 0]])


def test_confusion_counts_true_rows_and_predicted_columns():
    truth, predicted = np.array([0, 0, 0, 0, 1, 1, 1]), np.array([0, 0, 0, 1, 0, 1, 1])
    assert confusion(truth, predicted, 3).tolist() == MATRIX.tolist()


def test_confusion_of_a_stack_is_the_stack_of_confusions():
    generator = np.random.default_rng(0)
    truth, predicted = generator.integers(3, size=(2, 5, 40))
    stacked = confusion(truth, predicted, 3)
    alone = np.stack([confusion(t, p, 3) for t, p in zip(truth, predicted, strict=True)])
    np.testing.assert_array_equal(stacked, alone)


def test_scores_by_hand():
    assert accuracy(MATRIX) == pytest.approx(5 / 7)
    # 2 TP / (2 TP + FP + FN): class 0 6/8, class 1 4/6; class 2 is absent from the truth.
    np.testing.assert_allclose(f1(MATRIX), [6 / 8, 4 / 6, np.nan])
    assert macro_f1(MATRIX) == pytest.approx((6 / 8 + 4 / 6) / 2)


def test_a_galaxy_put_into_an_absent_class_costs_its_own_class_only():
    matrix = np.array([[3, 0, 1], [0, 3, 0], [0, 0, 0]])
    np.testing.assert_allclose(f1(matrix), [6 / 7, 1.0, np.nan])
    assert macro_f1(matrix) == pytest.approx((6 / 7 + 1) / 2)


def test_scores_do_not_depend_on_the_order_of_classes_and_f1_not_on_the_side_of_an_error():
    matrix = np.random.default_rng(0).integers(1, 9, size=(4, 4))
    order = np.array([2, 0, 3, 1])
    assert macro_f1(matrix[order][:, order]) == pytest.approx(float(macro_f1(matrix)))
    np.testing.assert_allclose(f1(matrix.T), f1(matrix))


def test_agrees_with_scikit_learn_where_every_class_is_present():
    from sklearn.metrics import f1_score

    truth, predicted = np.random.default_rng(1).integers(4, size=(2, 200))
    assert macro_f1(confusion(truth, predicted, 4)) == pytest.approx(f1_score(truth, predicted, average="macro"))
