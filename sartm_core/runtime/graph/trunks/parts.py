"""What a folded trunk is to the rest of the inference graph, whatever family it is of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor, nn

Modalities = tuple[int, ...]
"""Whose tokens a batch holds, in order: (0,), (1,) or (0, 1)."""


class TrunkLayout(Protocol):
    """What a trunk needs to know of one input size; a module. Only the family knows in which order its tokens lie."""

    def from_below(self, x: Tensor, stage: int) -> Tensor:
        """Tokens (B, T_s+1, C) of the stage after `stage`, upsampled to its own: (B, T_s, C), nearest."""

    def rows(self, x: Tensor, stage: int) -> Tensor:
        """Tokens (B, T_s, C) of a stage in the family's order -> row by row."""


class FoldedTrunk(Protocol):
    """A module, made of the trunk of a trained model."""

    joins: bool
    """Whether several modalities can be one batch; else each goes through by itself."""

    def __init__(self, trunk: nn.Module, modalities: int) -> None: ...

    def layout(self, size: tuple[int, int]) -> nn.Module:
        """A `TrunkLayout` for inputs of (H, W) = `size`, multiples of 32."""

    def __call__(self, images: Sequence[Tensor], modalities: Modalities, layout: nn.Module) -> list[Tensor]:
        """Images (N, 3 or 1, H, W) of these modalities -> stages of stride 4, 8, 16, 32, (M * N, T_s, C_s) each."""
