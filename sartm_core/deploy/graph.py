"""SARTM for inference, as every engine runs it: folded once, laid out once per input size.

    folded = FoldedSARTM(model)                     # new weights; the model is not needed any more
    layout = folded.layout((480, 640))              # constants of one size
    scores = folded(rgb, thermal, layout)           # (N, C, H / 4, W / 4), float32

`FixedGraph` is the same for one size, tensors in, tensor out: for compilers and exports.
"""

from __future__ import annotations

from copy import deepcopy
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sartm_core.batching import input_size
from sartm_core.deploy.decoder import Decoder
from sartm_core.deploy.folding import frozen
from sartm_core.deploy.fusion import FOLDED
from sartm_core.deploy.neck import Neck
from sartm_core.deploy.trunk import Modalities, Trunk
from sartm_core.deploy.windows import stage_orders
from sartm_core.model.config import MODALITIES
from sartm_core.model.sartm import SARTM
from sartm_core.preprocess import normalize_pixels

PATCH = 4
"""Pixels of the input per token of the first stage, in either direction."""
LAYOUTS_KEPT = 4
LEVELS = 3
"""Strides 4, 8 and 16 reach fusion and decoder."""


class Layout(nn.Module):
    """What depends on the input size alone."""

    def __init__(self, positions: Positions, size: tuple[int, int]) -> None:
        super().__init__()
        tokens = (size[0] // PATCH, size[1] // PATCH)
        self.orders = stage_orders(*tokens, positions.windows)
        self.sizes = [(tokens[0] >> level, tokens[1] >> level) for level in range(LEVELS)]
        raster = self.orders[0].raster
        self.raster = index(raster)
        self.position = frozen(positions.trunk(tokens)[:, raster])  # (1, T_0, C), in the order of the first stage
        self.sorts = nn.ParameterList(index(order.from_previous) for order in self.orders)
        self.is_sorted = [order.from_previous is None for order in self.orders]
        self.places = nn.ParameterList(index(order.place) for order in self.orders[:LEVELS])
        self.decoder_position = frozen(positions.decoder(self.sizes[-1]))  # (1, T_2, width)


class Positions:
    """Position encodings of trunk and decoder for any size. In fp32 on the CPU, whatever the network computes in."""

    def __init__(self, model: SARTM) -> None:
        trunk = model.encoder.trunk
        self.windows = tuple(trunk.window_spec)
        self._background = trunk.pos_embed.detach().float().cpu().clone()  # (1, C, h, w)
        self._window = trunk.pos_embed_window.detach().float().cpu().clone()  # (1, C, w_0, w_0)
        self._random = deepcopy(model.mask_decoder.pe_layer).float().cpu()

    @torch.no_grad()
    def trunk(self, size: tuple[int, int]) -> Tensor:
        """(1, T_0, C) for a (h, w) map, row by row; as Hiera's `_get_pos_embed`."""
        background = F.interpolate(self._background, size, mode="bicubic")  # (1, C, h, w)
        tiles = [n // m for n, m in zip(background.shape, self._window.shape, strict=True)]
        return (background + self._window.tile(tiles)).flatten(2).transpose(1, 2)

    @torch.no_grad()
    def decoder(self, size: tuple[int, int]) -> Tensor:
        """(1, T_2, width) for a (h, w) map, row by row."""
        return self._random(size).flatten(1).t()[None]


def index(places: np.ndarray | None) -> nn.Parameter:
    """Places to select from, empty for none."""
    return nn.Parameter(torch.from_numpy(np.zeros(0, np.int64) if places is None else places), requires_grad=False)


class FoldedSARTM(nn.Module):
    """The network of a trained model, in eval mode, without what inference does not need."""

    @torch.no_grad()
    def __init__(self, model: SARTM) -> None:
        super().__init__()
        self.preprocess = model.info.preprocess
        self.positions = Positions(model)
        self.late = model.config.fusion == "late"
        self.trunk = Trunk(model.encoder.trunk, len(MODALITIES))
        self.neck = Neck(model.encoder.neck, model.mask_decoder)
        self.decoder = Decoder(model.mask_decoder)
        self.fusion = nn.ModuleList(FOLDED[type(fuse)](fuse) for fuse in model.fusion)
        self.stand_in = nn.ParameterList(frozen(stand_in) for stand_in in model.stand_in)  # (M, C) each
        self.eval().requires_grad_(False)

    def layout(self, size: tuple[int, int]) -> Layout:
        """Constants for inputs of (H, W) = `size`, multiples of 32."""
        parameter = self.stand_in[0]
        return Layout(self.positions, size).to(parameter.device, parameter.dtype)

    def forward(
        self,
        rgb: Tensor | None,
        thermal: Tensor | None,
        layout: Layout,
        together: bool = False,
        present: Tensor | None = None,
    ) -> Tensor:
        """Inputs as of `batching.Inputs`, one may be None -> scores (N, C, H / 4, W / 4) float32.

        together: both modalities as one batch, else one after the other; same result.
        present: (2,) bool, False for a camera that is missing though an image of any content stands in its place.
        """
        if rgb is not None and rgb.dtype == torch.uint8:
            rgb = normalize_pixels(rgb, self.preprocess)  # (N, 3, H, W)
        dtype = self.stand_in[0].dtype
        images = {m: image.to(dtype) for m, image in enumerate((rgb, thermal)) if image is not None}
        if together and len(images) > 1:
            features = self.encode(
                torch.cat([self.trunk.embed(x, m) for m, x in images.items()]), layout, tuple(images)
            )
            levels = [list(feature.chunk(len(images))) for feature in features]  # 3 levels of M tokens (N, T, C)
        else:
            by_modality = [self.encode(self.trunk.embed(x, m), layout, (m,)) for m, x in images.items()]
            levels = [list(level) for level in zip(*by_modality, strict=True)]
        if self.late:
            decoded = torch.stack([self.decode([level[i] for level in levels], layout) for i in range(len(images))])
            if present is None:
                return decoded.mean(0)
            share = present.to(decoded.dtype) / present.sum()
            return (decoded * share.view(-1, 1, 1, 1, 1)).sum(0)
        fused = []
        for fuse, stand_in, level, size in zip(self.fusion, self.stand_in, levels, layout.sizes, strict=True):
            given = dict(zip(images, level, strict=True))
            sides = [given.get(m, stand_in[m].expand_as(level[0])) for m in range(len(MODALITIES))]  # (N, T, C) each
            if present is not None:
                sides = [torch.where(present[m], side, stand_in[m]) for m, side in enumerate(sides)]
            fused.append(fuse(*sides, size))
        return self.decode(fused, layout)

    def encode(self, tokens: Tensor, layout: Layout, modalities: Modalities) -> list[Tensor]:
        """(M * N, T_0, C) row by row -> F0, F1, Fn (M * N, T, C) row by row."""
        tokens = tokens.index_select(1, layout.raster) + layout.position
        sorts = [None if done else sort for done, sort in zip(layout.is_sorted, layout.sorts, strict=True)]
        features = self.neck(self.trunk(tokens, layout.orders, sorts, modalities))
        return [feature.index_select(1, place) for feature, place in zip(features, layout.places, strict=True)]

    def decode(self, fused: list[Tensor], layout: Layout) -> Tensor:
        return self.decoder(*fused, layout.decoder_position, layout.sizes[-1])


class Layouts:
    """The layouts of the sizes that were used last."""

    def __init__(self, folded: FoldedSARTM) -> None:
        self._layout = lru_cache(LAYOUTS_KEPT)(folded.layout)

    def of(self, rgb: Tensor | None, thermal: Tensor | None) -> Layout:
        """For these inputs."""
        return self._layout(input_size(rgb, thermal))


class FixedGraph(nn.Module):
    """`FoldedSARTM` for one input size, tensors in, tensor out: what is compiled and exported."""

    def __init__(self, folded: FoldedSARTM, size: tuple[int, int], pixels: bool = False) -> None:
        super().__init__()
        self.folded, self.layout = folded, folded.layout(size)
        self.size, self.pixels = size, pixels
        self.eval()

    def forward(self, rgb: Tensor, thermal: Tensor, present: Tensor) -> Tensor:
        """rgb (N, 3, H, W) float32, or (N, H, W, 3) uint8 with `pixels`; thermal (N, 1, H, W) float32; present (2,)
        bool -> (N, C, H / 4, W / 4) float32."""
        return self.folded(rgb, thermal, self.layout, together=True, present=present)

    def example(self) -> tuple[Tensor, Tensor, Tensor]:
        """Inputs to trace it with."""
        rgb = torch.zeros(1, *self.size, 3, dtype=torch.uint8) if self.pixels else torch.zeros(1, 3, *self.size)
        return rgb, torch.zeros(1, 1, *self.size), torch.ones(len(MODALITIES), dtype=torch.bool)
