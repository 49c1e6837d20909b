"""Scores against independent computations: torchmetrics, scikit-learn and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, jaccard_score, recall_score
from torchmetrics.classification import MulticlassConfusionMatrix, MulticlassF1Score, MulticlassJaccardIndex

from sartm_core.data.layouts import DATASETS
from sartm_core.evaluate.conventions import CONVENTIONS, usual
from sartm_core.evaluate.metrics import ConfusionMatrix
from sartm_core.support.classes import FMB, MFNET

BY_NAME = {convention.name: convention for convention in CONVENTIONS}
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


@pytest.mark.parametrize("name", BY_NAME)
@pytest.mark.parametrize("seed,guessed,true", CASES)
def test_every_convention_equals_scikit_learn(name: str, seed: int, guessed: int, true: int) -> None:
    guess, label = draw(seed, guessed, true)
    ours, known = count(guess, label, NUM_CLASSES), label != 255
    truth, answer = label[known], guess[known]
    first = 0 if name.startswith("all") else 1
    every = set(range(first, NUM_CLASSES))
    predicted_or_true, in_truth = every & {*truth, *answer}, every & {*truth}
    skip = name.endswith("skip")
    for score, mine, occurring in (
        (jaccard_score, ours.iou(), predicted_or_true),
        (f1_score, ours.f1(), predicted_or_true),
        (recall_score, ours.accuracy(), in_truth),
    ):
        classes = sorted(occurring if skip else every)
        theirs = score(truth, answer, labels=classes, average="macro", zero_division=0)
        assert BY_NAME[name].mean(mine) == pytest.approx(theirs)
    if name == "all/skip":
        expected = [BY_NAME[name].mean(values) for values in (ours.iou(), ours.accuracy(), ours.f1())]
        assert [ours.miou(), ours.macc(), ours.mf1()] == expected, "the means that training selects by"


def fmb_counts(bicycle_false_alarms: int) -> ConfusionMatrix:
    """FMB's 15 classes, 100 pixels each, all right but half of the poles (called sign); bicycle has no true pixel."""
    matrix = ConfusionMatrix(len(FMB.names))
    sign, bicycle, pole = (FMB.names.index(name) for name in ("sign", "bicycle", "pole"))
    matrix.counts[np.arange(15), np.arange(15)] = 100
    matrix.counts[bicycle] = 0
    matrix.counts[pole, [pole, sign]] = 50
    matrix.counts[0, [0, bicycle]] = 100 - bicycle_false_alarms, bicycle_false_alarms
    return matrix


def test_the_three_numbers_of_fmb_by_hand() -> None:
    iou = fmb_counts(0).iou()
    rest = 11 + 100 / 150 + 50 / 100  # 11 perfect ones beside unlabeled, then sign and pole
    assert BY_NAME["all/zero"].mean(iou) == pytest.approx((1 + rest) / 15), "15/zero, the paper"
    assert BY_NAME["no-background/zero"].mean(iou) == pytest.approx(rest / 14), "14/zero"
    assert BY_NAME["no-background/skip"].mean(iou) == pytest.approx(rest / 13), "14/skip"
    assert [c.classes(15) for c in CONVENTIONS] == [15, 15, 14, 14]


def test_one_false_alarm_of_an_absent_class_makes_skip_count_it_as_zero() -> None:
    matrix = fmb_counts(1)
    for kind in ("all", "no-background"):
        means = [BY_NAME[f"{kind}/{absent}"].mean(matrix.iou()) for absent in ("zero", "skip")]
        assert means[0] == means[1]
    accuracy = matrix.accuracy()
    assert BY_NAME["no-background/skip"].mean(accuracy) == pytest.approx(12.5 / 13), "no true pixel, no accuracy"
    assert BY_NAME["no-background/zero"].mean(accuracy) == pytest.approx(12.5 / 14)


def test_leaving_background_out_of_the_mean_keeps_its_pixels() -> None:
    matrix = ConfusionMatrix(2)
    matrix.update(np.array([1, 1, 1, 1]), np.array([1, 0, 0, 0]))
    assert BY_NAME["no-background/skip"].mean(matrix.iou()) == 0.25


def test_nothing_counted_has_no_score_in_any_convention() -> None:
    matrix = ConfusionMatrix(3)
    matrix.update(np.array([1, 2]), np.array([255, 255]))
    assert all(math.isnan(c.mean(v)) for c in CONVENTIONS for v in (matrix.iou(), matrix.accuracy(), matrix.f1()))
    assert all(math.isnan(v) for v in (matrix.miou(), matrix.macc(), matrix.mf1(), matrix.pixel_accuracy()))


def test_background_alone_scores_zero_or_nothing_without_it() -> None:
    matrix = ConfusionMatrix(3)
    matrix.update(np.array([0, 0]), np.array([0, 0]))
    assert BY_NAME["all/skip"].mean(matrix.iou()) == 1
    assert BY_NAME["all/zero"].mean(matrix.iou()) == pytest.approx(1 / 3)
    assert BY_NAME["no-background/zero"].mean(matrix.iou()) == 0
    assert math.isnan(BY_NAME["no-background/skip"].mean(matrix.iou()))


def test_every_data_set_has_one_usual_convention() -> None:
    named = [name for c in CONVENTIONS for name in c.usual_for]
    assert len(set(named)) == len(named) and set(named) <= set(DATASETS)
    assert {name: usual(name).name for name in ("mfnet", "folder")} == {"mfnet": "all/zero", "folder": "all/skip"}
    assert usual("mfnet").classes(len(MFNET.names)) == 9


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
