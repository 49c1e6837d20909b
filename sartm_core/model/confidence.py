"""What turns scores into probabilities that can be believed: softmax(s / T + b), vector scaling (Guo et al. 2017).

Each set of cameras has its own temperature T and class bias b, fitted on validation frames by
`sartm_core.fit_confidence.fit`: with one camera alone a network is less sure and sees class 0 too often. b moves masks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


CAMERAS = ("rgb+thermal", "rgb", "thermal")
"""What a model may be given, in the order of the temperatures and biases."""


@dataclass(frozen=True)
class Confidence:
    """How scores become probabilities. Fresh weights: as they are."""

    temperature: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """T by `CAMERAS`: above 1 the network was too sure of itself, below 1 too unsure."""
    class_bias: tuple[tuple[float, ...], ...] = ((), (), ())
    """b by `CAMERAS`, one number a class in id order; empty for none."""

    def __post_init__(self) -> None:
        if not all(0 < t < math.inf for t in self.temperature):
            raise ValueError(f"Confidence.temperature: got {self.temperature}, expected positive numbers")
        lengths = {len(bias) for bias in self.class_bias if bias}
        numbers = all(math.isfinite(number) for bias in self.class_bias for number in bias)
        if len(self.class_bias) != len(CAMERAS) or len(lengths) > 1 or not numbers:
            raise ValueError(
                f"Confidence.class_bias: got {self.class_bias}, expected a bias or () for each of {CAMERAS}, with one "
                "finite number a class"
            )

    @property
    def is_plain(self) -> bool:
        """Whether it changes nothing."""
        return self == Confidence()

    def biases(self, classes: int) -> tuple[tuple[float, ...], ...]:
        """(3, C), zeros where there is none."""
        return tuple(bias or (0.0,) * classes for bias in self.class_bias)

    def applied(self, scores: Tensor, rgb: bool, thermal: bool) -> Tensor:
        """(N, C, h, w) plain scores from these cameras -> those whose softmax are probabilities."""
        if self.is_plain:
            return scores
        i = cameras_given(rgb, thermal)
        bias = scores.new_tensor(self.biases(scores.shape[1])[i])  # (C,)
        return scores / self.temperature[i] + bias.view(-1, 1, 1)


def cameras_given(rgb: bool, thermal: bool) -> int:
    """Index into `CAMERAS`."""
    return 0 if rgb and thermal else 1 if rgb else 2
