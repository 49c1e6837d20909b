"""Pixels as numbers: colour with its mean and deviation removed, thermal of any camera around 0..1."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from sartm_core.preprocess.config import PreprocessConfig, ThermalNorm
from sartm_core.preprocess.resize import upload

PERCENTILE_SAMPLE_STEP = 4
"""Percentiles are taken from every 4th row and column: 16x less sorting, same value to well under a grey level."""
SMALLEST_SPAN = {"u1": 2.0, "u2": 50.0, "f4": 0.5}
"""`percentile` stretches no less than this (grey levels, counts, kelvin): a closed shutter is not a hot street."""
THERMAL_CLIP = (-1.0, 4.0)
"""Normalised values are cut here: a clear sky far colder than the street carries nothing, a person hotter than the
high percentile does."""


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
