"""From camera arrays to the tensors the model takes: one place, used by training, evaluation and the robot alike.

Everything here is described by `PreprocessConfig`, which travels inside every checkpoint.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from sartm_core.registration import GridMaker, Registration

warnings.filterwarnings(
    "ignore", "The given NumPy array is not writable"
)  # frames of messages are read only, by us too
STRIDE = 32
"""Height and width of a model input are multiples of this (deepest stage of the encoder)."""


class Pixels(Enum):
    """When an rgb frame goes to the engine as uint8 pixels."""

    NEVER = "never"
    FITTING = "where its size is the model's"
    ALWAYS = "always, rounded after resizing"


PADS = ("none", "square")
THERMAL_MODES = ("percentile", "range", "unit")
PERCENTILE_SAMPLE_STEP = 4
"""Percentiles are taken from every 4th row and column: 16x less sorting, same value to well under a grey level."""
SMALLEST_SPAN = {"u1": 2.0, "u2": 50.0, "f4": 0.5}
"""`percentile` stretches no less than this (grey levels, counts, kelvin): a closed shutter is not a hot street."""
THERMAL_CLIP = (-1.0, 4.0)
"""Normalised values are cut here: a clear sky far colder than the street carries nothing, a person hotter than the
high percentile does."""


@dataclass(frozen=True)
class ThermalNorm:
    """How a thermal image becomes numbers around 0..1; the same code for counts, kelvin and 8-bit."""

    mode: str = "percentile"
    """`percentile`: [low, high] are percentiles of each frame; `range`: [low, high] are fixed values in the camera's
    unit (after the node's scale and offset); `unit`: the full range of the integer type (uint8 / 255), floats as is."""
    low: float = 50.0
    """Percentile (0..100) or value that becomes 0. The median by default: a cold sky must not squeeze the street."""
    high: float = 99.0
    """Percentile (0..100) or value that becomes 1."""

    def __post_init__(self) -> None:
        if self.mode not in THERMAL_MODES:
            raise ValueError(f"ThermalNorm.mode: got {self.mode!r}, expected one of {THERMAL_MODES}")
        if self.mode != "unit" and not self.low < self.high:
            raise ValueError(f"ThermalNorm.low/high: got low={self.low}, high={self.high}; low must be below high")
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
        if self.input_size is not None and (
            len(self.input_size) != 2 or any(n <= 0 or n % STRIDE for n in self.input_size)
        ):
            raise ValueError(
                f"PreprocessConfig.input_size: got {self.input_size}, expected (height, width) in multiples of {STRIDE}"
            )
        if min(self.rgb_std) <= 0:
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


def round_to_stride(length: float) -> int:
    """Nearest multiple of `STRIDE`, at least one."""
    return max(STRIDE, round(length / STRIDE) * STRIDE)


def check_rgb(rgb: np.ndarray) -> None:
    """Raise ValueError unless `rgb` is (H, W, 3) uint8 with pixels in it."""
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or rgb.size == 0:
        raise ValueError(f"rgb: got shape {rgb.shape} {rgb.dtype}; expected (H, W, 3) uint8 in R, G, B order")


def check_thermal(thermal: np.ndarray) -> None:
    """Raise ValueError unless `thermal` is (H, W) uint8, uint16 or float32 with at least one finite value."""
    if thermal.ndim != 2 or thermal.dtype not in (np.uint8, np.uint16, np.float32) or thermal.size == 0:
        raise ValueError(
            f"thermal: got shape {thermal.shape} {thermal.dtype}; expected (H, W) uint8, uint16 or float32"
        )
    if thermal.dtype == np.float32 and not np.isfinite(thermal).any():
        raise ValueError("thermal: every value is NaN or infinite; expected counts or temperatures")


def normalize_thermal(thermal: np.ndarray, norm: ThermalNorm) -> np.ndarray:
    """(H, W) uint8 | uint16 | float32 -> (H, W) float32, about 0..1 within `THERMAL_CLIP`; NaN becomes `low`."""
    check_thermal(thermal)
    if norm.mode == "unit":
        full = np.iinfo(thermal.dtype).max if thermal.dtype != np.float32 else 1.0
        return np.nan_to_num(thermal.astype(np.float32) / np.float32(full), nan=0.0, posinf=1.0, neginf=0.0)
    low, high = norm.low, norm.high
    span = high - low
    if norm.mode == "percentile":
        sample = thermal[::PERCENTILE_SAMPLE_STEP, ::PERCENTILE_SAMPLE_STEP]
        if thermal.dtype == np.float32:
            sample = sample[np.isfinite(sample)]
        if sample.size == 0:  # the few finite values fell between the sampled pixels
            sample = thermal[np.isfinite(thermal)]
        low, high = percentiles(sample, (norm.low, norm.high))
        span = max(high - low, SMALLEST_SPAN[thermal.dtype.str[1:]])
    values = np.subtract(thermal, np.float32(low), dtype=np.float32)  # one pass, with the conversion
    values /= np.float32(span)
    if thermal.dtype == np.float32:
        np.nan_to_num(values, copy=False, nan=0.0, posinf=THERMAL_CLIP[1], neginf=THERMAL_CLIP[0])
    return np.clip(values, *THERMAL_CLIP, out=values)


def percentiles(sample: np.ndarray, percents: Sequence[float]) -> list[float]:
    """As `np.percentile(sample, percents)` for finite numbers, at a fifth of its price."""
    ordered, values = np.sort(sample, axis=None), []
    for percent in percents:
        place = percent / 100 * (ordered.size - 1)
        below = int(place)
        low, high = float(ordered[below]), float(ordered[min(below + 1, ordered.size - 1)])
        values.append(low + (high - low) * (place - below))
    return values


def normalize_rgb(rgb: np.ndarray, config: PreprocessConfig, device: torch.device | str = "cpu") -> Tensor:
    """(H, W, 3) uint8 -> (3, H, W) float32, mean and standard deviation removed."""
    check_rgb(rgb)
    gain, offset = rgb_gain(config, torch.device(device))
    return upload(rgb.transpose(2, 0, 1), device).float().mul_(gain).add_(offset)  # (3, H, W)


def normalize_pixels(pixels: Tensor, config: PreprocessConfig) -> Tensor:
    """(N, H, W, 3) uint8 -> (N, 3, H, W) float32, as `normalize_rgb`; for the engines."""
    gain, offset = rgb_gain(config, pixels.device)
    return pixels.permute(0, 3, 1, 2).float() * gain + offset


@lru_cache
def rgb_gain(config: PreprocessConfig, device: torch.device) -> tuple[Tensor, Tensor]:
    """(x / 255 - mean) / std = gain * x + offset, (3, 1, 1) each."""
    mean, std = (
        torch.tensor(values, dtype=torch.float64).view(3, 1, 1) for values in (config.rgb_mean, config.rgb_std)
    )
    return (1 / (255 * std)).float().to(device), (-mean / std).float().to(device)


def upload(image: np.ndarray, device: torch.device | str) -> Tensor:
    """An array as a contiguous tensor. CPU: the array's own memory, to be read only, where it is contiguous.

    CUDA: by way of pinned memory, without waiting.
    """
    device = torch.device(device)
    if device.type != "cuda":
        return torch.from_numpy(np.ascontiguousarray(image)).to(device)
    pinned = torch.empty(image.shape, dtype=torch.from_numpy(image[:0]).dtype, pin_memory=True)
    np.copyto(pinned.numpy(), image)
    return pinned.to(device, non_blocking=True)


def resize(image: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, C, h, w) -> (N, C, *size), bilinear, antialiased when it shrinks; untouched when the size already fits."""
    if image.shape[-2:] == size:
        return image
    return F.interpolate(image, size, mode="bilinear", align_corners=False, antialias=True)


def resized_pixels(rgb: np.ndarray, size: tuple[int, int], device: torch.device | str) -> Tensor:
    """(h, w, 3) uint8 -> (1, *size, 3) uint8, rounded."""
    planes = upload(rgb.transpose(2, 0, 1), device)[None].float()  # (1, 3, h, w)
    return resize(planes, size).round_().clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def pad(image: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, C, h, w) -> (N, C, *size), zeros below and on the right."""
    height, width = image.shape[-2:]
    return image if (height, width) == size else F.pad(image, (0, size[1] - width, 0, size[0] - height))


def pad_pixels(pixels: Tensor, size: tuple[int, int], config: PreprocessConfig) -> Tensor:
    """(N, h, w, 3) uint8 -> (N, *size, 3): the mean colour, rounded, which is zero when it is normalised."""
    height, width = pixels.shape[1:3]
    if (height, width) == size:
        return pixels
    mean = torch.tensor([round(255 * value) for value in config.rgb_mean], dtype=torch.uint8, device=pixels.device)
    whole = mean.expand(len(pixels), *size, 3).clone()
    whole[:, :height, :width] = pixels
    return whole


def prepare(
    rgb: np.ndarray | None,
    thermal: np.ndarray | None,
    config: PreprocessConfig,
    device: torch.device | str = "cpu",
    registration: Registration | None = None,
    grid: GridMaker | None = None,
    pixels: Pixels = Pixels.NEVER,
) -> tuple[Tensor | None, Tensor | None]:
    """One frame of each camera -> model inputs (1, 3, H, W) and (1, 1, H, W) of one common size; None stays None.

    pixels: whether rgb stays (1, H, W, 3) uint8, for an engine that normalises it; of the model's size already, on a
    CPU, without a copy.
    The size follows the rgb camera; the thermal one when there is no rgb. With `registration` (and optionally a cache
    of its sampling grids) the thermal frame is warped into the rgb view; alone it keeps its own. Raises ValueError
    when both are None, one has the wrong shape or type, or the registration does not fit the sizes.
    """
    if rgb is None and thermal is None:
        raise ValueError("rgb, thermal: both are None; give at least one of the two")
    frame = rgb if rgb is not None else thermal
    assert frame is not None
    rgb_in = thermal_in = None
    if rgb is not None:
        check_rgb(rgb)
    if thermal is not None:
        check_thermal(thermal)
    size, content = config.model_size(*frame.shape[:2]), config.content_size(*frame.shape[:2])
    if rgb is not None:
        fits = rgb.shape[:2] == size
        if pixels is Pixels.NEVER or (pixels is Pixels.FITTING and not fits):
            rgb_in = pad(resize(normalize_rgb(rgb, config, device)[None], content), size)  # (1, 3, H, W)
        elif fits:
            rgb_in = upload(rgb, device)[None]  # (1, H, W, 3)
        else:
            rgb_in = pad_pixels(resized_pixels(rgb, content, device), size, config)  # (1, H, W, 3)
    if thermal is not None:
        values = upload(normalize_thermal(thermal, config.thermal), device)
        if registration is not None and rgb is not None:
            thermal_in = registration.warp(values[None, None], rgb.shape[:2], content, grid)  # (1, 1, h, w)
        else:
            thermal_in = resize(values[None, None], content)  # (1, 1, h, w)
        thermal_in = pad(thermal_in, size)  # (1, 1, H, W)
    return rgb_in, thermal_in
