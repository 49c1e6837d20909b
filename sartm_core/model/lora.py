"""Modality-specific low-rank adapters of Hiera's fused qkv projection (paper III-B, Eq. 6-7).

    Q'm = Q + Bq_m Aq_m x        V'm = V + Bv_m Av_m x        m in {rgb, thermal}

The frozen projection is one `Linear(dim, 3 * dim_out)` with rows ordered q, k, v. It is sliced by **dim_out**, which
differs from dim in the three blocks between stages. B starts at zero, so a fresh adapter changes nothing.

Both modalities arrive as one batch, modality-major: first all rgb windows, then all thermal ones. For inference the
update is folded into one (M, 3 * dim_out, dim) weight and applied by one batched matmul, at no extra FLOPs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Q, V = 0, 1


class ActiveModalities:
    """Which modalities the current batch holds, in order: one object shared by all adapters of an encoder."""

    def __init__(self, count: int) -> None:
        self.indices: tuple[int, ...] = tuple(range(count))


class LoRAQKV(nn.Linear):
    """A qkv `Linear` with one adapter per modality; `weight` and `bias` keep the names of the official files."""

    folded_weight: Tensor | None

    def __init__(self, base: nn.Linear, modalities: int, rank: int, active: ActiveModalities) -> None:
        super().__init__(base.in_features, base.out_features, device="meta")
        self.weight, self.bias = base.weight, base.bias
        self.dim_out, self.rank, self.active = base.out_features // 3, rank, active
        self.lora_a = nn.Parameter(torch.empty(modalities, 2, rank, base.in_features))  # (M, q|v, r, dim)
        self.lora_b = nn.Parameter(torch.zeros(modalities, 2, self.dim_out, rank))  # (M, q|v, dim_out, r)
        for a in self.lora_a.data.flatten(0, 1):
            nn.init.kaiming_uniform_(a, a=math.sqrt(5))
        self.register_buffer("folded_weight", None, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(M * N, h, w, dim) -> (M * N, h, w, 3 * dim_out), N windows of each active modality."""
        modalities = self.active.indices
        tokens = x.reshape(len(modalities), -1, self.in_features)  # (M, T, dim)
        if self.folded_weight is not None:
            weight = self.folded_weight[list(modalities)].transpose(1, 2)  # (M, dim, 3 * dim_out)
            return torch.baddbmm(self.bias.to(weight.dtype), tokens, weight).view(*x.shape[:-1], self.out_features)
        qkv = F.linear(tokens, self.weight, self.bias)  # (M, T, 3 * dim_out)
        down = self.lora_a[list(modalities)].flatten(1, 2)  # (M, 2r, dim)
        low = tokens @ down.transpose(1, 2).to(tokens.dtype)  # (M, T, 2r)
        up = self._up(modalities).to(qkv.dtype)  # (M, 2r, 3 * dim_out)
        return torch.baddbmm(qkv, low.to(qkv.dtype), up).view(*x.shape[:-1], self.out_features)

    def _up(self, modalities: tuple[int, ...]) -> Tensor:
        """B of q and of v side by side, nothing for k: [[Bq^T, 0, 0], [0, 0, Bv^T]], (M, 2r, 3 * dim_out)."""
        b = self.lora_b[list(modalities)].transpose(2, 3)  # (M, q|v, r, dim_out)
        zero = torch.zeros_like(b[:, 0])
        rows = (torch.cat((b[:, Q], zero, zero), dim=2), torch.cat((zero, zero, b[:, V]), dim=2))
        return torch.cat(rows, dim=1)

    @torch.no_grad()
    def folded(self) -> Tensor:
        """The weights of all modalities with their adapters baked in, (M, 3 * dim_out, dim)."""
        delta = self.lora_b @ self.lora_a  # (M, q|v, dim_out, dim)
        folded = self.weight.expand(len(delta), -1, -1).clone()  # (M, 3 * dim_out, dim)
        folded[:, : self.dim_out] += delta[:, Q]
        folded[:, 2 * self.dim_out :] += delta[:, V]
        return folded

    def fold(self) -> None:
        """Keep `folded()` and use it from now on. Call again after the weights change."""
        self.folded_weight = self.folded()

    def unfold(self) -> None:
        """Back to base and adapters apart, as trained."""
        self.folded_weight = None


def add_lora(trunk: nn.Module, modalities: int, rank: int) -> ActiveModalities:
    """Give every block's `attn.qkv` its adapters, in place; rank 0 leaves the trunk as it is."""
    active = ActiveModalities(modalities)
    if rank > 0:
        for block in trunk.blocks:
            block.attn.qkv = LoRAQKV(block.attn.qkv, modalities, rank, active)
    return active


def lora_layers(module: nn.Module) -> Iterator[LoRAQKV]:
    """All adapters below `module`."""
    return (m for m in module.modules() if isinstance(m, LoRAQKV))
