"""SARTM for inference, as every engine runs it: folded once, laid out once per input size.

    folded = FoldedSARTM(model)                     # new weights; the model is not needed any more
    layout = folded.layout((480, 640))              # constants of one size
    scores = folded(rgb, thermal, layout)           # (N, C, H / 4, W / 4)

`FixedGraph` is the same for one size and one set of cameras, tensors in, tensor out: for compilers and exports.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sartm_core.config import MODALITIES
from sartm_core.deploy.decoder import Decoder
from sartm_core.deploy.folding import frozen
from sartm_core.deploy.fusion import FOLDED
from sartm_core.deploy.neck import Neck
from sartm_core.deploy.trunk import Modalities, Trunk
from sartm_core.deploy.windows import stage_orders
from sartm_core.model.sartm import SARTM

PATCH = 4
"""Pixels of the input per token of the first stage, in either direction."""
LEVELS = 3
"""Strides 4, 8 and 16 reach fusion and decoder."""


class Layout(nn.Module):
    """What depends on the input size alone."""

    def __init__(self, size: tuple[int, int], windows: tuple[int, ...], position: Tensor, decoder_position: Tensor) -> None:
        super().__init__()
        tokens = (size[0] // PATCH, size[1] // PATCH)
        self.orders = stage_orders(*tokens, windows)
        self.sizes = [(tokens[0] >> level, tokens[1] >> level) for level in range(LEVELS)]
        raster = torch.from_numpy(self.orders[0].raster)
        self.raster = nn.Parameter(raster, requires_grad=False)
        self.position = frozen(position[:, raster])  # (1, T_0, C), in the order of the first stage
        self.sorts = nn.ParameterList()
        for order in self.orders:
            index = torch.empty(0, dtype=torch.long) if order.from_previous is None else torch.from_numpy(order.from_previous)
            self.sorts.append(nn.Parameter(index, requires_grad=False))
        self.places = nn.ParameterList(
            nn.Parameter(torch.from_numpy(order.place), requires_grad=False) for order in self.orders[:LEVELS]
        )
        self.decoder_position = frozen(decoder_position)  # (1, T_2, width)


class FoldedSARTM(nn.Module):
    """The network of a trained model, in eval mode, without what inference does not need."""

    @torch.no_grad()
    def __init__(self, model: SARTM) -> None:
        super().__init__()
        trunk = model.encoder.trunk
        self.windows = tuple(trunk.window_spec)
        self.late = model.config.fusion == "late"
        self.trunk = Trunk(trunk, len(MODALITIES))
        self.neck = Neck(model.encoder.neck, model.mask_decoder)
        self.decoder = Decoder(model.mask_decoder)
        self.fusion = nn.ModuleList(FOLDED[type(fuse)](fuse) for fuse in model.fusion)
        self.stand_in = nn.ParameterList(frozen(stand_in) for stand_in in model.stand_in)  # (M, C) each
        self.pos_embed, self.pos_embed_window = frozen(trunk.pos_embed), frozen(trunk.pos_embed_window)
        self.eval().requires_grad_(False)

    @torch.no_grad()
    def layout(self, size: tuple[int, int]) -> Layout:
        """Constants for inputs of (H, W) = `size`, multiples of 32."""
        tokens = (size[0] // PATCH, size[1] // PATCH)
        stretched = F.interpolate(self.pos_embed.float(), tokens, mode="bicubic")  # (1, C, H/4, W/4)
        tiles = [n // m for n, m in zip(stretched.shape, self.pos_embed_window.shape, strict=True)]
        position = (stretched + self.pos_embed_window.float().tile(tiles)).flatten(2).transpose(1, 2)  # (1, T_0, C)
        stride_16 = (tokens[0] // 4, tokens[1] // 4)
        layout = Layout(size, self.windows, position, self.decoder.positions(stride_16))
        parameter = self.stand_in[0]
        return layout.to(parameter.device, parameter.dtype)

    def forward(self, rgb: Tensor | None, thermal: Tensor | None, layout: Layout, together: bool = False) -> Tensor:
        """(N, 3, H, W), (N, 1, H, W), one may be None -> scores (N, C, H / 4, W / 4) float32.

        together: both modalities as one batch, else one after the other; same result.
        """
        images = {m: image for m, image in enumerate((rgb, thermal)) if image is not None}
        if together and len(images) > 1:
            features = self.encode(torch.cat([self.trunk.embed(x, m) for m, x in images.items()]), layout, tuple(images))
            levels = [list(feature.chunk(len(images))) for feature in features]  # 3 levels of M tokens (N, T, C)
        else:
            by_modality = [self.encode(self.trunk.embed(x, m), layout, (m,)) for m, x in images.items()]
            levels = [list(level) for level in zip(*by_modality, strict=True)]
        if self.late:
            return torch.stack([self.decode([level[i] for level in levels], layout) for i in range(len(images))]).mean(0)
        fused = []
        for fuse, stand_in, level, size in zip(self.fusion, self.stand_in, levels, layout.sizes, strict=True):
            present = dict(zip(images, level, strict=True))
            sides = [present.get(m, stand_in[m].expand_as(level[0])) for m in range(len(MODALITIES))]
            fused.append(fuse(*sides, size))
        return self.decode(fused, layout)

    def encode(self, tokens: Tensor, layout: Layout, modalities: Modalities) -> list[Tensor]:
        """(M * N, T_0, C) row by row -> F0, F1, Fn (M * N, T, C) row by row."""
        tokens = tokens.index_select(1, layout.raster) + layout.position
        sorts = [sort if len(sort) else None for sort in layout.sorts]
        features = self.neck(self.trunk(tokens, layout.orders, sorts, modalities))
        return [feature.index_select(1, place) for feature, place in zip(features, layout.places, strict=True)]

    def decode(self, fused: list[Tensor], layout: Layout) -> Tensor:
        return self.decoder(*fused, layout.decoder_position, layout.sizes[-1])


class FixedGraph(nn.Module):
    """`FoldedSARTM` for one input size and one set of cameras."""

    def __init__(self, folded: FoldedSARTM, layout: Layout, present: Modalities, together: bool = False) -> None:
        super().__init__()
        self.folded, self.layout, self.present, self.together = folded, layout, present, together

    def forward(self, *images: Tensor) -> Tensor:
        """One (N, 3 or 1, H, W) for each camera present -> (N, C, H / 4, W / 4) float32."""
        given = dict(zip(self.present, images, strict=True))
        dtype = self.layout.position.dtype
        rgb, thermal = (None if m not in given else given[m].to(dtype) for m in range(len(MODALITIES)))
        return self.folded(rgb, thermal, self.layout, self.together)
