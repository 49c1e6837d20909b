"""SAM2's neck, joined with the two 1x1 convolutions that follow it at strides 4 and 8.

All of it is linear, layer by layer and upsampling by repeating: W up(x) = up(W x). So what a stage adds to a level is
one product to the width that the level has in the end, an eighth of the neck's at stride 4. A stage that adds to
several levels does their products as one.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from sam2.modeling.backbones.image_encoder import FpnNeck
from torch import Tensor, nn

from sartm_core.model.mask_decoder import ClasswiseMaskDecoder
from sartm_core.runtime.graph.folding import chain, linear, pointwise
from sartm_core.runtime.graph.trunks.parts import TrunkLayout


class Neck(nn.Module):
    """Four stages in, three levels out."""

    def __init__(self, neck: FpnNeck, decoder: ClasswiseMaskDecoder) -> None:
        super().__init__()
        if (neck.fuse_type, neck.fpn_interp_model) != ("sum", "nearest"):
            raise ValueError(f"neck: {neck.fuse_type}, {neck.fpn_interp_model}; inference knows sum, nearest")
        behind = (pointwise(decoder.sam.conv_s0), pointwise(decoder.sam.conv_s1), None)  # of the three levels
        self.stages = nn.ModuleList()
        self.own: list[int] = []  # how many of a stage's channels are those of its level; the rest is passed up
        for stage, conv in enumerate(reversed(neck.convs)):  # stride 4 first
            lateral = pointwise(conv.conv)
            parts = []
            for level in reversed(range(min(stage + 1, len(behind)))):
                if all(between in neck.fpn_top_down_levels for between in range(level, stage)):
                    last = behind[level]
                    parts.append(lateral if last is None else chain(lateral, last, with_bias=level == stage))
            self.stages.append(linear(*(torch.cat(tensors) for tensors in zip(*parts, strict=True))))
            self.own.append(len(parts[0][1]) if stage < len(behind) else 0)

    def forward(self, stages: Sequence[Tensor], layout: TrunkLayout) -> list[Tensor]:
        """(B, T_s, C_s) of four stages -> F0 (B, T_0, width / 8), F1 (B, T_1, width / 4), Fn (B, T_2, width)."""
        levels: list[Tensor] = []
        passed: Tensor | None = None
        for stage in reversed(range(len(stages))):
            x = self.stages[stage](stages[stage])
            x = x if passed is None else x + layout.from_below(passed, stage)
            own = self.own[stage]
            if own:
                levels.insert(0, x if own == x.shape[-1] else x[..., :own])
            passed = None if own == x.shape[-1] else x[..., own:]
        return levels
