"""The pass over the frames: every camera set, every group of frames, one confusion matrix each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from tqdm import tqdm

from sartm_core.data.checked import need_label
from sartm_core.data.pairs import Sample
from sartm_core.evaluate.metrics import ConfusionMatrix
from sartm_core.evaluate.reliability import ReliabilityByPixels
from sartm_core.evaluate.tta import Views, scaled, segment_with_confidence
from sartm_core.evaluate.worst import WorstFrames
from sartm_core.runtime.segmenter import Segmenter
from sartm_core.support.classes import LabelSet, frame_condition, remap_table
from sartm_core.synthetic import CONDITIONS

ALL = "all"
OTHER = "other"


@dataclass
class Evaluation:
    """What a pass over the frames counted."""

    matrices: dict[str, dict[str, ConfusionMatrix]]
    """By cameras, then by group; `all` first."""
    worst: WorstFrames
    """Of the first cameras."""
    reliability: dict[str, ReliabilityByPixels]
    """By cameras."""
    frames: Counter[str] = field(default_factory=Counter)
    """Number of frames by group."""
    sizes: Counter[str] = field(default_factory=Counter)
    """Number of frames by "label size -> model input sizes"."""


def frame_group(name: str) -> str:
    """`day` or `night` from an MFNet name, the condition from a synthetic one, else `other`."""
    condition = name.rsplit("_", 1)[-1]
    return condition if condition in CONDITIONS else frame_condition(name) or OTHER


def evaluate(
    segmenter: Segmenter,
    frames: Sequence[Sample],
    label_set: LabelSet,
    cameras: Sequence[str],
    views: Views,
    worst: int = 0,
) -> Evaluation:
    """Segment every frame with every set of cameras and count.

    Raises:
        ValueError: a frame without label, or with ids that `label_set` does not have; names the frame.
    """
    table = label_table(label_set.names, segmenter.classes)
    num_classes = len(segmenter.classes)
    result = Evaluation(
        {name: {ALL: ConfusionMatrix(num_classes)} for name in cameras},
        WorstFrames(worst, segmenter.classes, segmenter.palette),
        {name: ReliabilityByPixels() for name in cameras},
    )
    for sample in tqdm(frames, unit="frame", disable=None):
        truth = table[need_label(sample, label_set.names)]  # (H, W)
        group = frame_group(sample.name)
        result.frames.update((ALL, group))
        result.sizes[describe_sizes(segmenter, sample.size, views)] += 1
        for name, by_group in result.matrices.items():
            rgb = sample.rgb if "rgb" in name else None
            thermal = sample.thermal if "thermal" in name else None
            guess, confidence = segment_with_confidence(segmenter, rgb, thermal, truth.shape, views)  # (H, W) each
            matrix = ConfusionMatrix(num_classes)
            matrix.update(guess, truth)
            result.reliability[name].update(confidence, guess, truth)
            by_group[ALL].add(matrix)
            by_group.setdefault(group, ConfusionMatrix(num_classes)).add(matrix)
            if name == cameras[0]:
                result.worst.offer(sample, truth, guess, matrix)
    if result.frames[OTHER] == result.frames[ALL]:  # names tell nothing
        del result.frames[OTHER]
        for by_group in result.matrices.values():
            by_group.pop(OTHER, None)
    return result


def label_table(names: tuple[str, ...], classes: tuple[str, ...]) -> np.ndarray:
    """Label ids -> class ids by name, (256,) uint8. ValueError when no class but 0 has its name in the checkpoint."""
    if not set(names[1:]) & set(classes[1:]):
        raise ValueError(
            f"checkpoint: has the classes {classes}, the labels {names}: none but class 0 in common, so there is "
            "nothing to score. Are these the right weights, and the right --label_set?"
        )
    return remap_table(names, classes)


def describe_sizes(segmenter: Segmenter, shape: tuple[int, ...], views: Views) -> str:
    """Label size and model input sizes of a frame, height x width."""
    inputs = (scaled(segmenter.preprocess, scale, shape).model_size(shape[0], shape[1]) for scale in views.scales)
    return f"{shape[0]}x{shape[1]} -> " + ", ".join(f"{height}x{width}" for height, width in inputs)
