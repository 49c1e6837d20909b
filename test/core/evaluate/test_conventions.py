"""Means over classes by every convention: by hand, by scikit-learn and by torchmetrics."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, jaccard_score, recall_score
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score, MulticlassJaccardIndex

from sartm_core.data.layouts import DATASETS
from sartm_core.evaluate.conventions import ALL, BACKGROUND_IGNORED, CONVENTIONS, SKIP, Convention, usual
from sartm_core.evaluate.metrics import ConfusionMatrix
from sartm_core.evaluate.scores import means
from sartm_core.support.classes import FMB, MFNET
from test.core.evaluate.test_metrics import CASES, NUM_CLASSES, count, draw

BY_NAME = {convention.name: convention for convention in CONVENTIONS}
BY_HAND = np.array(
    [  # predicted: unlabeled, road, bicycle, bus, pole, nothing (255); true by row
        [50, 6, 4, 0, 0, 0],
        [10, 60, 0, 0, 5, 5],
        [0, 0, 0, 0, 0, 0],  # bicycle: no true pixel, called so all the same
        [0, 0, 0, 0, 0, 0],  # bus: none at all
        [3, 2, 0, 0, 15, 0],
    ]
)
# IoU = TP / (TP + FP + FN), accuracy = TP / (TP + FN), F1 = 2 TP / (2 TP + FP + FN). Without the pixels of unlabeled,
# road has 2 false alarms instead of 8, bicycle none instead of 4; what is called unlabeled (10 of road, 3 of pole) is
# missed as before.
UNLABELED = np.array([50 / (50 + 13 + 10), 50 / (50 + 10), 100 / (100 + 13 + 10)])
ROAD = np.array([60 / (60 + 8 + 20), 60 / (60 + 20), 120 / (120 + 8 + 20)])
ROAD_IGNORED = np.array([60 / (60 + 2 + 20), 60 / (60 + 20), 120 / (120 + 2 + 20)])
POLE = np.array([15 / (15 + 5 + 5), 15 / (15 + 5), 30 / (30 + 5 + 5)])


@pytest.mark.parametrize(
    "name,total,divisors",
    [
        ("all/zero", UNLABELED + ROAD + POLE, (5, 5, 5)),
        ("all/skip", UNLABELED + ROAD + POLE, (4, 3, 4)),  # without bus; bicycle has no accuracy
        ("no-background/zero", ROAD + POLE, (4, 4, 4)),
        ("no-background/skip", ROAD + POLE, (3, 2, 3)),
        ("background-ignored/zero", ROAD_IGNORED + POLE, (4, 4, 4)),
        ("background-ignored/skip", ROAD_IGNORED + POLE, (2, 2, 2)),
    ],
)
def test_every_convention_by_hand_from_one_matrix(name: str, total: np.ndarray, divisors: tuple[int, ...]) -> None:
    matrix = ConfusionMatrix(len(BY_HAND))
    matrix.counts += BY_HAND
    found = means(matrix, BY_NAME[name])
    assert [found[key] for key in ("miou", "macc", "mf1")] == pytest.approx(list(total / divisors))


def as_counted(label: np.ndarray, convention: Convention) -> np.ndarray:
    """The label with class 0 as 255 where the convention ignores it."""
    return np.where(label == 0, 255, label) if convention.classes == BACKGROUND_IGNORED else label


def occurring(convention: Convention, *arrays: np.ndarray) -> list[int]:
    """Classes of the mean that occur in one of the arrays; all of them where absent ones count 0."""
    every = range(0 if convention.classes == ALL else 1, NUM_CLASSES)
    return [c for c in every if convention.absent != SKIP or any((array == c).any() for array in arrays)]


def judged(convention: Convention, *case: int) -> tuple[np.ndarray, np.ndarray, dict[str, float]]:
    """Guess, label as the convention counts it, and our means of the two."""
    guess, label = draw(*case)
    return guess, as_counted(label, convention), means(count(guess, label, NUM_CLASSES), convention)


@pytest.mark.parametrize("convention", CONVENTIONS, ids=lambda convention: convention.name)
@pytest.mark.parametrize("seed,guessed,true", CASES)
def test_every_convention_equals_scikit_learn(convention: Convention, seed: int, guessed: int, true: int) -> None:
    guess, label, ours = judged(convention, seed, guessed, true)
    truth, answer = label[label != 255], guess[label != 255]
    for score, key, of in (
        (jaccard_score, "miou", (truth, answer)),
        (f1_score, "mf1", (truth, answer)),
        (recall_score, "macc", (truth,)),
    ):
        classes = occurring(convention, *of)
        assert ours[key] == pytest.approx(score(truth, answer, labels=classes, average="macro", zero_division=0))


@pytest.mark.parametrize("convention", CONVENTIONS, ids=lambda convention: convention.name)
@pytest.mark.parametrize("seed,guessed,true", CASES)
def test_every_convention_equals_the_mean_of_torchmetrics_classes(
    convention: Convention, seed: int, guessed: int, true: int
) -> None:
    guess, label, ours = judged(convention, seed, guessed, true)
    truth, answer = label[label != 255], guess[label != 255]
    for metric, key, of in (
        (MulticlassJaccardIndex, "miou", (truth, answer)),
        (MulticlassF1Score, "mf1", (truth, answer)),
        (MulticlassAccuracy, "macc", (truth,)),
    ):
        by_class = metric(NUM_CLASSES, average="none", ignore_index=255)(*map(torch.from_numpy, (guess, label)))
        assert ours[key] == pytest.approx(by_class[occurring(convention, *of)].mean().item(), rel=1e-6)


@pytest.mark.parametrize("seed,guessed,true", CASES)
def test_the_means_torchmetrics_itself_takes(seed: int, guessed: int, true: int) -> None:
    """`all/skip` is its macro average, `background-ignored/skip` its `ignore_index=0`: there too what is called class 0
    on an object is missed. Its accuracy counts 0 for a class that is only predicted; ours has no value for it."""
    guess, label = draw(seed, guessed, true)
    matrix = count(guess, label, NUM_CLASSES)
    ours = {name: means(matrix, convention) for name, convention in BY_NAME.items()}

    def macro(metric: type, label: np.ndarray, ignored: int) -> float:
        chosen = metric(NUM_CLASSES, average="macro", ignore_index=ignored)
        return chosen(torch.from_numpy(guess), torch.from_numpy(label)).item()

    only_zero = np.where(label == 255, 0, label)
    assert ours["all/skip"]["miou"] == pytest.approx(macro(MulticlassJaccardIndex, label, 255), rel=1e-6)
    assert ours["all/skip"]["mf1"] == pytest.approx(macro(MulticlassF1Score, label, 255), rel=1e-6)
    theirs = macro(MulticlassJaccardIndex, only_zero, 0)
    assert ours["background-ignored/skip"]["miou"] == pytest.approx(theirs, rel=1e-6)
    theirs = macro(MulticlassAccuracy, label, 255)
    assert theirs == pytest.approx(np.nansum(matrix.accuracy()) / np.isfinite(matrix.iou()).sum(), rel=1e-6)
    assert ours["all/skip"]["macc"] > theirs, "class 2 is predicted and has no true pixel"


def fmb_counts(bicycle_false_alarms: int) -> ConfusionMatrix:
    """FMB's 15 classes, 100 pixels each, all right but half of the poles (called sign); bicycle has no true pixel."""
    matrix = ConfusionMatrix(len(FMB.names))
    sign, bicycle, pole = (FMB.names.index(name) for name in ("sign", "bicycle", "pole"))
    matrix.counts[np.arange(15), np.arange(15)] = 100
    matrix.counts[bicycle] = 0
    matrix.counts[pole, [pole, sign]] = 50
    matrix.counts[0, [0, bicycle]] = 100 - bicycle_false_alarms, bicycle_false_alarms
    return matrix


