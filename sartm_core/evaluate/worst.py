"""The frames a model does worst on, kept as small pictures: memory does not grow with the number of frames."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from sartm_core.data.pairs import Sample
from sartm_core.evaluate.metrics import ConfusionMatrix
from sartm_core.support.classes import IGNORE, Color
from sartm_core.support.ranking import Ranking
from sartm_core.support.visualize import IGNORE_COLOR, camera_pictures, contact_sheet, legend_of, overlay

PICTURE_WIDTH = 320
CAPTIONS = ("rgb", "thermal", "truth", "prediction", "difference")
MISSED: Color = (255, 60, 60)
FALSE_ALARM: Color = (255, 200, 0)
WRONG_CLASS: Color = (220, 60, 255)
ERROR_COLORS = {
    "missed": MISSED,  # something in the truth, predicted as class 0
    "false alarm": FALSE_ALARM,  # class 0 in the truth, predicted as something
    "wrong class": WRONG_CLASS,  # one thing for another
    "not labelled": IGNORE_COLOR,
}
"""Legend of the difference pictures."""


@dataclass(frozen=True)
class WorstFrame:
    """One frame with its scores and its strip of pictures."""

    name: str
    miou: float
    """Mean IoU of this frame alone, over the classes that occur in its truth or prediction; 0..1."""
    iou: np.ndarray
    """(C,) IoU of this frame alone, NaN where a class does not occur."""
    strip: Image.Image
    """rgb, thermal, truth, prediction and difference beside each other."""


class WorstFrames:
    """Keeps the `size` frames of lowest mIoU among all that are offered; of equal ones the earlier."""

    def __init__(self, size: int, classes: Sequence[str], palette: Sequence[Color]) -> None:
        self.palette = palette
        self.legend = {**legend_of(classes, palette), **ERROR_COLORS}
        self._kept: Ranking[WorstFrame] = Ranking(size)

    def offer(self, sample: Sample, truth: np.ndarray, guess: np.ndarray, matrix: ConfusionMatrix) -> None:
        """Consider one frame: `truth` and `guess` (H, W) uint8 class ids, `matrix` their counts."""
        miou = matrix.miou()
        if not math.isnan(miou):
            self._kept.offer(
                -miou, lambda: WorstFrame(sample.name, miou, matrix.iou(), self.strip(sample, truth, guess))
            )

    def frames(self) -> list[WorstFrame]:
        """The worst first."""
        return self._kept.best()

    def strip(self, sample: Sample, truth: np.ndarray, guess: np.ndarray) -> Image.Image:
        """The five pictures of a frame, each `PICTURE_WIDTH` wide."""
        rgb, thermal, frame = camera_pictures(sample.rgb, sample.thermal)
        pictures = [
            *(shrink(image, Image.Resampling.BILINEAR) for image in (rgb, thermal)),
            *(shrink(overlay(frame, mask, self.palette), Image.Resampling.BILINEAR) for mask in (truth, guess)),
            shrink(difference(frame, truth, guess), Image.Resampling.NEAREST),
        ]
        return contact_sheet([pictures], CAPTIONS, [sample.name], self.legend)


def difference(rgb: np.ndarray, truth: np.ndarray, guess: np.ndarray) -> np.ndarray:
    """Where and how a prediction is wrong, in `ERROR_COLORS` over the darkened grey image, (H, W, 3) uint8."""
    out = np.repeat((rgb.mean(axis=2) / 2).astype(np.uint8)[..., None], 3, axis=2)  # (H, W, 3)
    wrong = (truth != guess) & (truth != IGNORE)  # (H, W)
    out[wrong] = WRONG_CLASS
    out[wrong & (guess == 0)] = MISSED
    out[wrong & (truth == 0)] = FALSE_ALARM
    out[truth == IGNORE] = IGNORE_COLOR
    return out


def shrink(image: np.ndarray, method: Image.Resampling) -> np.ndarray:
    """(H, W, 3) uint8 -> the same at `PICTURE_WIDTH`."""
    size = (PICTURE_WIDTH, max(1, round(image.shape[0] * PICTURE_WIDTH / image.shape[1])))
    return np.asarray(Image.fromarray(image).resize(size, method))
