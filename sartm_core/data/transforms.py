"""Augmentation of a frame pair: geometry for all three images together, photometry for each camera by itself.

Images are torchvision tensors: rgb (3, H, W) uint8, thermal (1, H, W) float32, label (1, H, W) uint8.
Random numbers come from torch's global generator, which the training set seeds anew for every item.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as TF
from torchvision.transforms.v2.functional import InterpolationMode

from sartm_core.data.config import DataConfig
from sartm_core.data.labels import IGNORE

DARK_GAIN = (0.05, 0.5)
"""Range of brightness left when a frame is made night-dark."""
DARK_NOISE = 12.0
"""Sensor noise of a darkened frame, grey levels, 1 sigma at most."""
BLUR_SIGMA = (0.3, 2.0)
THERMAL_NOISE = 0.03
"""Noise at full `thermal_jitter`, as part of the frame's own range."""


@dataclass
class Frame:
    """One training frame on its way through the augmentations."""

    rgb: Tensor
    thermal: Tensor
    label: Tensor

    def apply(self, function: Callable[..., Tensor], **kwargs: Any) -> None:
        """The same torchvision function on all three; labels with nearest neighbour where it interpolates.

        NEAREST_EXACT, because NEAREST would move labels by up to half a pixel against the images.
        """
        self.rgb, self.thermal = function(self.rgb, **kwargs), function(self.thermal, **kwargs)
        if "interpolation" in kwargs:
            kwargs = {**kwargs, "interpolation": InterpolationMode.NEAREST_EXACT}
            kwargs.pop("antialias", None)
        self.label = function(self.label, **kwargs)


def uniform(low: float, high: float) -> float:
    """One number from torch's generator."""
    return low + (high - low) * torch.rand(()).item()


def chance(probability: float) -> bool:
    return torch.rand(()).item() < probability


def augment(frame: Frame, config: DataConfig, zoom: float = 1.0) -> Frame:
    """All of it; the result has `config.crop_size`. `zoom`: the factor at which the robot sees this camera."""
    shift_thermal(frame, config.thermal_shift)
    low, high = config.scale_range
    scale_and_crop(frame, config.crop_size, (low * zoom, high * zoom), config.focus)
    if chance(config.hflip):
        frame.apply(TF.horizontal_flip)
    jitter_rgb(frame, config)
    jitter_thermal(frame, config.thermal_jitter)
    return frame


def shift_thermal(frame: Frame, pixels: float) -> None:
    """Move the thermal image by up to `pixels` in x and y; its border repeats."""
    dx, dy = round(uniform(-pixels, pixels)), round(uniform(-pixels, pixels))
    if dx or dy:
        margin = max(abs(dx), abs(dy))
        height, width = frame.thermal.shape[-2:]
        padded = TF.pad(frame.thermal, [margin], padding_mode="edge")
        frame.thermal = TF.crop(padded, margin + dy, margin + dx, height, width)


def scale_and_crop(frame: Frame, size: tuple[int, int], scale_range: tuple[float, float], focus: float = 0.0) -> None:
    """Cut a random window that, resized to `size`, shows things larger or smaller by a factor of `scale_range`.

    With probability `focus` the window holds a labelled pixel. A window beyond the image is filled with black and with
    label 255.
    """
    scale = math.exp(uniform(math.log(scale_range[0]), math.log(scale_range[1])))
    window = [max(1, round(n / scale)) for n in size]  # height, width in source pixels
    have = frame.label.shape[-2:]
    pad = [max(0, w - h) for w, h in zip(window, have, strict=True)]
    if any(pad):
        border = [pad[1] // 2, pad[0] // 2, pad[1] - pad[1] // 2, pad[0] - pad[0] // 2]  # left, top, right, bottom
        frame.rgb = TF.pad(frame.rgb, border)
        frame.thermal = TF.pad(frame.thermal, border, padding_mode="edge")
        frame.label = TF.pad(frame.label, border, fill=IGNORE)
    have = frame.label.shape[-2:]
    room = [h - w for h, w in zip(have, window, strict=True)]
    pixel = labelled_pixel(frame.label[0]) if chance(focus) else None
    if pixel is None:
        top, left = (int(torch.randint(0, r + 1, ())) for r in room)
    else:
        start = (p - int(torch.randint(0, w, ())) for p, w in zip(pixel, window, strict=True))
        top, left = (min(max(s, 0), r) for s, r in zip(start, room, strict=True))
    frame.apply(
        TF.resized_crop, top=top, left=left, height=window[0], width=window[1], size=list(size),
        interpolation=InterpolationMode.BILINEAR, antialias=True,
    )  # fmt: skip


def labelled_pixel(label: Tensor) -> tuple[int, int] | None:
    """Row and column of a random pixel of a random class other than 0, None if (H, W) has no such pixel."""
    classes = [c for c in label.flatten().bincount().nonzero().flatten().tolist() if c not in (0, IGNORE)]
    if not classes:
        return None
    rows, columns = (label == classes[int(torch.randint(0, len(classes), ()))]).nonzero(as_tuple=True)
    pick = int(torch.randint(0, len(rows), ()))
    return int(rows[pick]), int(columns[pick])


def jitter_rgb(frame: Frame, config: DataConfig) -> None:
    """Brightness, contrast, saturation, blur and darkness, on rgb only."""
    strength = config.color_jitter
    if strength:
        for change in (TF.adjust_brightness, TF.adjust_contrast, TF.adjust_saturation):
            frame.rgb = change(frame.rgb, uniform(1 - strength, 1 + strength))
    if chance(config.darken):
        light = frame.rgb.float() * uniform(*DARK_GAIN)
        noise = torch.randn(light.shape) * uniform(0, DARK_NOISE)
        frame.rgb = (light + noise).clamp(0, 255).to(torch.uint8)
    if chance(config.blur):
        frame.rgb = TF.gaussian_blur(frame.rgb, kernel_size=5, sigma=uniform(*BLUR_SIGMA))


def jitter_thermal(frame: Frame, strength: float) -> None:
    """Gamma, gain, offset, noise and blur, on thermal only.

    Gain and offset keep the frame within its own range, so that integer cameras neither overflow nor saturate. The
    thermal modes `range` and `unit` see them; `percentile` takes them away again, but for the coarser grey levels.
    """
    if not strength:
        return
    low, high = frame.thermal.aminmax()
    span = (high - low).clamp(min=1e-6)
    unit = ((frame.thermal - low) / span) ** math.exp(uniform(-strength, strength))
    gain = uniform(1 - strength, 1)
    unit = unit * gain + uniform(0, 1 - gain)
    unit = unit + torch.randn(unit.shape) * THERMAL_NOISE * uniform(0, strength)
    if chance(strength / 2):
        unit = TF.gaussian_blur(unit, kernel_size=5, sigma=uniform(*BLUR_SIGMA))
    frame.thermal = unit * span + low
