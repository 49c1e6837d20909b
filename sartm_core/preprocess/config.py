"""How camera frames become model inputs, as settings: `PreprocessConfig`, which travels inside every checkpoint."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from sartm_core.preprocess.thermal import THERMAL_MODES

STRIDE = 32
"""Height and width of a model input are multiples of this (deepest stage of the encoder)."""
LARGEST_SIDE, LARGEST_AREA = 8192, 4096 * 4096
"""Pixels of a model input: with more no machine has the memory, and no camera the detail."""
PADS = ("none", "square")
BOUNDED = ("percentile", "range")
"""Thermal modes that read `low` and `high`."""


@dataclass(frozen=True)
class ThermalNorm:
    """How a thermal image becomes numbers around 0 and 1; the same code for counts, kelvin and 8-bit."""

    mode: str = "percentile"
    """`percentile`: [low, high] are percentiles of each frame; `range`: [low, high] are fixed values in the camera's
    unit (after the node's scale and offset); `unit`: the full range of the integer type (uint8 / 255), floats as is;
    `standardise`: each frame's mean becomes 0, its standard deviation 1."""
    low: float = 50.0
    """Percentile (0..100) or value that becomes 0. The median by default: a cold sky must not squeeze the street."""
    high: float = 99.0
    """Percentile (0..100) or value that becomes 1."""

    def __post_init__(self) -> None:
        if self.mode not in THERMAL_MODES:
            raise ValueError(f"ThermalNorm.mode: got {self.mode!r}, expected one of {tuple(THERMAL_MODES)}")
        if self.mode in BOUNDED and not self.low < self.high:
            raise ValueError(f"ThermalNorm.low/high: got low={self.low}, high={self.high}; low must be below high")
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            raise ValueError(f"ThermalNorm.low/high: got {self.low}, {self.high}; expected finite numbers")
        if self.mode == "percentile" and not (self.low >= 0 and self.high <= 100):
            raise ValueError(f"ThermalNorm.low/high: got {self.low}, {self.high}; percentiles lie in 0..100")


@dataclass(frozen=True)
class PreprocessConfig:
    """Input size and normalisation of both modalities."""

    input_size: tuple[int, int] | None = (480, 640)
    """Height and width the model works at; another aspect gets the same area. None: the camera's own size."""
    rgb_mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    """Mean of R, G, B in 0..1 (ImageNet)."""
    rgb_std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    """Standard deviation of R, G, B in 0..1 (ImageNet)."""
    thermal: ThermalNorm = field(default_factory=ThermalNorm)
    """Thermal normalisation."""
    pad: str = "none"
    """`none`: a frame is stretched to the model's size; `square`: it keeps its shape (with `input_size` its area is
    that one) and zeros below and on the right of it make a square. For imported weights that were trained so."""

    def __post_init__(self) -> None:
        if self.pad not in PADS:
            raise ValueError(f"PreprocessConfig.pad: got {self.pad!r}, expected one of {PADS}")
        if self.input_size is not None and not is_size(self.input_size):
            raise ValueError(
                f"PreprocessConfig.input_size: got {self.input_size}, expected (height, width) in multiples of {STRIDE}"
                f", each at most {LARGEST_SIDE} and {LARGEST_AREA} pixels in all"
            )
        if not all(map(math.isfinite, self.rgb_mean)):
            raise ValueError(f"PreprocessConfig.rgb_mean: got {self.rgb_mean}, expected three finite numbers")
        if not all(0 < std < math.inf for std in self.rgb_std):
            raise ValueError(f"PreprocessConfig.rgb_std: got {self.rgb_std}, expected three positive numbers")

    def model_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the model input for a camera of (height, width): multiples of `STRIDE`, aspect kept."""
        if self.pad == "square":
            side = math.ceil(max(self.content_size(height, width)) / STRIDE) * STRIDE
            return side, side
        scale = self._scale(height, width)
        return round_to_stride(height * scale), round_to_stride(width * scale)

    def content_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of what the model input shows a camera's frame in, at its top left; padding is the rest."""
        if self.pad == "none":
            return self.model_size(height, width)
        scale = self._scale(height, width)
        return max(1, round(height * scale)), max(1, round(width * scale))

    def covered(self, frame: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
        """Size of all the scores of a frame where the frame itself has `size`: larger only with padding."""
        sizes = zip(size, self.model_size(*frame), self.content_size(*frame), strict=True)
        height, width = (round(length * whole / part) for length, whole, part in sizes)
        return height, width

    def _scale(self, height: int, width: int) -> float:
        return 1.0 if self.input_size is None else math.sqrt(math.prod(self.input_size) / (height * width))


def is_size(size: tuple[int, ...]) -> bool:
    """Whether a model input can have this height and width."""
    sides = len(size) == 2 and all(0 < side <= LARGEST_SIDE and side % STRIDE == 0 for side in size)
    return sides and math.prod(size) <= LARGEST_AREA


def round_to_stride(length: float) -> int:
    """Nearest multiple of `STRIDE`, at least one."""
    return max(STRIDE, round(length / STRIDE) * STRIDE)
