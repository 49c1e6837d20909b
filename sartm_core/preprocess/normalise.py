"""Pixels as numbers: colour with its mean and deviation removed, thermal of any camera around 0..1."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING

import numpy as np

from sartm_core.preprocess.config import PreprocessConfig, ThermalNorm
from sartm_core.preprocess.resize import planes
from sartm_core.preprocess.thermal import mode_of
from sartm_core.preprocess.thermal.parts import SAMPLE_STEP
from sartm_core.support.gpu import Run, on_gpu, replayed, upload
from sartm_core.support.late import torch

if TYPE_CHECKING:
    from torch import Tensor

NORMS_KEPT = 8
"""Thermal normalisations whose CUDA graphs stay in memory."""


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
    return mode_of(norm.mode).normalized(thermal, norm)


def thermal_on(device: torch.device | str, thermal: np.ndarray, norm: ThermalNorm) -> Tensor:
    """The same as a tensor. A GPU gets the camera's own numbers and does the arithmetic that exported files do.

    Both agree but for rounding; where they would not (no finite value among the sampled ones), the CPU does it.
    """
    if not on_gpu(device) or not np.isfinite(thermal[::SAMPLE_STEP, ::SAMPLE_STEP]).any():
        return upload(normalize_thermal(thermal, norm), device)
    return arithmetic(norm, thermal.dtype.name, torch.device(device))(upload(thermal, device))


@lru_cache(NORMS_KEPT)
def arithmetic(norm: ThermalNorm, dtype: str, device: torch.device) -> Run:
    """(H, W) of pixels of `dtype` -> (H, W) float32. Some fifty small kernels, so launched as one graph."""
    traced = mode_of(norm.mode).traced
    return replayed(lambda thermal: lambda thermal: traced(thermal.float(), norm, dtype), device)


def normalize_rgb(rgb: np.ndarray, config: PreprocessConfig, device: torch.device | str = "cpu") -> Tensor:
    """(H, W, 3) uint8 -> (3, H, W) float32, mean and standard deviation removed."""
    check_rgb(rgb)
    gain, offset = rgb_gain(config, torch.device(device))
    return planes(rgb, device).float().mul_(gain).add_(offset)  # (3, H, W)


def normalize_pixels(pixels: Tensor, config: PreprocessConfig) -> Tensor:
    """(N, H, W, 3) uint8 -> (N, 3, H, W) float32, as `normalize_rgb`; for the engines."""
    gain, offset = rgb_gain(config, pixels.device)
    return pixels.permute(0, 3, 1, 2).float() * gain + offset


@cache
def rgb_gain(config: PreprocessConfig, device: torch.device) -> tuple[Tensor, Tensor]:
    """`rgb_factors` as gain and offset (3, 1, 1). Kept for good: CUDA graphs read them where they are."""
    gain, offset = (
        torch.tensor(values, dtype=torch.float32).view(3, 1, 1).to(device)
        for values in zip(*rgb_factors(config), strict=True)
    )
    return gain, offset


def rgb_factors(config: PreprocessConfig) -> list[tuple[np.float32, np.float32]]:
    """(x / 255 - mean) / std = gain * x + offset: both, of each channel."""
    pairs = zip(config.rgb_mean, config.rgb_std, strict=True)
    return [(np.float32(1 / (255 * std)), np.float32(-mean / std)) for mean, std in pairs]
