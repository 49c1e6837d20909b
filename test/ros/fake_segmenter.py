"""A Segmenter without a network. `python -m test.ros.fake_segmenter` is the segment node with it."""

from __future__ import annotations

import sys
import threading
from types import SimpleNamespace

import numpy as np

DEADLINE_S = 15.0
"""How long a test waits for anything, seconds."""


class FakeSegmenter:
    """The interface of sartm_core.segmenter.Segmenter: class 1 everywhere but in one corner, confidence 200.

    With a `gate` each call waits until it is set; `calls` keeps what came in.
    """

    classes = ("unlabeled", "car")
    palette = ((0, 0, 0), (64, 0, 128))

    def __init__(self, name: str = "fake", gate: threading.Event | None = None) -> None:
        self.name = name
        self.gate = gate
        self.calls: list[tuple[np.ndarray | None, np.ndarray | None]] = []

    def __call__(
        self, rgb: np.ndarray | None, thermal: np.ndarray | None, *, confidence_threshold: float = 0.0
    ) -> SimpleNamespace:
        self.calls.append((rgb, thermal))
        if self.gate is not None:
            self.gate.wait(DEADLINE_S)
        frame = rgb if rgb is not None else thermal
        mask = np.ones(frame.shape[:2], np.uint8)
        mask[0, 0] = 255 if confidence_threshold > 0.5 else 0
        confidence = np.full(mask.shape, 200, np.uint8)
        return SimpleNamespace(mask=mask, confidence=confidence, timing={"forward": 1.0})


if __name__ == "__main__":
    from sartm_ros.segment_node import main

    sys.exit(main(load=lambda values: FakeSegmenter()))
