"""What every family of trunks hands to the encoder."""

from __future__ import annotations

from dataclasses import dataclass

from sam2.modeling.backbones.image_encoder import FpnNeck
from torch import Tensor, nn

from sartm_core.model.lora import ActiveModalities

SCALP = 1
"""Deepest levels of the neck that nobody reads: stride 32 only adds to those above it."""


class NoPosition(nn.Module):
    """Stands in for the neck's sine position encoding, which only SAM2's video memory reads."""

    def forward(self, x: Tensor) -> Tensor:
        return x.new_empty(0)


@dataclass
class EncoderParts:
    """A trunk with its adapters, and the neck on top of it."""

    trunk: nn.Module
    """(M * B, 3, H, W), modality-major -> four maps (M * B, C_s, H / s, W / s), s = 4, 8, 16, 32.

    Besides: `recompute_activations()`, for training in less memory; `recomputed`, the methods (owner, name) that then
    run once more in the backward pass; `forget()` what a forward pass left for the next."""
    neck: FpnNeck
    """SAM2's; four maps -> four of one width."""
    active: ActiveModalities
    """Which modalities the trunk's batch holds."""


def make_neck(channels: list[int], width: int, top_down_levels: list[int]) -> FpnNeck:
    """SAM2's neck for maps of `channels`, stride 4 first; `top_down_levels` count strides in the same order."""
    return FpnNeck(
        position_encoding=NoPosition(), d_model=width, backbone_channel_list=channels[::-1],
        fpn_top_down_levels=top_down_levels, fpn_interp_model="nearest",
    )  # fmt: skip
