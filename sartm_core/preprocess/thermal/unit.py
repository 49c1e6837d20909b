"""`unit`: the full range of the integer type becomes 0..1; floats stay as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sartm_core.preprocess.config import ThermalNorm
from sartm_core.preprocess.thermal.parts import THERMAL_CLIP
from sartm_core.support.late import torch

if TYPE_CHECKING:
    from torch import Tensor

CLIP = THERMAL_CLIP
"""Of jittered values; 8 and 16 bits lie in 0..1."""


def normalized(thermal: np.ndarray, norm: ThermalNorm) -> np.ndarray:
    full = np.iinfo(thermal.dtype).max if thermal.dtype != np.float32 else 1.0
    return np.nan_to_num(thermal.astype(np.float32) / np.float32(full), nan=0.0, posinf=1.0, neginf=0.0)


def traced(values: Tensor, norm: ThermalNorm, dtype: str) -> Tensor:
    if dtype != "float32":
        return values / np.iinfo(dtype).max
    return torch.where(torch.isfinite(values), values, (values > 0).float())
