"""The one place where the node meets the model: parameters in, a ready `sartm_core.segmenter.Segmenter` out."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

WARMUP_SIZE = (480, 640)


class OnThreads:
    """A segmenter whose calls use `threads` CPU threads, whichever thread calls: torch's number is one per thread."""

    def __init__(self, segmenter: Any, threads: int) -> None:
        self._segmenter = segmenter
        self._threads = threads
        self.name, self.classes, self.palette = segmenter.name, segmenter.classes, segmenter.palette

    def __call__(self, rgb: np.ndarray | None, thermal: np.ndarray | None, *, confidence_threshold: float = 0.0) -> Any:
        """As `sartm_core.segmenter.Segmenter`."""
        import torch

        if torch.get_num_threads() != self._threads:
            torch.set_num_threads(self._threads)
        return self._segmenter(rgb, thermal, confidence_threshold=confidence_threshold)


@cache
def library_threads() -> int:
    """The number of CPU threads torch chose by itself; to be asked before anything changes it."""
    import torch

    return torch.get_num_threads()


def load_segmenter(values: dict[str, Any]) -> Any:
    """Load the checkpoint named by the node's parameters and warm it up. torch is imported here, not with the module.

    Raises whatever loading raises (a missing file, an unknown device, ...); the text says what is wrong.
    """
    from sartm_core.preprocess import ThermalNorm
    from sartm_core.segmenter import Segmenter

    own_choice = library_threads()
    mode = values["thermal.normalization"]
    thermal = None if mode == "checkpoint" else ThermalNorm(mode, values["thermal.low"], values["thermal.high"])
    segmenter = Segmenter.load(
        values["checkpoint"],
        device=values["device"],
        precision=values["precision"],
        engine=values["engine"],
        sam2=None if values["sam2"] == "none" else values["sam2"],
        thermal=thermal,
    )
    ready = OnThreads(segmenter, values["threads"] or own_choice)
    if values["warmup"]:
        ready(np.zeros((*WARMUP_SIZE, 3), np.uint8), np.zeros(WARMUP_SIZE, np.uint8))
    return ready
