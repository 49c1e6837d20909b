"""Augmentation of a frame pair: geometry for all three images together, photometry for each camera by itself.

Images are torchvision tensors: rgb (3, H, W) uint8, thermal (1, H, W) float32, normalised, label (1, H, W) uint8; a
camera that is missing is None.
Random numbers come from torch's global generator, which the training set seeds anew for every item.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.v2 import functional as TF
from torchvision.transforms.v2.functional import InterpolationMode

from sartm_core.data.config import DataConfig
from sartm_core.preprocess.thermal.parts import THERMAL_CLIP
from sartm_core.support.classes import IGNORE

DARK_GAIN = (0.05, 0.5)
"""Range of brightness left when a frame is made night-dark."""
DARK_NOISE = 12.0
"""Sensor noise of a darkened frame, grey levels, 1 sigma at most."""
BLUR_SIGMA = (0.3, 2.0)
BLUR_TAPS = 5
GREY = (0.299, 0.587, 0.114)
"""Parts of R, G and B in the brightness that the eye sees (ITU-R BT.601)."""
WHITE = 255
THERMAL_NOISE = 0.1
"""Noise at full `thermal_jitter`, 1 sigma at most, in normalised units: from the median to the 99th percentile is 1."""
THERMAL_OFFSET = 0.5
"""Offset at full `thermal_jitter`, in normalised units."""


@dataclass
class Frame:
    """One training frame on its way through the augmentations."""

    rgb: Tensor | None
    thermal: Tensor | None
    label: Tensor

    def apply(self, function: Callable[..., Tensor], **kwargs: Any) -> None:
        """The same torchvision function on all there are; labels with nearest neighbour where it interpolates.

        NEAREST_EXACT, because NEAREST would move labels by up to half a pixel against the images.
        """
        self.rgb, self.thermal = (None if x is None else function(x, **kwargs) for x in (self.rgb, self.thermal))
        if "interpolation" in kwargs:
            kwargs = {**kwargs, "interpolation": InterpolationMode.NEAREST_EXACT}
            kwargs.pop("antialias", None)
        self.label = function(self.label, **kwargs)


def uniform(low: float, high: float) -> float:
    """One number from torch's generator."""
    return low + (high - low) * torch.rand(()).item()


def chance(probability: float) -> bool:
    return torch.rand(()).item() < probability


def augment(
    frame: Frame,
    config: DataConfig,
    zoom: float = 1.0,
    around: tuple[int, int] | None = None,
    clip: tuple[float, float] = THERMAL_CLIP,
) -> Frame:
    """All of it; the result has `config.crop_size`. `zoom`: the factor at which the robot sees this camera; `around`:
    row and column of a pixel that the crop shall hold; `clip`: where normalised thermal values lie."""
    shift_thermal(frame, config.thermal_shift)
    low, high = config.scale_range
    one = zoom if config.scale_of == "input" else filling(frame, config.crop_size)
    scale_and_crop(frame, config.crop_size, (low * one, high * one), around)
    if chance(config.hflip):
        frame.apply(TF.horizontal_flip)
    jitter_rgb(frame, config)
    jitter_thermal(frame, config.thermal_jitter, clip)
    return frame


def filling(frame: Frame, size: tuple[int, int]) -> float:
    """The smallest factor at which a frame covers a crop of `size` whole."""
    return max(crop / length for crop, length in zip(size, frame.label.shape[-2:], strict=True))


def shift_thermal(frame: Frame, pixels: float) -> None:
    """Move the thermal image by up to `pixels` in x and y; its border repeats."""
    dx, dy = round(uniform(-pixels, pixels)), round(uniform(-pixels, pixels))
    if frame.thermal is not None and (dx or dy):
        margin = max(abs(dx), abs(dy))
        height, width = frame.thermal.shape[-2:]
        padded = TF.pad(frame.thermal, [margin], padding_mode="edge")
        frame.thermal = TF.crop(padded, margin + dy, margin + dx, height, width)


