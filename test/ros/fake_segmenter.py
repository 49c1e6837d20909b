"""A `Model` of the node without a network. `python -m test.ros.fake_segmenter` is the segment node with it."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from test.patience import patience

SECONDS = "SARTM_FAKE_MODEL_SECONDS"
"""Variable of the environment: what a batch takes, at least."""
DEADLINE_S = 15.0 * patience()
"""How long a test waits for anything, seconds."""


class FakeSegmenter:
    """The interface of `Model`: class 1 everywhere but in one corner, confidence 200 (if wanted).

    With a `gate` each batch waits until it is set; `calls` keeps the frames that came in, `batches` how many at a time.
    """

    palette: tuple[tuple[int, int, int], ...] = ((0, 0, 0), (64, 0, 128))

    def __init__(
        self, name: str = "fake", gate: threading.Event | None = None, classes: tuple[str, ...] = ("unlabeled", "car")
    ) -> None:
        self.name = name
        self.sha256 = f"{len(name):02d}" * 32
        self.classes = classes
        self.device, self.engine, self.precision, self.choice, self.note = "cpu", "torch", "fp32", "", ""
        self.warnings: list[str] = []
        self.compiling, self.compilations = "", 0
        self.others: dict[str, FakeSegmenter] = {}
        """By name, what else `adapter` may choose."""
        self.gate = gate
        self.seconds = float(os.environ.get(SECONDS, "0"))
        self.calls: list[tuple[np.ndarray | None, np.ndarray | None]] = []
        self.requests: list[Any] = []
        self.batches: list[int] = []

    @property
    def adapters(self) -> tuple[str, ...]:
        return (self.name, *self.others)

    def weights(self, adapter: str) -> FakeSegmenter:
        """ValueError: it is not loaded."""
        if adapter not in ("checkpoint", *self.adapters):
            raise ValueError(f"adapter: got '{adapter}', loaded are {', '.join(self.adapters)}")
        return self.others.get(adapter, self)

    def batch(self, requests: Sequence[Any]) -> list[SimpleNamespace]:
        self.calls += [(request.rgb, request.thermal) for request in requests]
        self.requests += requests
        self.batches.append(len(requests))
        if self.gate is not None:
            self.gate.wait(DEADLINE_S)
        if self.seconds:
            threading.Event().wait(self.seconds)
        return [self._segment(request) for request in requests]

    def _segment(self, request: Any) -> SimpleNamespace:
        frame = request.rgb if request.rgb is not None else request.thermal
        mask = np.ones(frame.shape[:2], np.uint8)
        mask[0, 0] = 255 if request.confidence_threshold > 0.5 else 0
        confidence = np.full(mask.shape, 200, np.uint8) if request.confidence else None
        return SimpleNamespace(
            mask=mask, confidence=confidence, timing={"forward": 1.0}, scores=self._scores(mask, request), drawn={}
        )

    def _scores(self, mask: np.ndarray, request: Any) -> np.ndarray | None:
        """(H / 4, W / 4, C): every class is as likely as the others."""
        shape = (mask.shape[0] // 4, mask.shape[1] // 4, len(self.classes))
        return np.full(shape, 1 / len(self.classes), np.float32) if request.scores else None

    def check(self, rgb: np.ndarray | None, thermal: np.ndarray | None) -> None:
        """Every frame will do."""

    def shrink(self) -> str:
        return ""

    def memory_mb(self) -> float | None:
        return None


if __name__ == "__main__":
    from sartm_ros.segment_node import main

    sys.exit(main(load=lambda values: FakeSegmenter()))
