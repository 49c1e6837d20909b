"""Path two: auxiliary segmentation heads on the fused features (paper III-D, Eq. 10, Table VIII).

They guide training; inference runs them where `ModelConfig.heads` is `both`. A new head is one class, one line in
`AUX_HEADS` and its name in the config. Every head is made with the channels of strides 4, 8, 16 and the class count,
and turns F~0 (B, c0, H/4, W/4), F~1 (B, c1, H/8, W/8) and F~n (B, width, H/16, W/16) into logits (B, C, H/4, W/4).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ASPP_RATES = (6, 12, 18)
"""Dilations of DeepLab for features of stride 16."""


class FpnHead(nn.Module):
    """S~1 = conv3x3(up(up(F~n) + p1(F~1)) + p0(F~0)), with registered 1x1 projections to the width of F~n."""

    def __init__(self, channels: tuple[int, int, int], num_classes: int) -> None:
        super().__init__()
        c0, c1, width = channels
        self.project0 = nn.Conv2d(c0, width, 1)
        self.project1 = nn.Conv2d(c1, width, 1)
        self.classify = nn.Conv2d(width, num_classes, 3, padding=1)

    def forward(self, ffp: Tensor, ifp: Tensor, sfm: Tensor) -> Tensor:
        x = upsample(sfm, ifp) + self.project1(ifp)  # (B, width, H/8, W/8)
        x = upsample(x, ffp) + self.project0(ffp)  # (B, width, H/4, W/4)
        return self.classify(x)  # (B, C, H/4, W/4)


class DeepLabHead(nn.Module):
    """DeepLabV3+ (arXiv 1802.02611): dilated convolutions and image pooling on F~n, refined with F~0; F~1 is not used.

    The pyramid is torchvision's with two changes. Image pooling leaves one value per channel, which batch
    normalisation cannot train on with one image a process, so that branch has a group norm. The dropout is left out:
    this head is thrown away after training, and random masks would make data parallel runs differ from single ones.
    """

    def __init__(self, channels: tuple[int, int, int], num_classes: int) -> None:
        super().__init__()
        from torchvision.models.segmentation.deeplabv3 import ASPP  # a second to import, for this head only

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


def conv_norm_relu(channels_in: int, channels_out: int, kernel: int) -> nn.Sequential:
    """Convolution that keeps height and width, batch normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
    )


def upsample(x: Tensor, like: Tensor) -> Tensor:
    """Bilinear, to the height and width of `like`."""
    return F.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=False)


AUX_HEADS: dict[str, type[nn.Module] | None] = {
    "fpn": FpnHead,
    "deeplab": DeepLabHead,
    "segformer": SegformerHead,
    "none": None,
}


def build_aux_head(kind: str, channels: tuple[int, int, int], num_classes: int) -> nn.Module | None:
    """The head named in the config, or None; channels are those of strides 4, 8, 16."""
    head = AUX_HEADS[kind]
    return None if head is None else head(channels, num_classes)