def scale_and_crop(
    frame: Frame, size: tuple[int, int], scale_range: tuple[float, float], around: tuple[int, int] | None = None
) -> None:
    """Cut a random window that, resized to `size`, shows things larger or smaller by a factor of `scale_range`.

    The window holds the pixel `around` (row, column). One beyond the image is filled with black and with label 255.
    """
    scale = math.exp(uniform(math.log(scale_range[0]), math.log(scale_range[1])))
    window = [max(1, round(n / scale)) for n in size]  # height, width in source pixels
    have = frame.label.shape[-2:]
    pad = [max(0, w - h) for w, h in zip(window, have, strict=True)]
    if any(pad):
        border = [pad[1] // 2, pad[0] // 2, pad[1] - pad[1] // 2, pad[0] - pad[0] // 2]  # left, top, right, bottom
        frame.rgb = None if frame.rgb is None else TF.pad(frame.rgb, border)
        frame.thermal = None if frame.thermal is None else TF.pad(frame.thermal, border, padding_mode="edge")
        frame.label = TF.pad(frame.label, border, fill=IGNORE)
    have = frame.label.shape[-2:]
    room = [h - w for h, w in zip(have, window, strict=True)]
    if around is None:
        top, left = (int(torch.randint(0, r + 1, ())) for r in room)
    else:
        pixel = (around[0] + pad[0] // 2, around[1] + pad[1] // 2)
        start = (p - int(torch.randint(0, w, ())) for p, w in zip(pixel, window, strict=True))
        top, left = (min(max(s, 0), r) for s, r in zip(start, room, strict=True))
    frame.apply(
        TF.resized_crop, top=top, left=left, height=window[0], width=window[1], size=list(size),
        interpolation=InterpolationMode.BILINEAR, antialias=True,
    )  # fmt: skip


def jitter_rgb(frame: Frame, config: DataConfig) -> None:
    """Brightness, contrast, saturation, darkness and blur, on rgb only; once to floats and back for all of them."""
    if frame.rgb is None:
        return
    strength, whole = config.color_jitter, frame.rgb
    if strength:
        factors = [uniform(1 - strength, 1 + strength) for _ in range(3)]
        whole = adjust_colors(whole.contiguous().float(), *factors)  # by planes: half the time
    if chance(config.darken):
        whole = whole.float() * uniform(*DARK_GAIN)
        whole += torch.randn(whole.shape) * uniform(0, DARK_NOISE)
    if chance(config.blur):
        whole = blur(whole.float(), uniform(*BLUR_SIGMA))
    if whole is not frame.rgb:
        frame.rgb = whole.round_().clamp_(0, WHITE).to(torch.uint8)


def adjust_colors(rgb: Tensor, brightness: float, contrast: float, saturation: float) -> Tensor:
    """(3, H, W) float 0..255, changed in place and clipped after each factor; 1 leaves things as they are."""
    grey = torch.tensor(GREY).view(3, 1, 1)
    rgb.mul_(brightness).clamp_(0, WHITE)
    mean = (rgb.mean((1, 2), keepdim=True) * grey).sum().item()
    rgb.mul_(contrast).add_((1 - contrast) * mean).clamp_(0, WHITE)
    luma = (rgb * grey).sum(0, keepdim=True)  # (1, H, W)
    return rgb.mul_(saturation).add_(luma, alpha=1 - saturation).clamp_(0, WHITE)


def blur(image: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of (C, H, W) floats with `BLUR_TAPS` pixels by rows and by columns; the border is mirrored.

    Sums of shifted images: on a CPU a fifth of a convolution's price.
    """
    reach = BLUR_TAPS // 2
    taps = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    weights = (taps / taps.sum()).tolist()
    for dim, border in ((-1, (reach, reach, 0, 0)), (-2, (0, 0, reach, reach))):
        padded = F.pad(image[None], border, mode="reflect")[0]
        length = image.shape[dim]
        image = padded.narrow(dim, 0, length) * weights[0]
        for start, weight in enumerate(weights[1:], 1):
            image.add_(padded.narrow(dim, start, length), alpha=weight)
    return image


def jitter_thermal(frame: Frame, strength: float, clip: tuple[float, float] = THERMAL_CLIP) -> None:
    """Gamma, gain, offset, noise and blur, on the normalised thermal image only; it stays within `clip`."""
    if not strength or frame.thermal is None:
        return
    low, high = clip
    span = 1.0 - low  # a gamma leaves the lowest value and 1 where they are
    unit = (frame.thermal - low).clamp_(min=0) / span  # the coldest is 0: a power of no negative number
    values = unit.pow_(math.exp(uniform(-strength, strength))).mul_(span).add_(low)
    values.mul_(uniform(1 - strength, 1 + strength)).add_(THERMAL_OFFSET * uniform(-strength, strength))
    values.add_(torch.randn(values.shape), alpha=THERMAL_NOISE * uniform(0, strength))
    if chance(strength / 2):
        values = blur(values, uniform(*BLUR_SIGMA))
    frame.thermal = values.clamp_(low, high)
