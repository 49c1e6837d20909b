"""`percentile`: [low, high] are percentiles of each frame, so any unit gives the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sartm_core.preprocess.config import ThermalNorm
from sartm_core.preprocess.thermal.parts import (
    SAMPLE_STEP,
    SMALLEST_SPAN,
    THERMAL_CLIP,
    percentiles,
    sampled,
    stretched,
    stretched_traced,
    traced_percentiles,
)

if TYPE_CHECKING:
    from torch import Tensor

CLIP = THERMAL_CLIP


def normalized(thermal: np.ndarray, norm: ThermalNorm) -> np.ndarray:
    low, high = percentiles(sampled(thermal), (norm.low, norm.high))
    return stretched(thermal, low, max(high - low, SMALLEST_SPAN[thermal.dtype.name]))


def traced(values: Tensor, norm: ThermalNorm, dtype: str) -> Tensor:
    """Differs in one case: float frames whose every sampled pixel is NaN or infinite, though others are not, are
    measured against low 0 and high `SMALLEST_SPAN`, not against the percentiles of the others."""
    low, high = traced_percentiles(values[::SAMPLE_STEP, ::SAMPLE_STEP], norm.low, norm.high)
    return stretched_traced(values, low, (high - low).clamp(min=SMALLEST_SPAN[dtype]))
