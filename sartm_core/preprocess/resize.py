"""Images to the model's size: as tensors and, where a CPU does without torch, as arrays."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from sartm_core.preprocess.config import PreprocessConfig
from sartm_core.support.gpu import on_gpu, upload
from sartm_core.support.late import F, torch

if TYPE_CHECKING:
    from torch import Tensor


TABLES_KEPT = 16
"""Pairs of lengths whose tables stay in memory."""


def planes(rgb: np.ndarray, device: torch.device | str) -> Tensor:
    """(H, W, 3) uint8 -> (3, H, W); a GPU gets the bytes as they lie."""
    return upload(rgb, device).permute(2, 0, 1) if on_gpu(device) else upload(rgb.transpose(2, 0, 1), device)


def resize(image: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, C, h, w) -> (N, C, *size), bilinear, antialiased when it shrinks; untouched when the size already fits."""
    if image.shape[-2:] == size:
        return image
    return F.interpolate(image, size, mode="bilinear", align_corners=False, antialias=True)


def resized_pixels(rgb: np.ndarray, size: tuple[int, int], device: torch.device | str) -> Tensor:
    """(h, w, 3) uint8 -> (1, *size, 3) uint8, rounded."""
    image = planes(rgb, device)[None].float()  # (1, 3, h, w)
    return resize(image, size).round_().clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def pad(image: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, C, h, w) -> (N, C, *size), zeros below and on the right."""
    height, width = image.shape[-2:]
    return image if (height, width) == size else F.pad(image, (0, size[1] - width, 0, size[0] - height))


def pad_pixels(pixels: Tensor, size: tuple[int, int], config: PreprocessConfig) -> Tensor:
    """(N, h, w, 3) uint8 -> (N, *size, 3): the mean colour, rounded, which is zero when it is normalised."""
    height, width = pixels.shape[1:3]
    if (height, width) == size:
        return pixels
    whole = mean_pixel(config.rgb_mean, pixels.device).expand(len(pixels), *size, 3).clone()
    whole[:, :height, :width] = pixels
    return whole


@cache
def mean_pixel(mean: tuple[float, ...], device: torch.device) -> Tensor:
    """`mean_color` as a tensor."""
    return torch.from_numpy(mean_color(mean)).to(device)


@cache
def mean_color(mean: tuple[float, ...]) -> np.ndarray:
    """(3,) uint8 of a mean in 0..1: zero when it is normalised, but for rounding."""
    return np.array([round(255 * value) for value in mean], np.uint8)


def resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(h, w) float32 or (h, w, 3) uint8 -> (*size, ...), as `resize` and `resized_pixels`; pixels to a grey level."""
    height, width = image.shape[:2]
    if (height, width) == size:
        return image
    if image.ndim == 2 and size[0] >= height and size[1] >= width:
        return enlarged(image, size)
    return np.asarray(Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR))


def enlarged(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(h, w) float32 -> (H, W), bilinear, at a quarter of Pillow's time."""
    (_, y0, y1, fy), (_, x0, x1, fx) = map(neighbours, image.shape, size)
    wide = between(image.take(x0, axis=1), image.take(x1, axis=1), fx)  # (h, W)
    return between(wide.take(y0, axis=0), wide.take(y1, axis=0), fy[:, None])  # (H, W)


def padded(image: np.ndarray, size: tuple[int, int], value: np.ndarray | float = 0.0) -> np.ndarray:
    """(h, w, ...) -> (*size, ...), `value` below and on the right."""
    height, width = image.shape[:2]
    if (height, width) == size:
        return image
    whole = np.empty((*size, *image.shape[2:]), image.dtype)
    whole[:] = value
    whole[:height, :width] = image
    return whole


def between(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    """`share` of the way from the first to the second, which is overwritten."""
    second -= first
    second *= share
    second += first
    return second


@lru_cache(TABLES_KEPT)
def neighbours(length: int, full: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """For each of `full` places: its cell, the two of `length` around it, and the share of the second."""
    place = (np.arange(full, dtype=np.float32) + np.float32(0.5)) * np.float32(length / full) - np.float32(0.5)
    first = np.floor(place).astype(np.int64)  # from -1 to length - 1
    share = place - first.astype(np.float32)
    return first + 1, first.clip(min=0), (first + 1).clip(max=length - 1), share
