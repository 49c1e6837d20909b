"""SAM2's neck on sorted tokens, joined with the two 1x1 convolutions that follow it at strides 4 and 8."""

from __future__ import annotations

from collections.abc import Sequence

from sam2.modeling.backbones.image_encoder import FpnNeck
from torch import Tensor, nn

from sartm_core.deploy.folding import chain, linear, pointwise
from sartm_core.deploy.windows import CELL
from sartm_core.model.mask_decoder import ClasswiseMaskDecoder


class Neck(nn.Module):
    """Only stride 16 receives from the level below, so at strides 4 and 8 two linear layers follow each other."""

    def __init__(self, neck: FpnNeck, decoder: ClasswiseMaskDecoder) -> None:
        super().__init__()
        if (sorted(neck.fpn_top_down_levels), neck.fuse_type, neck.fpn_interp_model) != ([2, 3], "sum", "nearest"):
            raise ValueError(
                f"neck: top-down levels {neck.fpn_top_down_levels}, {neck.fuse_type}, {neck.fpn_interp_model}; "
                "inference knows [2, 3], sum, nearest"
            )
        deepest, middle, second, first = (pointwise(level.conv) for level in neck.convs)
        self.ffp = linear(*chain(first, pointwise(decoder.sam.conv_s0)))
        self.ifp = linear(*chain(second, pointwise(decoder.sam.conv_s1)))
        self.lateral, self.below = linear(*middle), linear(*deepest)

    def forward(self, stages: Sequence[Tensor]) -> list[Tensor]:
        """(B, T_s, C_s) of four stages -> F0 (B, T_0, width / 8), F1 (B, T_1, width / 4), Fn (B, T_2, width)."""
        x0, x1, x2, x3 = stages
        below = self.below(x3).repeat_interleave(CELL, dim=1)  # (B, T_2, width)
        return [self.ffp(x0), self.ifp(x1), self.lateral(x2) + below]
