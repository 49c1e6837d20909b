"""Scores of one class against torchmetrics and scikit-learn; their means are in `test_conventions.py`."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, recall_score
from torchmetrics.classification import MulticlassConfusionMatrix, MulticlassF1Score, MulticlassJaccardIndex

from sartm_core.evaluate.metrics import ConfusionMatrix

NUM_CLASSES = 7


def draw(seed: int, guessed: int, true: int) -> tuple[np.ndarray, np.ndarray]:
    """Prediction and label (3, 20, 20): ids below `guessed` and `true`, a fifth ignored, class 2 not in the truth."""
    rng = np.random.default_rng(seed)
    guess, label = rng.integers(0, guessed, (3, 20, 20)), rng.integers(0, true, (3, 20, 20))
    label[rng.random(label.shape) < 0.2] = 255
    label[label == 2] = 0
    return guess, label


def count(guess: np.ndarray, label: np.ndarray, num_classes: int) -> ConfusionMatrix:
    matrix = ConfusionMatrix(num_classes)
    for g, t in zip(guess, label, strict=True):
        matrix.update(g, t)
    return matrix


# Classes: all present; one absent but predicted; one absent and not predicted; one missed altogether.
CASES = [(0, 5, 5), (1, 6, 4), (2, 4, 6)]


def test_confusion_matrix_equals_torchmetrics() -> None:
    guess, label = draw(0, 4, 4)
    ours = count(guess, label, 5)
    theirs = MulticlassConfusionMatrix(5, ignore_index=255)(torch.from_numpy(guess), torch.from_numpy(label)).numpy()
    assert (ours.counts[:, :5] == theirs).all()
    assert np.isnan(ours.iou()[4]) and math.isnan(ours.accuracy()[2]) and ours.iou()[2] == ours.f1()[2] == 0


@pytest.mark.parametrize("seed,guessed,true", CASES)
def test_scores_by_class_equal_torchmetrics_and_scikit_learn(seed: int, guessed: int, true: int) -> None:
    guess, label = draw(seed, guessed, true)
    ours = count(guess, label, NUM_CLASSES)
    pair, settings = (torch.from_numpy(guess), torch.from_numpy(label)), {"average": "none", "ignore_index": 255}
    occurs = np.isfinite(ours.iou())
    assert not occurs[6] and occurs[2], "one class in neither, one predicted only"
    for metric, mine in ((MulticlassJaccardIndex, ours.iou()), (MulticlassF1Score, ours.f1())):
        theirs = metric(NUM_CLASSES, **settings)(*pair).numpy()
        np.testing.assert_allclose(mine[occurs], theirs[occurs], rtol=1e-6)
    known = label != 255
    truth, answer = label[known], guess[known]
    recall = recall_score(truth, answer, labels=range(NUM_CLASSES), average=None, zero_division=np.nan)
    np.testing.assert_allclose(ours.accuracy(), recall)
    assert ours.pixel_accuracy() == pytest.approx(accuracy_score(truth, answer))


def test_pixels_of_one_true_class_can_be_taken_out_as_if_labelled_255() -> None:
    guess, label = draw(0, 6, 5)
    matrix = count(guess, label, NUM_CLASSES)
    before = matrix.counts.copy()
    expected = count(guess, np.where(label == 0, 255, label), NUM_CLASSES)
    assert (matrix.without(0).counts == expected.counts).all() and (matrix.counts == before).all()


def test_unsure_prediction_is_a_miss() -> None:
    matrix = ConfusionMatrix(2)
    matrix.update(np.array([1, 255, 255]), np.array([1, 1, 255]))
    assert matrix.iou()[1] == 0.5 and matrix.accuracy()[1] == 0.5 and matrix.f1()[1] == pytest.approx(2 / 3)


def test_added_matrices_equal_one_over_all_images() -> None:
    guess, label = draw(3, 5, 5)
    total = ConfusionMatrix(5)
    for g, t in zip(guess, label, strict=True):
        total.add(count(g[None], t[None], 5))
    assert (total.counts == count(guess, label, 5).counts).all()
    with pytest.raises(ValueError, match="other: has 4 classes, this matrix 5"):
        total.add(ConfusionMatrix(4))


def test_confusion_matrix_refuses_odd_input() -> None:
    with pytest.raises(ValueError, match="label: id 7 found, expected 0..1 or 255"):
        ConfusionMatrix(2).update(np.array([0]), np.array([7]))
    with pytest.raises(ValueError, match="prediction: got shape"):
        ConfusionMatrix(2).update(np.zeros((2, 2)), np.zeros((2, 3)))
