"""The model behind a page: frames in, what is shown of them out."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from sartm_core.view.config import PageConfig
from sartm_core.view.source import Shown

if TYPE_CHECKING:  # torch takes seconds and memory: a page that only listens to a node needs neither
    from sartm_core.runtime.segmenter import Segmenter


class Masks:
    """A `Segmenter` that is loaded when it is first needed. For one thread."""

    def __init__(self, config: PageConfig, threshold: float = 0.0) -> None:
        self.config, self.threshold = config, threshold
        self._warm = False

    @cached_property
    def segmenter(self) -> Segmenter:
        from sartm_core.runtime.segmenter import Segmenter

        c = self.config
        return Segmenter.load(c.checkpoint, c.device, c.precision, c.engine, sam2=c.sam2)

    def __call__(
        self, name: str, rgb: np.ndarray | None, thermal: np.ndarray | None, told: Mapping[str, str] | None = None
    ) -> Shown:
        """Segment one frame; told: what else to say of it. ValueError as of a `Segmenter`."""
        segmenter = self.segmenter
        result = segmenter(rgb, thermal, confidence_threshold=self.threshold)
        state = {**(told or {}), "weights": segmenter.name, "engine": f"{segmenter.engine}, {segmenter.precision}"}
        if self._warm:  # the first frame has the engine's start in it
            state["time"] = f"{sum(result.timing.values()):.0f} ms"
        self._warm = True
        return Shown(
            name, rgb, thermal, result.mask, result.confidence, segmenter.classes, segmenter.palette, state
        )  # fmt: skip
