"""The three graphs that an exported file is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sartm_core.model.sartm import SARTM
from sartm_core.preprocess.prepare import Pixels
from sartm_core.runtime.engines.base import PRECISIONS
from sartm_core.runtime.exported.description import Description
from sartm_core.runtime.exported.stages import Finish, Prepare
from sartm_core.runtime.graph.graph import SCORE_STRIDE, FixedGraph, FoldedSARTM
from sartm_core.runtime.quantisation.calibration import Calibration
from sartm_core.runtime.quantisation.frames import Input, frames_of


@dataclass(frozen=True)
class Parts:
    """Frames -> `before` -> inputs -> `network` -> scores -> `after` -> class ids and confidence."""

    before: Prepare
    network: FixedGraph
    after: Finish
    frames: Callable[[], list[Input]]
    """Inputs of the network to quantise it by, as the checkpoint's cameras give them."""

    @classmethod
    def of(cls, model: SARTM, about: Description, calibration: Calibration | None = None) -> Parts:
        """For the weights and sizes of a file. calibration: which frames, for int8; None: synthetic scenes."""
        by = calibration or Calibration()
        folded = FoldedSARTM(model).to(PRECISIONS[about.precision])
        return cls(
            Prepare(about.preprocess, about.size, about.camera, about.thermal_camera, about.thermal),
            FixedGraph(folded, about.size),
            Finish(about.model.num_classes, about.size, about.camera, SCORE_STRIDE),
            lambda: frames_of(by, about.preprocess, about.size, Pixels.NEVER).measured,
        )
