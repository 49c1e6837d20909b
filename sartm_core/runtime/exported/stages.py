"""What an exported file does before and after the network, as modules to trace: `preprocess` and `postprocess` again.

Written for export: fixed sizes, tensors only. What changes there has to change here; test_export_stages.py compares.
TensorRT does nothing with uint8 but make floats of it, and it of floats: nothing else touches pixels and class ids.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sartm_core.preprocess.config import PreprocessConfig, ThermalNorm
from sartm_core.preprocess.normalise import rgb_gain
from sartm_core.preprocess.resize import resize
from sartm_core.preprocess.thermal import mode_of
from sartm_core.runtime.postprocess import enlarge

Size = tuple[int, int]


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
        image = rgb.float().permute(2, 0, 1)[None] * self.gain + self.offset  # (1, 3, H0, W0)
        heat = self.thermal(thermal.float())[None, None]  # (1, 1, h0, w0)
        return resize(image, self.size), resize(heat, self.size)

    def example(self) -> tuple[Tensor, Tensor]:
        """Inputs to trace it with."""
        rgb = torch.zeros(*self.camera, 3, dtype=torch.uint8)
        return rgb, torch.zeros(self.thermal_camera, dtype=getattr(torch, self.dtype))


class Thermal(nn.Module):
    """`preprocess.normalize_thermal` for frames of one pixel type."""

    def __init__(self, norm: ThermalNorm, dtype: str) -> None:
        super().__init__()
        self.norm, self.dtype, self.traced = norm, dtype, mode_of(norm.mode).traced

    def forward(self, values: Tensor) -> Tensor:
        """(h, w) float32, numbers of the camera -> (h, w) float32."""
        return self.traced(values, self.norm, self.dtype)


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
        return ids.float().to(torch.uint8), (255 / total).round().to(torch.uint8)

    def example(self) -> tuple[Tensor]:
        """Inputs to trace it with."""
        return (torch.zeros(self.shape),)
