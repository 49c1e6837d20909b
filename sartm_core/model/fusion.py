"""Cross-modal fusion of one feature level (paper III-A and III-E; FRM and FFM of CMX, arXiv 2203.04838).

FRM rectifies each modality with the other, by channel and by place. FFM exchanges global context between them with
linear attention (cost grows linearly with pixels), then merges both into one map.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

LAMBDA_CHANNEL = LAMBDA_SPATIAL = 0.5
CMX_STD = 0.02
START_SCALE = 0.05
"""What FFM adds at the start, whose maps have unit variance, as part of that."""


class FeatureRectify(nn.Module):
    """FRM: x_rgb' = x_rgb + .5 wc_t x_t + .5 ws_t x_t, and the same the other way round."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channel_mlp = nn.Sequential(
            nn.Linear(4 * channels, 4 * channels), nn.ReLU(), nn.Linear(4 * channels, 2 * channels), nn.Sigmoid()
        )
        self.spatial_mlp = nn.Sequential(
            nn.Conv2d(2 * channels, channels, 1), nn.ReLU(), nn.Conv2d(channels, 2, 1), nn.Sigmoid()
        )

    def forward(self, rgb: Tensor, thermal: Tensor) -> tuple[Tensor, Tensor]:
        """Two maps (B, C, h, w) -> two maps of the same shape."""
        both = torch.cat((rgb, thermal), dim=1)  # (B, 2C, h, w)
        pooled = torch.cat((both.mean((2, 3)), both.amax((2, 3))), dim=1)  # (B, 4C)
        wc_rgb, wc_t = self.channel_mlp(pooled)[..., None, None].chunk(2, dim=1)  # (B, C, 1, 1) each
        ws_rgb, ws_t = self.spatial_mlp(both).chunk(2, dim=1)  # (B, 1, h, w) each
        rgb_out = rgb + LAMBDA_CHANNEL * wc_t * thermal + LAMBDA_SPATIAL * ws_t * thermal
        thermal_out = thermal + LAMBDA_CHANNEL * wc_rgb * rgb + LAMBDA_SPATIAL * ws_rgb * rgb
        return rgb_out, thermal_out


class FeatureFuse(nn.Module):
    """FFM: cross-attend globally with linear attention, then merge by a residual convolution block."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.split = nn.ModuleList(nn.Linear(channels, 2 * channels) for _ in range(2))
        self.key_value = nn.ModuleList(nn.Linear(channels, 2 * channels, bias=False) for _ in range(2))
        self.project = nn.ModuleList(nn.Linear(2 * channels, channels) for _ in range(2))
        self.norm = nn.ModuleList(nn.LayerNorm(channels) for _ in range(2))
        self.residual = nn.Conv2d(2 * channels, channels, 1, bias=False)
        self.embed = nn.Sequential(
            nn.Conv2d(2 * channels, channels, 1),
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 1),
            nn.BatchNorm2d(channels),
        )
        self.out_norm = nn.BatchNorm2d(channels)

    def forward(self, rgb: Tensor, thermal: Tensor) -> Tensor:
        """Two maps (B, C, h, w) -> one fused map (B, C, h, w)."""
        height, width = rgb.shape[-2:]
        x = [m.flatten(2).transpose(1, 2) for m in (rgb, thermal)]  # (B, T, C) each, T = h * w
        local, shared = zip(*(self.split[i](x[i]).relu().chunk(2, dim=-1) for i in range(2)), strict=True)  # (B, T, C)
        context = [self.context(self.key_value[i](shared[i])) for i in range(2)]  # (B, nH, d, d) each
        tokens = []
        for i in range(2):
            attended = self.attend(shared[i], context[1 - i])  # the *other* side's context, (B, T, C)
            tokens.append(self.norm[i](x[i] + self.project[i](torch.cat((local[i], attended), dim=-1))))
        merged = torch.cat(tokens, dim=-1).transpose(1, 2).unflatten(2, (height, width))  # (B, 2C, h, w)
        return self.out_norm(self.residual(merged) + self.embed(merged))

    def context(self, key_value: Tensor) -> Tensor:
        """(B, T, 2C) -> softmax(k^T v / sqrt(d)) over the key channel, (B, nH, d, d).

        Sums over all pixels leave the range of fp16, so this product is always taken in fp32.
        """
        with torch.autocast(key_value.device.type, enabled=False):
            key, value = key_value.float().unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (B, nH, T, d)
            product = key.transpose(-2, -1) @ value * key.shape[-1] ** -0.5  # (B, nH, d, d)
            return product.softmax(dim=-2)

    def attend(self, x: Tensor, context: Tensor) -> Tensor:
        """(B, T, C) by (B, nH, d, d) -> (B, T, C)."""
        queries = x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, nH, T, d)
        return (queries @ context.to(x.dtype)).transpose(1, 2).flatten(2)  # (B, T, C)


class FrmFfm(nn.Module):
    """F~ = (rgb + thermal) / 2 + scale * FFM(FRM(rgb, thermal)): starts close to the average, which a pretrained
    decoder knows, and learns what to add."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.rectify = FeatureRectify(channels)
        self.fuse = FeatureFuse(channels, heads)
        self.scale = nn.Parameter(torch.full((channels,), START_SCALE))
        self.apply(init_as_cmx)

    def forward(self, rgb: Tensor, thermal: Tensor) -> Tensor:
        """Two maps (B, C, h, w) -> one."""
        return (rgb + thermal) / 2 + self.scale.view(1, -1, 1, 1) * self.fuse(*self.rectify(rgb, thermal))


def init_as_cmx(module: nn.Module) -> None:
    """CMX's start. With torch's own, the softmax over sums of all pixels saturates, and `key_value` learns nothing."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=CMX_STD)
    elif isinstance(module, nn.Conv2d):
        fan_out = module.out_channels * math.prod(module.kernel_size) // module.groups
        nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
    if isinstance(module, nn.Linear | nn.Conv2d) and module.bias is not None:
        nn.init.zeros_(module.bias)


class Mean(nn.Module):
    """The paper's F^i: the plain average, for ablation."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()

    def forward(self, rgb: Tensor, thermal: Tensor) -> Tensor:
        return (rgb + thermal) / 2


FUSION_LEVELS = {"frm_ffm": FrmFfm, "mean": Mean, "late": Mean}
"""`late` decodes each modality by itself; the average is then only what the distillation losses see."""
HEADS = (1, 2, 4)
"""Attention heads at strides 4, 8 and 16."""


def build_fusion(kind: str, channels: tuple[int, int, int]) -> nn.ModuleList:
    """One fusion module per level, for strides 4, 8, 16."""
    return nn.ModuleList(FUSION_LEVELS[kind](c, h) for c, h in zip(channels, HEADS, strict=True))