def miou(matrix: ConfusionMatrix) -> dict[str, float | None]:
    return {name: means(matrix, convention)["miou"] for name, convention in BY_NAME.items()}


def test_the_numbers_of_fmb_by_hand() -> None:
    rest = 11 + 100 / 150 + 50 / 100  # 11 perfect ones beside unlabeled, then sign and pole
    assert miou(fmb_counts(0)) == pytest.approx(
        {
            "all/zero": (1 + rest) / 15,
            "all/skip": (1 + rest) / 14,
            "no-background/zero": rest / 14,
            "no-background/skip": rest / 13,
            "background-ignored/zero": rest / 14,
            "background-ignored/skip": rest / 13,
        }
    )
    assert [c.number_of_classes(15) for c in CONVENTIONS] == [15, 15, 14, 14, 14, 14]


def test_one_false_alarm_of_an_absent_class_makes_skip_count_it_as_zero() -> None:
    matrix, before = fmb_counts(1), miou(fmb_counts(0))
    found = miou(matrix)
    for kind in ("all", "no-background"):
        assert found[f"{kind}/zero"] == found[f"{kind}/skip"]
    for absent in ("zero", "skip"):
        name = f"background-ignored/{absent}"
        assert found[name] == before[name], "it lies on background, whose pixels are ignored"
    accuracy = {absent: means(matrix, BY_NAME[f"no-background/{absent}"])["macc"] for absent in ("zero", "skip")}
    assert accuracy == pytest.approx({"zero": 12.5 / 14, "skip": 12.5 / 13}), "no true pixel, no accuracy"


def test_a_false_alarm_on_background_counts_unless_background_is_ignored_and_a_miss_always() -> None:
    matrix = ConfusionMatrix(2)
    matrix.update(np.array([1, 1, 1, 0]), np.array([1, 0, 0, 1]))
    found = miou(matrix)
    assert found["no-background/skip"] == 1 / 4 and found["background-ignored/skip"] == 1 / 2


def test_nothing_counted_has_no_score_in_any_convention() -> None:
    matrix = ConfusionMatrix(3)
    matrix.update(np.array([1, 2]), np.array([255, 255]))
    assert all(value is None for c in CONVENTIONS for value in means(matrix, c).values())
    assert all(math.isnan(v) for v in (matrix.miou(), matrix.macc(), matrix.mf1(), matrix.pixel_accuracy()))


def test_background_alone_scores_zero_or_nothing_without_it() -> None:
    matrix = ConfusionMatrix(3)
    matrix.update(np.array([0, 0]), np.array([0, 0]))
    found = miou(matrix)
    assert found["all/skip"] == 1 and found["all/zero"] == pytest.approx(1 / 3) and found["no-background/zero"] == 0
    assert [found[name] for name in list(found)[3:]] == [None] * 3


def test_what_training_selects_by_is_the_convention_of_own_data() -> None:
    matrix = count(*draw(1, 6, 4), NUM_CLASSES)
    assert means(matrix, usual("folder")) == {"miou": matrix.miou(), "macc": matrix.macc(), "mf1": matrix.mf1()}


def test_every_data_set_has_one_usual_convention() -> None:
    named = [name for c in CONVENTIONS for name in c.usual_for]
    assert len(set(named)) == len(named) and set(named) <= set(DATASETS)
    assert {name: usual(name).name for name in ("mfnet", "folder")} == {"mfnet": "all/zero", "folder": "all/skip"}
    assert usual("mfnet").number_of_classes(len(MFNET.names)) == 9
    assert all(usual(name).classes == ALL for name in DATASETS), "`compare` averages counts that hold all pixels"
