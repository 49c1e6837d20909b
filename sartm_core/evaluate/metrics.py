"""Scores of label images, all from one confusion matrix.

TP, FP and FN are pixels of one class: found, found where it is not, missed.
IoU = TP / (TP + FP + FN), accuracy = TP / (TP + FN), F1 = 2 TP / (2 TP + FP + FN).
"""

from __future__ import annotations

import numpy as np

from sartm_core.support.classes import IGNORE


class ConfusionMatrix:
    """Counts of pixels by true class (row) and predicted class (column); label 255 is left out.

    A prediction that is no class (255: low confidence) counts as wrong for the true class: column C.
    """

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self.counts = np.zeros((num_classes, num_classes + 1), np.int64)  # (C, C + 1)

    def update(self, prediction: np.ndarray, label: np.ndarray) -> None:
        """Add one or many images: integer arrays of one shape. ValueError on shapes or label ids that do not fit."""
        prediction, label = np.asarray(prediction), np.asarray(label)
        if prediction.shape != label.shape:
            raise ValueError(
                f"prediction: got shape {prediction.shape}, label has {label.shape}; resize one to the other"
            )
        known = label != IGNORE
        true = label[known].astype(np.int64)
        if true.size and int(true.max()) >= self.num_classes:
            raise ValueError(f"label: id {int(true.max())} found, expected 0..{self.num_classes - 1} or {IGNORE}")
        guess = np.minimum(prediction[known].astype(np.int64), self.num_classes)
        index = true * (self.num_classes + 1) + guess
        self.counts += np.bincount(index, minlength=self.counts.size).reshape(self.counts.shape)

    def add(self, other: ConfusionMatrix) -> None:
        """Add the counts of another matrix of the same classes."""
        if other.num_classes != self.num_classes:
            raise ValueError(f"other: has {other.num_classes} classes, this matrix {self.num_classes}")
        self.counts += other.counts

    def without(self, true_class: int) -> ConfusionMatrix:
        """A copy as if the pixels of one true class had been labelled 255."""
        rest = ConfusionMatrix(self.num_classes)
        rest.counts += self.counts
        rest.counts[true_class] = 0
        return rest

    def true_pixels(self) -> np.ndarray:
        """(C,) int64: labelled pixels of each class, TP + FN."""
        return self.counts.sum(axis=1)

    def predicted_pixels(self) -> np.ndarray:
        """(C,) int64: pixels called each class, TP + FP, among those with a label."""
        return self.counts[:, : self.num_classes].sum(axis=0)

    def iou(self) -> np.ndarray:
        """(C,) float64: intersection over union of each class, NaN where neither truth nor prediction has it."""
        hit, true, guess = self._hit_true_guess()
        return _divide(hit, true + guess - hit)

    def accuracy(self) -> np.ndarray:
        """(C,) float64: share of each true class that was found (recall), NaN for a class absent from the truth."""
        hit, true, _ = self._hit_true_guess()
        return _divide(hit, true)

    def f1(self) -> np.ndarray:
        """(C,) float64: harmonic mean of precision and recall (Dice), NaN where neither truth nor prediction has it."""
        hit, true, guess = self._hit_true_guess()
        return _divide(2 * hit, true + guess)

    def miou(self) -> float:
        """Mean IoU over the classes that occur; NaN when nothing was counted."""
        return mean(self.iou())

    def macc(self) -> float:
        """Mean accuracy over the classes that occur in the truth; NaN when nothing was counted."""
        return mean(self.accuracy())

    def mf1(self) -> float:
        """Mean F1 over the classes that occur; NaN when nothing was counted."""
        return mean(self.f1())

    def pixel_accuracy(self) -> float:
        """Share of all labelled pixels that are right; NaN when nothing was counted."""
        hit, true, _ = self._hit_true_guess()
        return float(hit.sum() / true.sum()) if true.sum() else float("nan")

    def _hit_true_guess(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return np.diag(self.counts), self.true_pixels(), self.predicted_pixels()  # (C,) each


def mean(values: np.ndarray) -> float:
    """Mean of the values that are not NaN; NaN when there is none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def _divide(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
