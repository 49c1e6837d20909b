"""`standardise`: each frame's mean becomes 0 and its standard deviation 1, as encoders of photographs were trained.

Both are taken between the percentiles `ORDINARY`, so that a flame or the sun does not squeeze the rest. Any unit gives
the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sartm_core.preprocess.config import ThermalNorm
from sartm_core.preprocess.thermal.parts import (
    SAMPLE_STEP,
    SMALLEST_SPAN,
    percentiles,
    sampled,
    stretched,
    stretched_traced,
    traced_percentiles,
)
from sartm_core.support.late import torch

if TYPE_CHECKING:
    from torch import Tensor

CLIP = (-3.0, 6.0)
"""Values are cut here, in standard deviations: a person in a cold street is farther from the mean than any cold."""
ORDINARY = (1.0, 99.0)
"""Values beyond these percentiles of a frame count as that percentile in its mean and deviation."""


def normalized(thermal: np.ndarray, norm: ThermalNorm) -> np.ndarray:
    sample = sampled(thermal)
    low, high = percentiles(sample, ORDINARY)
    ordinary = np.clip(sample.astype(np.float64), low, high)
    return stretched(thermal, ordinary.mean(), max(ordinary.std(), SMALLEST_SPAN[thermal.dtype.name]), CLIP)


def traced(values: Tensor, norm: ThermalNorm, dtype: str) -> Tensor:
    """Of float frames without a finite value among the sampled pixels, the mean is 0."""
    sample = values[::SAMPLE_STEP, ::SAMPLE_STEP].flatten()  # (n,)
    finite = torch.isfinite(sample)
    count = finite.sum().clamp(min=1)
    low, high = traced_percentiles(sample, *ORDINARY)
    ordinary = torch.where(finite, sample, low).clamp(low, high)  # (n,)
    mean = torch.where(finite, ordinary, 0.0).sum() / count
    std = (torch.where(finite, ordinary - mean, 0.0).square().sum() / count).sqrt()
    return stretched_traced(values, mean, std.clamp(min=SMALLEST_SPAN[dtype]), CLIP)
