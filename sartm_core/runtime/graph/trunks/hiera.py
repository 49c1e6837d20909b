"""Hiera for inference: same result, less work.

Tokens stay sorted by window from block to block (`windows.py`), and what is linear behind linear is folded: the
adapters and the scale of the attention into q, k, v; gain and offset of the layer norms into what follows; the bias of
k falls out of the softmax, that of v moves behind it.

The modalities go through as one batch, with one batched product for q, k, v on a GPU, or one after the other (torch on
a CPU: half the activations fit the cache). Compiled graphs have one batch: they then arrange each shared weight once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from sam2.modeling.backbones.hieradet import Hiera, MultiScaleBlock
from torch import Tensor, nn
from torch.nn import functional as F

from sartm_core.model.lora import LoRAQKV
from sartm_core.runtime.graph.folding import behind_norm, frozen, linear
from sartm_core.runtime.graph.trunks.parts import Modalities
from sartm_core.runtime.graph.trunks.windows import CELL, Group, stage_orders

PATCH = 4
"""Pixels of the input per token of the first stage, in either direction."""


class HieraLayout(nn.Module):
    """The order of the tokens at each stage, and the position embedding in that order."""

    def __init__(self, positions: Positions, windows: Sequence[int], size: tuple[int, int]) -> None:
        super().__init__()
        tokens = (size[0] // PATCH, size[1] // PATCH)
        self.orders = stage_orders(*tokens, windows)
        raster = self.orders[0].raster
        self.raster = index(raster)
        self.position = frozen(positions(tokens)[:, raster])  # (1, T_0, C), in the order of the first stage
        self.sorts = nn.ParameterList(index(order.from_previous) for order in self.orders)
        self.is_sorted = [order.from_previous is None for order in self.orders]
        self.places = nn.ParameterList(index(order.place) for order in self.orders)

    def from_below(self, x: Tensor, stage: int) -> Tensor:
        """(B, T / 4, C) -> (B, T, C): the tokens of a cell lie side by side."""
        if not self.is_sorted[stage + 1]:
            raise ValueError(f"neck: stage {stage} receives from the next, whose tokens lie in another order")
        return x.repeat_interleave(CELL, dim=1)

    def rows(self, x: Tensor, stage: int) -> Tensor:
        """(B, T, C) -> row by row."""
        return x.index_select(1, self.places[stage])


class Positions:
    """The position embedding for any size. In fp32 on the CPU, whatever the network computes in."""

    def __init__(self, trunk: Hiera) -> None:
        self._background = trunk.pos_embed.detach().float().cpu().clone()  # (1, C, h, w)
        self._window = trunk.pos_embed_window.detach().float().cpu().clone()  # (1, C, w_0, w_0)

    @torch.no_grad()
    def __call__(self, size: tuple[int, int]) -> Tensor:
        """(1, T_0, C) for a (h, w) map, row by row; as Hiera's `_get_pos_embed`."""
        background = F.interpolate(self._background, size, mode="bicubic")  # (1, C, h, w)
        tiles = [n // m for n, m in zip(background.shape, self._window.shape, strict=True)]
        return (background + self._window.tile(tiles)).flatten(2).transpose(1, 2)


def index(places: np.ndarray | None) -> nn.Parameter:
    """Places to select from, empty for none."""
    return nn.Parameter(torch.from_numpy(np.zeros(0, np.int64) if places is None else places), requires_grad=False)


class Attention(nn.Module):
    """Attention of one block, within windows or over all tokens; q, k, v per modality."""

    qkv: Tensor
    bias: Tensor

    def __init__(self, block: MultiScaleBlock, modalities: int) -> None:
        super().__init__()
        attn = block.attn
        self.heads, self.pools, self.windowed = attn.num_heads, block.q_stride is not None, block.window_size > 0
        is_adapted = isinstance(attn.qkv, LoRAQKV)
        weights = (
            attn.qkv.folded() if is_adapted else attn.qkv.weight.expand(modalities, -1, -1)
        )  # (M, 3 * dim_out, dim)
        bias_q, _, bias_v = attn.qkv.bias.chunk(3)
        scale = (block.dim_out // self.heads) ** -0.5
        folded = []
        for weight in weights:
            q, k, v = weight.chunk(3)
            none = torch.zeros_like(bias_q)
            folded += [behind_norm(q * scale, bias_q * scale, block.norm1)]
            folded += [behind_norm(w, none, block.norm1) for w in (k, v)]
        shape = (len(weights), 3, block.dim_out)
        self.qkv = frozen(torch.stack([w for w, _ in folded]).view(*shape, -1))  # (M, 3, dim_out, dim)
        self.bias = frozen(torch.stack([b for _, b in folded]).view(shape))  # (M, 3, dim_out)
        self.proj = linear(attn.proj.weight, attn.proj.bias + attn.proj.weight @ bias_v)

    def forward(self, x: Tensor, groups: Sequence[Group], modalities: Modalities) -> Tensor:
        """(M * N, T, dim) normalised -> (M * N, T or T / 4, dim_out)."""
        q, k, v = self.project(x, modalities)  # (M * N, T, dim_out) each
        if self.pools:
            q = pool(q)  # (M * N, T / 4, dim_out)
        if not self.windowed:
            return self.proj(self.attend(q, k, v, Group(1, x.shape[1], 0)))
        if len(groups) == 1:
            return self.proj(self.attend(q, k, v, groups[0]))
        keys = [group.total for group in groups]
        queries = [total // CELL for total in keys] if self.pools else keys
        parts = zip(q.split(queries, 1), k.split(keys, 1), v.split(keys, 1), groups, strict=True)
        return self.proj(torch.cat([self.attend(*part) for part in parts], dim=1))

    def project(self, x: Tensor, modalities: Modalities) -> Sequence[Tensor]:
        """(M * N, T, dim) -> q, k, v (M * N, T, dim_out)."""
        if len(modalities) == 1:
            weight, bias = self.qkv[modalities[0]], self.bias[modalities[0]]
            return [F.linear(x, weight[i], bias[i]) for i in range(3)]
        return self.batched(x) if x.is_cuda else self.apart(x, modalities)

    def apart(self, x: Tensor, modalities: Modalities) -> Sequence[Tensor]:
        """`project`, one product after the other: OpenVINO does batched ones without the CPU's matrix units."""
        parts = list(zip(x.chunk(len(modalities)), modalities, strict=True))  # (N, T, dim) each
        return [torch.cat([F.linear(part, self.qkv[m, i], self.bias[m, i]) for part, m in parts]) for i in range(3)]

    def batched(self, x: Tensor) -> Sequence[Tensor]:
        """`project` as one batched product of all modalities."""
        tokens = x.reshape(len(self.qkv), -1, x.shape[-1])  # (M, N * T, dim)
        weight = self.qkv.flatten(1, 2).transpose(1, 2)  # (M, dim, 3 * dim_out)
        qkv = torch.baddbmm(self.bias.flatten(1)[:, None], tokens, weight)  # (M, N * T, 3 * dim_out)
        return qkv.view(*x.shape[:2], -1).chunk(3, dim=-1)

    def attend(self, q: Tensor, k: Tensor, v: Tensor, group: Group) -> Tensor:
        """Windows of one shape: (B, windows * t, dim_out) -> the shape of q."""
        q, k, v = (self.split(x, group.windows) for x in (q, k, v))  # (B * windows, nH, t, d) each
        if group.padding:
            k, v = (F.pad(x, (0, 0, 0, group.padding)) for x in (k, v))  # (B * windows, nH, w * w, d)
        out = F.scaled_dot_product_attention(q, k, v, scale=1.0)  # (B * windows, nH, t, d)
        return out.transpose(1, 2).reshape(-1, q.shape[2] * group.windows, q.shape[1] * q.shape[3])

    def split(self, x: Tensor, windows: int) -> Tensor:
        """(B, windows * t, dim_out) -> (B * windows, nH, t, d)."""
        return x.reshape(x.shape[0] * windows, x.shape[1] // windows, self.heads, -1).transpose(1, 2)


class Block(nn.Module):
    """One Hiera block on sorted tokens."""

    def __init__(self, block: MultiScaleBlock, modalities: int) -> None:
        super().__init__()
        self.attention = Attention(block, modalities)
        self.eps = block.norm1.eps
        self.shortcut: nn.Linear | None = None
        if block.dim != block.dim_out:
            self.shortcut = linear(*behind_norm(block.proj.weight, block.proj.bias, block.norm1))
        up, down = block.mlp.layers
        self.up = linear(*behind_norm(up.weight, up.bias, block.norm2))
        self.down = linear(down.weight, down.bias)

    def forward(self, x: Tensor, groups: Sequence[Group], modalities: Modalities) -> Tensor:
        """(B, T, dim) -> (B, T or T / 4, dim_out)."""
        normed = self.norm(x)
        shortcut = x if self.shortcut is None else self.shortcut(normed)  # (B, T, dim_out)
        if self.attention.pools:
            shortcut = pool(shortcut)  # (B, T / 4, dim_out)
        x = shortcut + self.attention(normed, groups, modalities)
        return x + self.down(F.gelu(self.up(self.norm(x))))

    def norm(self, x: Tensor) -> Tensor:
        """Its gain and offset are in the layers behind."""
        return F.layer_norm(x, x.shape[-1:], None, None, self.eps)


def pool(x: Tensor) -> Tensor:
    """(B, T, C) -> (B, T / 4, C), the largest of each 2x2 cell."""
    return x.unflatten(1, (-1, CELL)).amax(2)


class FoldedHiera(nn.Module):
    """Patches, then the blocks of all stages."""

    joins = True

    def __init__(self, trunk: Hiera, modalities: int) -> None:
        super().__init__()
        conv = trunk.patch_embed.proj
        self.stride, self.padding = conv.stride, conv.padding
        rgb = conv.weight
        self.patches = nn.ParameterList(  # thermal is one channel thrice: their sum does the same
            frozen(weight) for weight in (rgb, rgb.sum(1, keepdim=True))
        )
        self.patch_bias = frozen(conv.bias)
        self.blocks = nn.ModuleList(Block(block, modalities) for block in trunk.blocks)
        self.ends, self.windows = tuple(trunk.stage_ends), tuple(trunk.window_spec)
        self.positions = Positions(trunk)

    def layout(self, size: tuple[int, int]) -> HieraLayout:
        """For inputs of (H, W) = `size`."""
        return HieraLayout(self.positions, self.windows, size)

    def forward(self, images: Sequence[Tensor], modalities: Modalities, layout: HieraLayout) -> list[Tensor]:
        """(N, 3 or 1, H, W) of each modality -> tokens at the end of each stage, (M * N, T_s, C_s), by window."""
        tokens = [self.embed(image, m) for image, m in zip(images, modalities, strict=True)]
        x = (torch.cat(tokens) if len(tokens) > 1 else tokens[0]).index_select(1, layout.raster) + layout.position
        outputs, stage = [], 0
        for i, block in enumerate(self.blocks):
            x = block(x, layout.orders[stage].groups, modalities)
            if block.attention.pools:  # it attends in the windows of the stage before its own
                stage += 1
                x = x if layout.is_sorted[stage] else x.index_select(1, layout.sorts[stage])
            if i in self.ends:
                outputs.append(x)
        return outputs

    def embed(self, image: Tensor, modality: int) -> Tensor:
        """(N, 3 or 1, H, W) -> tokens (N, T, C), row by row."""
        maps = F.conv2d(image, self.patches[modality], self.patch_bias, self.stride, self.padding)  # (N, C, H/4, W/4)
        return maps.flatten(2).transpose(1, 2)
