"""Images as tensors, and to the model's size."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sartm_core.preprocess.config import PreprocessConfig
from sartm_core.support.gpu import on_gpu, upload


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
    """(3,) uint8 of a mean in 0..1."""
    return torch.tensor([round(255 * value) for value in mean], dtype=torch.uint8, device=device)
