"""What turns scores into probabilities that can be believed: softmax(s / T), temperature scaling (Guo et al. 2017).

Each set of cameras has its own temperature, fitted on validation frames by `sartm_core.confidence.fit`. The class with
the largest score stays the same.
"""

from __future__ import annotations

from dataclasses import dataclass

CAMERAS = ("rgb+thermal", "rgb", "thermal")
"""What a model may be given, in the order of the temperatures."""


@dataclass(frozen=True)
class Confidence:
    """How scores become probabilities. Fresh weights: as they are."""

    temperature: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """T by `CAMERAS`: above 1 the network was too sure of itself, below 1 too unsure."""

    def __post_init__(self) -> None:
        if not all(0 < t < float("inf") for t in self.temperature):
            raise ValueError(f"Confidence.temperature: got {self.temperature}, expected positive numbers")


def cameras_given(rgb: bool, thermal: bool) -> int:
    """Index into `CAMERAS`."""
    return 0 if rgb and thermal else 1 if rgb else 2
