"""The feature pyramid of the paper (III-D, Eq. 10)."""

from __future__ import annotations

from torch import Tensor, nn

from sartm_core.model.aux_heads.parts import upsample


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
