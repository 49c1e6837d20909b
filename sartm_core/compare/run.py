"""The pass over the frames: both models segment each, and what the intervals need is counted frame by frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from tqdm import tqdm

from sartm_core.compare.pictures import DifferentFrame, MostDifferent
from sartm_core.data.checked import need_label
from sartm_core.data.pairs import Sample
from sartm_core.evaluate.metrics import ConfusionMatrix
from sartm_core.evaluate.run import frame_group, label_table
from sartm_core.evaluate.tta import Views, segment
from sartm_core.runtime.segmenter import Segmenter
from sartm_core.support.classes import LabelSet

OVERLAP, UNION, TRUE = range(3)
"""What is counted of each class: pixels found, pixels of truth or prediction, pixels of the truth."""


@dataclass(frozen=True)
class FrameCounts:
    """What one frame gave."""

    name: str
    group: str
    """`day`, `night`, a synthetic condition or `other`."""
    pixels: int
    agreeing: int
    """Pixels where both masks have the same class."""
    counts: np.ndarray | None
    """(2, 3, C) int64: of A and B, `OVERLAP`, `UNION` and `TRUE` of each class; None without a label."""
    miou: tuple[float, float] | None
    """mIoU of A and B on this frame alone, over the classes that occur; None without a label."""


@dataclass
class Comparison:
    """What a pass over the frames counted."""

    agreement: ConfusionMatrix
    """Pixels by A's class (row) and B's class (column)."""
    frames: list[FrameCounts] = field(default_factory=list)
    most: list[DifferentFrame] = field(default_factory=list)
    """The frames of the largest differing share."""


def compare(
    models: tuple[Segmenter, Segmenter], frames: Sequence[Sample], label_set: LabelSet, cameras: str, most: int
) -> Comparison:
    """Segment every frame with both models of the same classes and count.

    Raises:
        ValueError: a label of another size than its frame, or with ids that `label_set` lacks; names the frame.
    """
    classes = models[0].classes
    shown = MostDifferent(most, models[0].palette)
    result = Comparison(ConfusionMatrix(len(classes)))
    table: np.ndarray | None = None  # only labels need classes that fit
    for sample in tqdm(frames, unit="frame", disable=None):
        a, b = (mask_of(model, sample, cameras) for model in models)  # (H, W) each
        truth = None
        if sample.label is not None:
            table = label_table(label_set.names, classes) if table is None else table
            truth = table[need_label(sample, label_set.names)]  # (H, W)
        result.agreement.update(b, a)
        result.frames.append(count(sample.name, truth, a, b, len(classes)))
        shown.offer(sample, truth, a, b)
    result.most = shown.frames()
    return result


def mask_of(model: Segmenter, sample: Sample, cameras: str) -> np.ndarray:
    """(H, W) uint8 class ids of a frame at its own size, from the cameras that are wanted."""
    rgb = sample.rgb if "rgb" in cameras else None
    thermal = sample.thermal if "thermal" in cameras else None
    return segment(model, rgb, thermal, sample.size, Views())


def count(name: str, truth: np.ndarray | None, a: np.ndarray, b: np.ndarray, classes: int) -> FrameCounts:
    """The counts of one frame: `truth`, `a` and `b` (H, W) uint8 class ids."""
    counts, miou = None, None
    if truth is not None:
        matrices = [ConfusionMatrix(classes) for _ in range(2)]
        for matrix, mask in zip(matrices, (a, b), strict=True):
            matrix.update(mask, truth)
        counts = np.stack([counted(matrix) for matrix in matrices])  # (2, 3, C)
        miou = (matrices[0].miou(), matrices[1].miou())
    return FrameCounts(name, frame_group(name), a.size, int((a == b).sum()), counts, miou)


def counted(matrix: ConfusionMatrix) -> np.ndarray:
    """(3, C) int64: `OVERLAP`, `UNION` and `TRUE` of each class."""
    hit, true = np.diag(matrix.counts), matrix.true_pixels()
    return np.stack([hit, true + matrix.predicted_pixels() - hit, true])
