"""Scores of label images, all from one confusion matrix."""

from __future__ import annotations

import numpy as np

from sartm_core.data.labels import IGNORE


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

    def iou(self) -> np.ndarray:
        """(C,) float64: intersection over union of each class, NaN where neither truth nor prediction has it."""
        hit, true, guess = self._hit_true_guess()
        return _divide(hit, true + guess - hit)

    def accuracy(self) -> np.ndarray:
        """(C,) float64: share of each true class that was found (recall), NaN for a class absent from the truth."""
        hit, true, _ = self._hit_true_guess()
        return _divide(hit, true)

    def miou(self) -> float:
        """Mean IoU over the classes that occur; NaN when nothing was counted."""
        iou = self.iou()
        return float(np.nanmean(iou)) if np.isfinite(iou).any() else float("nan")

    def _hit_true_guess(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        square = self.counts[:, : self.num_classes]
        return np.diag(square), self.counts.sum(axis=1), square.sum(axis=0)


def _divide(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
