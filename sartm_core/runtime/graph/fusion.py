"""FRM and FFM (`sartm_core.model.fusion`) on tokens in row order, with every norm and constant folded."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sartm_core.model.fusion import LAMBDA_CHANNEL, LAMBDA_SPATIAL, FeatureFuse, FeatureRectify, FrmFfm, Mean
from sartm_core.runtime.graph.folding import before_batch_norm, behind_norm, frozen, linear, pointwise, scaled


class Pair(nn.Module):
    """A linear layer of cat(a, b), without making the cat."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        of_a, of_b = weight.chunk(2, dim=1)
        self.of_a, self.of_b = linear(of_a, bias), frozen(of_b)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.of_a(a) + F.linear(b, self.of_b)


class Rectify(nn.Module):
    """FRM."""

    def __init__(self, module: FeatureRectify) -> None:
        super().__init__()
        self.channel = deepcopy(module.channel_mlp)
        first, _, second, _ = module.spatial_mlp
        self.first, self.second = Pair(*pointwise(first)), linear(*pointwise(second))

    def forward(self, rgb: Tensor, thermal: Tensor) -> tuple[Tensor, Tensor]:
        """Two (N, T, C) -> two (N, T, C)."""
        pooled = torch.cat((rgb.mean(1), thermal.mean(1), rgb.amax(1), thermal.amax(1)), dim=1)  # (N, 4C)
        wc_rgb, wc_t = (LAMBDA_CHANNEL * self.channel(pooled))[:, None].chunk(2, dim=2)  # (N, 1, C) each
        spatial = LAMBDA_SPATIAL * self.second(self.first(rgb, thermal).relu()).sigmoid()  # (N, T, 2)
        ws_rgb, ws_t = spatial.chunk(2, dim=2)  # (N, T, 1) each
        return rgb + thermal * (wc_t + ws_t), thermal + rgb * (wc_rgb + ws_rgb)


class Fuse(nn.Module):
    """FFM."""

    def __init__(self, module: FeatureFuse, scale: Tensor) -> None:
        """`scale` (C,): what its output is multiplied by."""
        super().__init__()
        self.heads = module.heads
        halves = [layer.weight.chunk(2) + layer.bias.chunk(2) for layer in module.split]
        self.local = nn.ModuleList(linear(weight, bias) for weight, _, bias, _ in halves)
        self.shared = nn.ModuleList(linear(weight, bias) for _, weight, _, bias in halves)
        spread = (module.residual.out_channels // module.heads) ** -0.5
        halves = [layer.weight.chunk(2) for layer in module.key_value]
        self.key = nn.ParameterList(frozen(key * spread) for key, _ in halves)
        self.value = nn.ParameterList(frozen(value) for _, value in halves)
        halves = [(*layer.weight.chunk(2, dim=1), layer.bias) for layer in module.project]
        self.of_local = nn.ModuleList(linear(weight, bias) for weight, _, bias in halves)
        self.of_attended = nn.ParameterList(frozen(weight.t()) for _, weight, _ in halves)  # (C, C), rows by head
        self.eps = module.norm[0].eps
        first, depthwise, _, last, norm = module.embed
        merged = self._merging(*pointwise(module.residual), module)
        self.residual = Pair(*scaled(*before_batch_norm(*merged, module.out_norm), scale))
        self.first = Pair(*self._merging(*pointwise(first), module))
        self.depthwise = deepcopy(depthwise)
        out = module.out_norm
        weight, bias = before_batch_norm(*pointwise(last), norm)
        weight, bias = before_batch_norm(weight, bias + out.running_mean, out)
        self.last = linear(*scaled(weight, bias - out.bias, scale))  # the residual brings mean and bias of `out`

    @staticmethod
    def _merging(weight: Tensor, bias: Tensor, module: FeatureFuse) -> tuple[Tensor, Tensor]:
        """A layer of both sides' tokens with the layer norms before it."""
        of_a, of_b = weight.chunk(2, dim=1)
        of_a, bias = behind_norm(of_a, bias, module.norm[0])
        of_b, bias = behind_norm(of_b, bias, module.norm[1])
        return torch.cat((of_a, of_b), dim=1), bias

    def forward(self, rgb: Tensor, thermal: Tensor, size: tuple[int, int]) -> Tensor:
        """Two (N, T, C) of a map of `size` -> one (N, T, C)."""
        x = (rgb, thermal)
        shared = [self.shared[i](x[i]).relu() for i in range(2)]  # (N, T, C) each
        context = [self.context(shared[i], i) for i in range(2)]  # (N, nH, d, d) each
        tokens = []
        for i in range(2):
            local = self.local[i](x[i]).relu()  # (N, T, C)
            attend = self.attend(context[1 - i], i)  # (N, C, C), from the *other* side
            tokens.append(
                F.layer_norm(x[i] + self.of_local[i](local) + shared[i] @ attend, x[i].shape[-1:], eps=self.eps)
            )
        maps = self.first(*tokens).transpose(1, 2).unflatten(2, size)  # (N, C, h, w), channels last in memory
        maps = self.depthwise(maps).relu().flatten(2).transpose(1, 2)  # (N, T, C)
        return self.residual(*tokens) + self.last(maps)

    def context(self, shared: Tensor, side: int) -> Tensor:
        """(N, T, C) -> softmax(k^T v / sqrt(d)) over the key channel, (N, nH, d, d)."""
        key, value = F.linear(shared, self.key[side]), F.linear(shared, self.value[side])  # (N, T, C)
        key, value = (x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in (key, value))  # (N, nH, T, d)
        if shared.dtype == torch.float16:
            key, value = key.float(), value.float()  # such sums leave the range of fp16
        return (key.transpose(-2, -1) @ value).float().softmax(dim=-2).to(shared.dtype)

    def attend(self, context: Tensor, side: int) -> Tensor:
        """Contexts of the heads, (N, nH, d, d), with the projection behind them: (N, C, C)."""
        weight = self.of_attended[side].unflatten(0, (self.heads, -1))  # (nH, d, C)
        return (context @ weight).flatten(1, 2)


class FoldedFrmFfm(nn.Module):
    """The average, and what FRM and FFM add to it."""

    def __init__(self, module: FrmFfm) -> None:
        super().__init__()
        self.rectify, self.fuse = Rectify(module.rectify), Fuse(module.fuse, module.scale)

    def forward(self, rgb: Tensor, thermal: Tensor, size: tuple[int, int]) -> Tensor:
        return (rgb + thermal) / 2 + self.fuse(*self.rectify(rgb, thermal), size)


class FoldedMean(nn.Module):
    """The plain average."""

    def __init__(self, module: Mean) -> None:
        super().__init__()

    def forward(self, rgb: Tensor, thermal: Tensor, size: tuple[int, int]) -> Tensor:
        return (rgb + thermal) / 2


FOLDED: dict[type[nn.Module], type[nn.Module]] = {FrmFfm: FoldedFrmFfm, Mean: FoldedMean}
"""Fusion modules of `sartm_core.model.fusion` -> what does their work at inference."""
