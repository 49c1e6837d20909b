"""What an exported file does before and after the network, as modules to trace: `preprocess` and `postprocess` again.

Written for export: fixed sizes, tensors only. What changes there has to change here; test_export_stages.py compares.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from sartm_core.preprocess.config import PreprocessConfig, ThermalNorm
from sartm_core.preprocess.normalise import PERCENTILE_SAMPLE_STEP, SMALLEST_SPAN, THERMAL_CLIP, rgb_gain
from sartm_core.preprocess.resize import resize
from sartm_core.runtime.postprocess import enlarge

Size = tuple[int, int]
THERMAL_TYPES = {"uint8": torch.uint8, "uint16": torch.uint16, "float32": torch.float32}
"""Pixel types of thermal cameras, by their name in numpy."""
CODES = {"uint8": "u1", "uint16": "u2", "float32": "f4"}
"""The same as `SMALLEST_SPAN` names them."""
LARGEST = 2**31 - 1
"""Of the whole numbers that every engine computes with."""


class Prepare(nn.Module):
    """Frames of both cameras -> what the network takes; `preprocess.prepare` without registration."""

    def __init__(self, config: PreprocessConfig, size: Size, camera: Size, thermal_camera: Size, dtype: str) -> None:
        super().__init__()
        self.size, self.camera, self.thermal_camera, self.dtype = size, camera, thermal_camera, dtype
        gain, offset = rgb_gain(config, torch.device("cpu"))  # (3, 1, 1) each
        self.gain, self.offset = (nn.Parameter(x.clone(), requires_grad=False) for x in (gain, offset))
        self.thermal = Thermal(config.thermal, dtype)

    def forward(self, rgb: Tensor, thermal: Tensor) -> tuple[Tensor, Tensor]:
        """(H0, W0, 3) uint8, (h0, w0) of `dtype` -> (1, 3, H, W), (1, 1, H, W) float32."""
        image = rgb.permute(2, 0, 1)[None].float() * self.gain + self.offset  # (1, 3, H0, W0)
        heat = self.thermal(thermal.float())[None, None]  # (1, 1, h0, w0)
        return resize(image, self.size), resize(heat, self.size)

    def example(self) -> tuple[Tensor, Tensor]:
        """Inputs to trace it with."""
        rgb = torch.zeros(*self.camera, 3, dtype=torch.uint8)
        return rgb, torch.zeros(self.thermal_camera, dtype=THERMAL_TYPES[self.dtype])


class Thermal(nn.Module):
    """`preprocess.normalize_thermal` for frames of one pixel type.

    Differs in one case: float frames whose every sampled pixel is NaN or infinite, though others are not, are measured
    against low 0 and high `SMALLEST_SPAN`, not against the percentiles of the others.
    """

    def __init__(self, norm: ThermalNorm, dtype: str) -> None:
        super().__init__()
        self.norm, self.dtype = norm, dtype

    def forward(self, values: Tensor) -> Tensor:
        """(h, w) float32, numbers of the camera -> (h, w) float32."""
        norm = self.norm
        if norm.mode == "unit":
            unit = THERMAL_TYPES[self.dtype]
            if not unit.is_floating_point:
                return values / torch.iinfo(unit).max
            return torch.where(torch.isfinite(values), values, (values > 0).float())
        if norm.mode == "range":
            values = (values - norm.low) / (norm.high - norm.low)
        else:
            low, high = percentiles(values[::PERCENTILE_SAMPLE_STEP, ::PERCENTILE_SAMPLE_STEP], norm.low, norm.high)
            values = (values - low) / (high - low).clamp(min=SMALLEST_SPAN[CODES[self.dtype]])
        return without_nan(values).clamp(*THERMAL_CLIP)


def percentiles(sample: Tensor, *percents: float) -> list[Tensor]:
    """Of the finite values of a float tensor, one scalar each, as `np.percentile`; 0 when none is finite."""
    flat = sample.flatten()  # (n,)
    finite = torch.isfinite(flat)
    ordered = torch.where(finite, flat, torch.inf).sort().values  # (n,), the finite ones first
    count = finite.sum()
    last = (count - 1).clamp(min=0)
    whole = 100 * 10 ** int(math.log10(LARGEST / (100 * len(flat))))  # what 100 % are counted in, as fine as possible
    found = []
    for percent in percents:
        place = last * round(percent / 100 * whole)
        share = place % whole
        first = ((place - share).float() / whole).round().long()
        below, above = ordered[first], ordered[torch.minimum(first + 1, last)]
        value = below + (above - below) * (share.float() / whole)
        found.append(torch.where(count > 0, value, 0.0))
    return found


def without_nan(values: Tensor) -> Tensor:
    """0 for NaN."""
    return torch.where(torch.isnan(values), 0.0, values)


class Finish(nn.Module):
    """Scores -> class ids and confidence at the rgb camera's size; `postprocess.ids_and_confidence`."""

    def __init__(self, classes: int, size: Size, camera: Size, stride: int) -> None:
        super().__init__()
        self.camera = camera
        self.shape = (1, classes, size[0] // stride, size[1] // stride)

    def forward(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """(1, C, H / 4, W / 4) float32 -> mask (H0, W0) uint8, confidence (H0, W0) uint8."""
        logits = enlarge(scores[0], self.camera)  # (C, H0, W0)
        best, ids = logits.max(0)  # (H0, W0) each
        total = (logits - best).exp().sum(0)  # (H0, W0): the winner's softmax is 1 / total
        return ids.to(torch.uint8), (255 / total).round().to(torch.uint8)

    def example(self) -> tuple[Tensor]:
        """Inputs to trace it with."""
        return (torch.zeros(self.shape),)
