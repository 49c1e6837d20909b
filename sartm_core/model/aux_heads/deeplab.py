"""DeepLab's decoder (Table VIII)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.models.segmentation.deeplabv3 import ASPP

from sartm_core.model.aux_heads.parts import conv_norm_relu, upsample

ASPP_RATES = (6, 12, 18)
"""Dilations of DeepLab for features of stride 16."""


class DeepLabHead(nn.Module):
    """DeepLabV3+ (arXiv 1802.02611): dilated convolutions and image pooling on F~n, refined with F~0; F~1 is not used.

    The pyramid is torchvision's with two changes. Image pooling leaves one value per channel, which batch
    normalisation cannot train on with one image a process, so that branch has a group norm. The dropout is left out:
    this head is thrown away after training, and random masks would make data parallel runs differ from single ones.
    """

    def __init__(self, channels: tuple[int, int, int], num_classes: int) -> None:
        super().__init__()
        c0, _, width = channels
        self.pyramid = ASPP(width, ASPP_RATES, width)
        self.pyramid.convs[-1][2] = nn.GroupNorm(1, width)  # pool, conv, *norm*, relu
        self.pyramid.project = self.pyramid.project[:-1]  # conv, norm, relu, *dropout*
        self.project0 = conv_norm_relu(c0, c0, 1)
        self.refine = conv_norm_relu(width + c0, width, 3)
        self.classify = nn.Conv2d(width, num_classes, 1)

    def forward(self, ffp: Tensor, ifp: Tensor, sfm: Tensor) -> Tensor:
        x = upsample(self.pyramid(sfm), ffp)  # (B, width, H/4, W/4)
        x = torch.cat((x, self.project0(ffp)), dim=1)  # (B, width + c0, H/4, W/4)
        return self.classify(self.refine(x))  # (B, C, H/4, W/4)
