"""`range`: [low, high] are fixed values in the camera's unit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sartm_core.preprocess.config import ThermalNorm
from sartm_core.preprocess.thermal.parts import THERMAL_CLIP, stretched, stretched_traced

if TYPE_CHECKING:
    from torch import Tensor

CLIP = THERMAL_CLIP


def normalized(thermal: np.ndarray, norm: ThermalNorm) -> np.ndarray:
    return stretched(thermal, norm.low, norm.high - norm.low)


def traced(values: Tensor, norm: ThermalNorm, dtype: str) -> Tensor:
    return stretched_traced(values, norm.low, norm.high - norm.low)
