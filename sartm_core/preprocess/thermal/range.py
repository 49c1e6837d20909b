"""`range`: [low, high] are fixed values in the camera's unit."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from sartm_core.preprocess.config import ThermalNorm
from sartm_core.preprocess.thermal.parts import THERMAL_CLIP, stretched, stretched_traced

CLIP = THERMAL_CLIP


def normalized(thermal: np.ndarray, norm: ThermalNorm) -> np.ndarray:
    return stretched(thermal, norm.low, norm.high - norm.low)


def traced(values: Tensor, norm: ThermalNorm, dtype: str) -> Tensor:
    return stretched_traced(values, norm.low, norm.high - norm.low)
