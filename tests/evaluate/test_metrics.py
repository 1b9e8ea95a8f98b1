"""Confusion matrices and scores against numbers worked out by hand."""

import numpy as np
import pytest

from galaxalign.evaluate.metrics import accuracy, confusion, expected_calibration_error, f1, macro_f1

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


def test_calibration_error_of_cases_worked_out_by_hand():
    # Four galaxies at 0.7 of which two are right, one at 0.95 that is right: (4 * 0.2 + 0.05) / 5.
    probabilities = np.array([[0.7, 0.3]] * 4 + [[0.05, 0.95]])
    assert expected_calibration_error(probabilities, np.array([0, 0, 1, 1, 1])) == pytest.approx(0.17)
    # Certain and right, certain and wrong.
    assert expected_calibration_error(np.eye(2), np.array([0, 1])) == 0.0
    assert expected_calibration_error(np.eye(2), np.array([1, 0])) == 1.0
    # On an edge, a galaxy belongs to the bin below it: 0.5 and 0.75 share a bin of two but not of four.
    edges = np.array([[0.5, 0.5], [0.75, 0.25]])
    assert expected_calibration_error(edges, np.array([0, 1]), bins=4) == pytest.approx((0.5 + 0.75) / 2)
    assert np.isnan(expected_calibration_error(np.empty((0, 2)), np.empty(0, dtype=int)))
