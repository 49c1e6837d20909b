"""Modality-specific low-rank adapters of Hiera's fused qkv projection (paper III-B, Eq. 6-7).

    Q'm = Q + Bq_m Aq_m x        V'm = V + Bv_m Av_m x        m in {rgb, thermal}

The frozen projection is one `Linear(dim, 3 * dim_out)` with rows ordered q, k, v. It is sliced by **dim_out**, which
differs from dim in the three blocks between stages. B starts at zero, so a fresh adapter changes nothing. Adapters
trained elsewhere may change k as well (`parts` of `qkv`).

Both modalities arrive as one batch, modality-major: first all rgb windows, then all thermal ones. For inference the
update is folded into one (M, 3 * dim_out, dim) weight and applied by one batched matmul, at no extra FLOPs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

Q, V = 0, 1
"""Places in the adapters of `qv`."""
PARTS = {"qv": (0, 2), "qkv": (0, 1, 2)}
"""What is adapted -> which thirds of the rows that is, in order of the adapters."""


class ActiveModalities:
    """Which modalities the current batch holds, in order: one object shared by all adapters of an encoder."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.indices: tuple[int, ...] = tuple(range(count))

    @property
    def only(self) -> int:
        """The one modality of the current batch."""
        (modality,) = self.indices
        return modality

    @contextmanager
    def just(self, modality: int) -> Iterator[None]:
        """Only this one, for a while."""
        before, self.indices = self.indices, (modality,)
        try:
            yield
        finally:
            self.indices = before


class LoRAQKV(nn.Linear):
    """A qkv `Linear` with one adapter per modality; `weight` and `bias` keep the names of the official files."""

    folded_weight: Tensor | None

    def __init__(
        self, base: nn.Linear, modalities: int, rank: int, active: ActiveModalities, parts: str = "qv"
    ) -> None:
        super().__init__(base.in_features, base.out_features, device="meta")
        self.weight, self.bias = base.weight, base.bias
        self.dim_out, self.rank, self.active = base.out_features // 3, rank, active
        self.parts = PARTS[parts]
        count = len(self.parts)  # P
        self.lora_a = nn.Parameter(torch.empty(modalities, count, rank, base.in_features))  # (M, P, r, dim)
        self.lora_b = nn.Parameter(torch.zeros(modalities, count, self.dim_out, rank))  # (M, P, dim_out, r)
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
        down = self.lora_a[list(modalities)].flatten(1, 2)  # (M, P * r, dim)
        low = tokens @ down.transpose(1, 2).to(tokens.dtype)  # (M, T, P * r)
        up = self._up(modalities).to(qkv.dtype)  # (M, P * r, 3 * dim_out)
        return torch.baddbmm(qkv, low.to(qkv.dtype), up).view(*x.shape[:-1], self.out_features)

    def _up(self, modalities: tuple[int, ...]) -> Tensor:
        """Every B in its own third, for q and v [[Bq^T, 0, 0], [0, 0, Bv^T]], (M, P * r, 3 * dim_out)."""
        b = self.lora_b[list(modalities)].transpose(2, 3)  # (M, P, r, dim_out)
        zero = torch.zeros_like(b[:, 0])
        rows = [
            torch.cat([b[:, i] if part == third else zero for third in range(3)], dim=2)
            for i, part in enumerate(self.parts)
        ]
        return torch.cat(rows, dim=1)

    @torch.no_grad()
    def folded(self) -> Tensor:
        """The weights of all modalities with their adapters baked in, (M, 3 * dim_out, dim)."""
        delta = self.lora_b @ self.lora_a  # (M, P, dim_out, dim)
        folded = self.weight.expand(len(delta), -1, -1).clone()  # (M, 3 * dim_out, dim)
        for i, part in enumerate(self.parts):
            folded[:, part * self.dim_out : (part + 1) * self.dim_out] += delta[:, i]
        return folded

    def fold(self) -> None:
        """Keep `folded()` and use it from now on. Call again after the weights change."""
        self.folded_weight = self.folded()

    def unfold(self) -> None:
        """Back to base and adapters apart, as trained."""
        self.folded_weight = None


class LowRankUpdate(nn.Module):
    """W_m = W + B_m A_m for a layer of any kind whose batch holds one modality at a time.

    A parametrization of the layer's weight (`torch.nn.utils.parametrize`): whoever reads the weight gets W_m.
    """

    folded_weight: Tensor | None

    def __init__(self, weight: Tensor, rank: int, active: ActiveModalities) -> None:
        """`weight` (out, in), or (out, in, 1, 1) of a convolution."""
        super().__init__()
        self.active = active
        self.lora_a = nn.Parameter(torch.empty(active.count, rank, weight.shape[1]))  # (M, r, in)
        self.lora_b = nn.Parameter(torch.zeros(active.count, weight.shape[0], rank))  # (M, out, r)
        for a in self.lora_a.data:
            nn.init.kaiming_uniform_(a, a=math.sqrt(5))
        self.register_buffer("folded_weight", None, persistent=False)

    def forward(self, weight: Tensor) -> Tensor:
        """W -> W_m of the modality that is active, the same shape."""
        m = self.active.only
        if self.folded_weight is not None:
            return self.folded_weight[m]
        return weight + (self.lora_b[m] @ self.lora_a[m]).view_as(weight)

    @torch.no_grad()
    def folded(self, weight: Tensor) -> Tensor:
        """W_m of all modalities, (M, *W.shape)."""
        return weight + (self.lora_b @ self.lora_a).view(self.active.count, *weight.shape)


class ParametrizedFold:
    """`fold` and `unfold` of a layer whose weight has a `LowRankUpdate`."""

    def __init__(self, parametrizations: parametrize.ParametrizationList) -> None:
        self.weight, self.update = parametrizations.original, parametrizations[0]

    def fold(self) -> None:
        self.update.folded_weight = self.update.folded(self.weight)

    def unfold(self) -> None:
        self.update.folded_weight = None


def add_lora(trunk: nn.Module, modalities: int, rank: int, parts: str = "qv") -> ActiveModalities:
    """Give every block's `attn.qkv` its adapters, in place; rank 0 leaves the trunk as it is."""
    active = ActiveModalities(modalities)
    if rank > 0:
        for block in trunk.blocks:
            block.attn.qkv = LoRAQKV(block.attn.qkv, modalities, rank, active, parts)
    return active


def lora_layers(module: nn.Module) -> Iterator[LoRAQKV | ParametrizedFold]:
    """All adapters below `module`, to fold and unfold."""
    for m in module.modules():
        if isinstance(m, LoRAQKV):
            yield m
        elif isinstance(m, parametrize.ParametrizationList) and isinstance(m[0], LowRankUpdate):
            yield ParametrizedFold(m)
