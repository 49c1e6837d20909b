"""Auxiliary heads (`sartm_core.model.aux_heads`) for inference, where `ModelConfig.heads` is `both`."""

from __future__ import annotations

from copy import deepcopy

from torch import Tensor, nn

from sartm_core.deploy.decoder import as_map


class AsTrained(nn.Module):
    """Any head, as it is."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = deepcopy(head)

    def forward(self, fused: list[Tensor], sizes: list[tuple[int, int]]) -> Tensor:
        """F~0, F~1, F~n (N, T, C) of maps of `sizes` -> (N, C, H / 4, W / 4) float32."""
        return self.head(*(as_map(x, size) for x, size in zip(fused, sizes, strict=True))).float()


def fold_aux_head(head: nn.Module) -> nn.Module:
    return AsTrained(head)
