"""Images as tensors, and to the model's size."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sartm_core.preprocess.config import PreprocessConfig

warnings.filterwarnings(
    "ignore", "The given NumPy array is not writable"
)  # frames of messages are read only, by us too


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
