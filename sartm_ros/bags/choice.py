"""Which pairs of a recording are worth a place in a data set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from sartm_core.support.visualize import thermal_to_gray

THUMBNAIL = (32, 24)
"""Width and height at which two scenes are compared: details and noise do not count."""


class SceneChange:
    """Says of each pair whether it differs from the last one it said yes to."""

    def __init__(self, threshold: float) -> None:
        """threshold: mean difference of brightness, 0..1, in one of the two cameras. ValueError outside of 0..1."""
        if not 0 < threshold <= 1:
            raise ValueError(
                f"--scene-change: got {threshold:g}, expected more than 0, at most 1 (0.1 is a good start)"
            )
        self.threshold = threshold
        self._last: np.ndarray | None = None

    def __call__(self, rgb: np.ndarray, thermal: np.ndarray) -> bool:
        """rgb (H, W, 3) uint8, thermal (h, w) of any type."""
        now = np.stack([thumbnail(rgb), thumbnail(thermal_to_gray(thermal))])  # (2, 24, 32)
        if self._last is not None and np.abs(now - self._last).mean((1, 2)).max() <= self.threshold:
            return False
        self._last = now
        return True


def thumbnail(picture: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 -> brightness (24, 32) float32, 0..1."""
    small = Image.fromarray(np.ascontiguousarray(picture)).convert("L").resize(THUMBNAIL, Image.Resampling.BOX)
    return np.asarray(small, np.float32) / 255


def least_confident(confidences: Sequence[float], times_s: Sequence[float], count: int, spacing_s: float) -> list[int]:
    """Places of the `count` lowest values, in order, each `spacing_s` or more from every other one.

    Neighbours in time look alike: labelling both teaches little more than one.
    """
    chosen: list[int] = []
    for place in np.argsort(np.asarray(confidences), kind="stable"):
        if len(chosen) == count:
            break
        if all(abs(times_s[place] - times_s[other]) >= spacing_s for other in chosen):
            chosen.append(int(place))
    return sorted(chosen)
