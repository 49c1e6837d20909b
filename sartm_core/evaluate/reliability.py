"""Whether confidences mean what they say: of the pixels that are told with 80 %, are 80 % right?

ECE = sum over bins of (share of the pixels) * |mean confidence - accuracy|          (Naeini 2015, Guo et al. 2017)
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sartm_core.support.classes import IGNORE
from sartm_core.support.reports import number

BINS = 15
"""Of equal width over 0..1."""


class Reliability:
    """Pixels by their confidence, counted frame by frame."""

    def __init__(self) -> None:
        self.pixels = np.zeros(BINS, np.int64)
        self.confidence = np.zeros(BINS)  # summed
        self.right = np.zeros(BINS, np.int64)

    def update(self, confidence: np.ndarray, right: np.ndarray) -> None:
        """Add pixels: confidence (N,) 0..1 of the class that won, and whether it is the true one (N,) bool."""
        bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
        self.pixels += np.bincount(bins, minlength=BINS)
        self.confidence += np.bincount(bins, confidence.astype(np.float64), BINS)
        self.right += np.bincount(bins[right], minlength=BINS)

    def ece(self) -> float:
        """Expected calibration error, 0..1; NaN without a pixel."""
        total = self.pixels.sum()
        return float(np.abs(self.confidence - self.right).sum() / total) if total else math.nan

    def mean_confidence(self) -> float:
        """Mean over all pixels; NaN without one."""
        return float(self.confidence.sum() / self.pixels.sum()) if self.pixels.any() else math.nan

    def accuracy(self) -> float:
        """Share that is right; NaN without a pixel."""
        return float(self.right.sum() / self.pixels.sum()) if self.pixels.any() else math.nan

    def as_dict(self) -> dict[str, Any]:
        """For JSON: the numbers, and mean confidence and accuracy of each bin that has pixels."""
        filled = np.flatnonzero(self.pixels)
        return {
            "pixels": int(self.pixels.sum()),
            **{name: number(getattr(self, name)()) for name in ("ece", "mean_confidence", "accuracy")},
            "bins": {
                "from": (filled / BINS).round(4).tolist(),
                "pixels": self.pixels[filled].tolist(),
                "confidence": (self.confidence[filled] / self.pixels[filled]).tolist(),
                "accuracy": (self.right[filled] / self.pixels[filled]).tolist(),
            },
        }


class ReliabilityByPixels:
    """Of all labelled pixels, of those called an object, and of those that are one or are called one.

    The last take in every object missed and leave out the background told rightly: chosen by their truth, they are
    less often right than even an honest confidence says.
    """

    def __init__(self) -> None:
        self.all, self.called_object, self.object = Reliability(), Reliability(), Reliability()

    def update(self, confidence: np.ndarray, guess: np.ndarray, truth: np.ndarray) -> None:
        """Add a frame: confidence (H, W) 0..1, guess and truth (H, W) class ids; 255 in the truth is left out."""
        known = truth != IGNORE
        confidence, guess, truth = confidence[known], guess[known], truth[known]  # (N,) each
        right, called = guess == truth, guess != 0
        for counts, chosen in ((self.all, ...), (self.called_object, called), (self.object, called | (truth != 0))):
            counts.update(confidence[chosen], right[chosen])

    def by_pixels(self) -> dict[str, Reliability]:
        """{`all`, `called_object`, `object`: counts}."""
        return {"all": self.all, "called_object": self.called_object, "object": self.object}
