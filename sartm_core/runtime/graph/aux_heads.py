"""Auxiliary heads (`sartm_core.model.aux_heads`) for inference, where `ModelConfig.heads` is `both`."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sartm_core.model.aux_heads.fpn import FpnHead
from sartm_core.model.aux_heads.parts import upsample
from sartm_core.runtime.graph.decoder import as_map
from sartm_core.runtime.graph.folding import chain, frozen, linear, pointwise

Sizes = Sequence[tuple[int, int]]


class AsTrained(nn.Module):
    """Any head, as it is."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = deepcopy(head)

    def forward(self, fused: Sequence[Tensor], sizes: Sizes) -> Tensor:
        """F~0, F~1, F~n (N, T, C) of maps of `sizes` -> (N, C, H / 4, W / 4) float32."""
        return self.head(*(as_map(x, size) for x, size in zip(fused, sizes, strict=True))).float()


class FoldedFpn(nn.Module):
    """`FpnHead`. Its 3x3 convolution is nine products by pixel whose results move by a pixel each and are summed:
    first up and down, then left and right (a fifth of the time of both at once on a CPU).

    Products by pixel come before the upsampling just as well, and join those that each level has already. So what is
    brought to stride 4 has nine channels per class instead of `width`.
    """

    def __init__(self, head: FpnHead) -> None:
        super().__init__()
        classes, width, *taps = head.classify.weight.shape
        mix = head.classify.weight.permute(0, 2, 3, 1).reshape(-1, width)  # (C * 9, width)
        behind = mix, torch.zeros_like(mix[:, 0])
        self.ffp = linear(*chain(pointwise(head.project0), behind))
        self.ifp = linear(*chain(pointwise(head.project1), behind))
        self.sfm = linear(*behind)
        own, row, column = torch.eye(classes), torch.eye(taps[0]), torch.eye(taps[1])
        down = torch.einsum("cd,ri,kj->ckdrji", own, row, column)  # a tap of class d goes by its row, keeps its column
        across = torch.einsum("cd,kj->cdkj", own, column)
        self.down = frozen(down.reshape(classes * taps[1], -1, taps[0], 1))  # (3 C, 9 C, 3, 1)
        self.across = frozen(across.reshape(classes, -1, 1, taps[1]))  # (C, 3 C, 1, 3)
        self.padding, self.bias = head.classify.padding, frozen(head.classify.bias)

    def forward(self, fused: Sequence[Tensor], sizes: Sizes) -> Tensor:
        """F~0, F~1, F~n (N, T, C) of maps of `sizes` -> (N, C, H / 4, W / 4) float32."""
        layers = (self.ffp, self.ifp, self.sfm)
        ffp, ifp, sfm = (as_map(f(x), size) for f, x, size in zip(layers, fused, sizes, strict=True))  # (N, 9 C, h, w)
        taps = upsample(upsample(sfm, ifp) + ifp, ffp) + ffp  # (N, 9 C, H / 4, W / 4)
        vertical, horizontal = self.padding
        moved = F.conv2d(taps, self.down, padding=(vertical, 0))  # (N, 3 C, H / 4, W / 4)
        return F.conv2d(moved, self.across, self.bias, padding=(0, horizontal)).float()


def fold_aux_head(head: nn.Module) -> nn.Module:
    """What does the head's work at inference."""
    if isinstance(head, FpnHead) and 9 * head.classify.out_channels < head.classify.in_channels:
        return FoldedFpn(head)
    return AsTrained(head)
