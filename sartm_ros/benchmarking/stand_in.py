"""The segment node with something in the model's place that costs nothing: `python -m sartm_ros.benchmarking.stand_in`.

What its masks cost is what the node costs.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np

from sartm_core.support.classes import MFNET
from sartm_ros.inference.jobs import Request
from sartm_ros.segment_node import main

STAGES = ("preprocess", "forward", "postprocess")
LEVEL = 255
"""Confidence everywhere."""


class FixedMask:
    """The interface of `sartm_ros.inference.model.Model`: class 0 everywhere, at once."""

    name, sha256, note, choice = "none", "", "", ""
    device, engine, precision = "cpu", "none", "-"
    classes, palette = MFNET.names, MFNET.palette
    warnings: tuple[str, ...] = ()
    compiling, compilations = "", 0
    adapters = (name,)

    def weights(self, adapter: str) -> FixedMask:
        """Itself, whatever the parameter `adapter` says."""
        return self

    def batch(self, requests: Sequence[Request]) -> list[SimpleNamespace]:
        """A result for each request."""
        return [self._result(request) for request in requests]

    def _result(self, request: Request) -> SimpleNamespace:
        frame = request.rgb if request.rgb is not None else request.thermal
        assert frame is not None
        mask, confidence = pictures(frame.shape[:2])
        timing = dict.fromkeys(STAGES, 0.0)
        return SimpleNamespace(mask=mask, confidence=confidence, scores=None, timing=timing, drawn={})

    def check(self, rgb: Any, thermal: Any) -> None:
        """Every frame will do."""

    def shrink(self) -> str:
        """It cannot be smaller."""
        return ""

    def memory_mb(self) -> float | None:
        """Not on a GPU."""
        return None


@cache
def pictures(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Mask and confidence, (H, W) uint8 each."""
    return np.zeros(size, np.uint8), np.full(size, LEVEL, np.uint8)


if __name__ == "__main__":
    sys.exit(main(load=lambda values: FixedMask()))
