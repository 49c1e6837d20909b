"""What several modes are made of."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

THERMAL_CLIP = (-1.0, 4.0)
"""Normalised values are cut here: a clear sky far colder than the street carries nothing, a person hotter than the
high percentile does."""


def stretched(thermal: np.ndarray, low: float, span: float) -> np.ndarray:
    """(H, W) -> (H, W) float32, (thermal - low) / span within `THERMAL_CLIP`; NaN becomes 0."""
    values = np.subtract(thermal, np.float32(low), dtype=np.float32)  # one pass, with the conversion
    values /= np.float32(span)
    if thermal.dtype == np.float32:
        np.nan_to_num(values, copy=False, nan=0.0, posinf=THERMAL_CLIP[1], neginf=THERMAL_CLIP[0])
    return np.clip(values, *THERMAL_CLIP, out=values)


def stretched_traced(values: Tensor, low: Tensor | float, span: Tensor | float) -> Tensor:
    """The same in a graph."""
    values = (values - low) / span
    return torch.where(torch.isnan(values), 0.0, values).clamp(*THERMAL_CLIP)
