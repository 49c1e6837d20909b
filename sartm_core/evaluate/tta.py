"""Test-time augmentation: the mean softmax over input sizes and left-right flips, at the label's own size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from sartm_core.preprocess.config import PreprocessConfig, round_to_stride
from sartm_core.runtime.segmenter import Segmenter


@dataclass(frozen=True)
class Views:
    """The ways each frame is looked at."""

    scales: tuple[float, ...] = (1.0,)
    """Factors on height and width of the model's input."""
    flip: bool = False
    """Each scale also left-right flipped."""

    def __iter__(self) -> Iterator[tuple[float, bool]]:
        """(scale, flipped) of every view."""
        return ((scale, flipped) for scale in self.scales for flipped in ((False, True) if self.flip else (False,)))


def segment(
    segmenter: Segmenter, rgb: np.ndarray | None, thermal: np.ndarray | None, size: tuple[int, int], views: Views
) -> np.ndarray:
    """Class ids (*size) uint8 of one frame. With one unflipped view of scale 1: the segmenter's own mask."""
    return segment_with_confidence(segmenter, rgb, thermal, size, views)[0]


def segment_with_confidence(
    segmenter: Segmenter, rgb: np.ndarray | None, thermal: np.ndarray | None, size: tuple[int, int], views: Views
) -> tuple[np.ndarray, np.ndarray]:
    """The same, and the probability of the class that won, (*size) float32 0..1."""
    frame = rgb if rgb is not None else thermal
    assert frame is not None
    total: Tensor | None = None
    every = list(views)
    for scale, flipped in every:
        images = (mirrored(rgb), mirrored(thermal)) if flipped else (rgb, thermal)
        logits = segmenter.logits(*images, size, scaled(segmenter.preprocess, scale, frame.shape))  # (C, *size)
        logits = logits.flip(-1) if flipped else logits
        view = logits.softmax(0) if len(every) > 1 else logits
        total = view if total is None else total + view
    assert total is not None
    best, ids = total.max(0)  # (*size) each
    confidence = best / len(every) if len(every) > 1 else 1 / (total - best).exp().sum(0)
    return ids.to("cpu").numpy().astype(np.uint8), confidence.to("cpu").numpy()


def mirrored(image: np.ndarray | None) -> np.ndarray | None:
    """Left-right flip of (H, W) or (H, W, C); None stays None."""
    return None if image is None else np.ascontiguousarray(image[:, ::-1])


def scaled(config: PreprocessConfig, scale: float, frame_shape: tuple[int, ...]) -> PreprocessConfig:
    """The same preprocessing with the model's input made larger or smaller, in multiples of the stride."""
    if scale == 1:
        return config
    height, width = config.content_size(frame_shape[0], frame_shape[1])
    return replace(config, input_size=(round_to_stride(height * scale), round_to_stride(width * scale)))
