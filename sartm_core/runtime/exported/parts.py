"""The three graphs that an exported file is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sartm_core.model.sartm import SARTM
from sartm_core.runtime.batching import SCORE_STRIDE
from sartm_core.runtime.engines.base import dtype_of
from sartm_core.runtime.exported.description import Description
from sartm_core.runtime.exported.stages import Finish, Prepare
from sartm_core.runtime.graph.graph import FixedGraph, FoldedSARTM


@dataclass(frozen=True)
class Parts:
    """Frames -> `before` -> inputs -> `network` -> scores -> `after` -> class ids and confidence."""

    before: Prepare
    network: FixedGraph
    after: Finish
    quantise: Callable[[Any], Any] | None = None
    """Makes one in int8 of a format's own network."""

    @classmethod
    def of(cls, model: SARTM, about: Description, quantise: Callable[[Any], Any] | None = None) -> Parts:
        """For the weights and sizes of a file."""
        folded = FoldedSARTM(model).to(dtype_of(about.precision))
        return cls(
            Prepare(about.preprocess, about.size, about.camera, about.thermal_camera, about.thermal),
            FixedGraph(folded, about.size),
            Finish(about.model.num_classes, about.size, about.camera, SCORE_STRIDE),
            quantise,
        )
