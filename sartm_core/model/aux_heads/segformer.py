"""SegFormer's decoder (Table VIII)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sartm_core.model.aux_heads.parts import conv_norm_relu, upsample


class SegformerHead(nn.Module):
    """SegFormer's all-MLP decoder (arXiv 2105.15203): all levels to one width, joined at stride 4, mixed by pixel."""

    def __init__(self, channels: tuple[int, int, int], num_classes: int) -> None:
        super().__init__()
        width = channels[-1]
        self.project = nn.ModuleList(nn.Conv2d(c, width, 1) for c in channels)
        self.fuse = conv_norm_relu(len(channels) * width, width, 1)
        self.classify = nn.Conv2d(width, num_classes, 1)

    def forward(self, ffp: Tensor, ifp: Tensor, sfm: Tensor) -> Tensor:
        levels = (project(x) for project, x in zip(self.project, (ffp, ifp, sfm), strict=True))
        x = torch.cat([upsample(level, ffp) for level in levels], dim=1)  # (B, 3 * width, H/4, W/4)
        return self.classify(self.fuse(x))  # (B, C, H/4, W/4)
