"""Path two: auxiliary segmentation heads on the fused features (paper III-D, Eq. 10, Table VIII).

They guide training; inference does not run them. A new head is one class, one line in `AUX_HEADS` and its name in
the config.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class FpnHead(nn.Module):
    """S~1 = conv3x3(up(up(F~n) + p1(F~1)) + p0(F~0)), with registered 1x1 projections to the width of F~n."""

    def __init__(self, channels: tuple[int, int, int], num_classes: int) -> None:
        super().__init__()
        c0, c1, width = channels
        self.project0 = nn.Conv2d(c0, width, 1)
        self.project1 = nn.Conv2d(c1, width, 1)
        self.classify = nn.Conv2d(width, num_classes, 3, padding=1)

    def forward(self, ffp: Tensor, ifp: Tensor, sfm: Tensor) -> Tensor:
        """F~0 (B, c0, H/4, W/4), F~1 (B, c1, H/8, W/8), F~n (B, width, H/16, W/16) -> logits (B, C, H/4, W/4)."""
        x = upsample(sfm, ifp) + self.project1(ifp)  # (B, width, H/8, W/8)
        x = upsample(x, ffp) + self.project0(ffp)  # (B, width, H/4, W/4)
        return self.classify(x)  # (B, C, H/4, W/4)


def upsample(x: Tensor, like: Tensor) -> Tensor:
    """Bilinear, to the height and width of `like`."""
    return F.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=False)


AUX_HEADS: dict[str, type[nn.Module] | None] = {"fpn": FpnHead, "none": None}


def build_aux_head(kind: str, channels: tuple[int, int, int], num_classes: int) -> nn.Module | None:
    """The head named in the config, or None; channels are those of strides 4, 8, 16."""
    head = AUX_HEADS[kind]
    return None if head is None else head(channels, num_classes)
