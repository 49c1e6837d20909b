"""SARTM for inference, as every engine runs it: folded once, laid out once per input size.

    folded = FoldedSARTM(model)                     # new weights; the model is not needed any more
    layout = folded.layout((480, 640))              # constants of one size
    scores = folded(rgb, thermal, layout)           # (N, C, H / 4, W / 4), float32

`FixedGraph` is the same for one size, tensors in, tensor out: for compilers and exports.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor, nn

from sartm_core.model.confidence import cameras_given
from sartm_core.model.config import MODALITIES
from sartm_core.model.sartm import SARTM
from sartm_core.preprocess.normalise import normalize_pixels
from sartm_core.runtime.batching import SCORE_STRIDE, input_size
from sartm_core.runtime.graph.aux_heads import fold_aux_head
from sartm_core.runtime.graph.decoder import Decoder, Position
from sartm_core.runtime.graph.folding import frozen
from sartm_core.runtime.graph.fusion import FOLDED
from sartm_core.runtime.graph.neck import Neck
from sartm_core.runtime.graph.trunks import fold_trunk
from sartm_core.runtime.graph.trunks.parts import Modalities

STRIDES = (SCORE_STRIDE, 8, 16)
"""Of the levels that reach fusion and decoder."""
LAYOUTS_KEPT = 4


class Layout(nn.Module):
    """What depends on the input size alone."""

    def __init__(self, folded: FoldedSARTM, size: tuple[int, int]) -> None:
        super().__init__()
        self.sizes = [(size[0] // stride, size[1] // stride) for stride in STRIDES]
        self.trunk = folded.trunk.layout(size)
        self.decoder_position = frozen(folded.position(self.sizes[-1]))  # (1, T_2, width)


class FoldedSARTM(nn.Module):
    """The network of a trained model, in eval mode, without what inference does not need."""

    @torch.no_grad()
    def __init__(self, model: SARTM) -> None:
        super().__init__()
        self.preprocess = model.info.preprocess
        self.late = model.config.fusion == "late"
        self.trunk = fold_trunk(model.encoder)
        self.neck = Neck(model.encoder.neck, model.mask_decoder)
        self.decoder, self.position = Decoder(model.mask_decoder), Position(model.mask_decoder)
        both, aux_head = model.config.heads == "both", model.aux_head
        self.aux_head = fold_aux_head(aux_head) if both and aux_head is not None else None
        self.fusion = nn.ModuleList(FOLDED[type(fuse)](fuse) for fuse in model.fusion)
        self.stand_in = nn.ParameterList(frozen(stand_in) for stand_in in model.stand_in)  # (M, C) each
        confidence = model.info.confidence
        self.calibrated = not confidence.is_plain
        self.sharpness = frozen(1 / torch.tensor(confidence.temperature))  # (3,) 1 / T by `CAMERAS`
        biases = torch.tensor(confidence.biases(model.config.num_classes))  # (3, C)
        self.bias = frozen(biases[..., None, None])  # (3, C, 1, 1)
        self.eval().requires_grad_(False)

    def layout(self, size: tuple[int, int]) -> Layout:
        """Constants for inputs of (H, W) = `size`, multiples of 32."""
        parameter = self.stand_in[0]
        return Layout(self, size).to(parameter.device, parameter.dtype)

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
        scores = self.plain_scores(rgb, thermal, layout, together, present)
        if not self.calibrated:
            return scores
        if present is None:
            given = cameras_given(rgb is not None, thermal is not None)
            return scores * self.sharpness[given] + self.bias[given]
        return scores * of_present(self.sharpness, present) + of_present(self.bias, present)

    def plain_scores(
        self, rgb: Tensor | None, thermal: Tensor | None, layout: Layout, together: bool, present: Tensor | None
    ) -> Tensor:
        """The same, not calibrated."""
        if rgb is not None and rgb.dtype == torch.uint8:
            rgb = normalize_pixels(rgb, self.preprocess)  # (N, 3, H, W)
        dtype = self.stand_in[0].dtype
        images = {m: image.to(dtype) for m, image in enumerate((rgb, thermal)) if image is not None}
        batches = [tuple(images)] if together and self.trunk.joins else [(m,) for m in images]
        encoded = [self.encode([images[m] for m in batch], batch, layout) for batch in batches]
        levels = [[side for level in one for side in level] for one in zip(*encoded, strict=True)]  # 3 of M (N, T, C)
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

    def encode(self, images: list[Tensor], modalities: Modalities, layout: Layout) -> list[Sequence[Tensor]]:
        """(N, 3 or 1, H, W) of these modalities -> F0, F1, Fn of each, (N, T, C) row by row."""
        features = self.neck(self.trunk(images, modalities, layout.trunk), layout.trunk)
        return [layout.trunk.rows(feature, i).chunk(len(images)) for i, feature in enumerate(features)]

    def decode(self, fused: list[Tensor], layout: Layout) -> Tensor:
        """F~0, F~1, F~n (N, T, C) -> scores (N, C, H / 4, W / 4)."""
        scores = self.decoder(*fused, layout.decoder_position, layout.sizes[-1])
        return scores if self.aux_head is None else (scores + self.aux_head(fused, layout.sizes)) / 2


def of_present(values: Tensor, present: Tensor) -> Tensor:
    """The one of three values, by `CAMERAS`, for the cameras (2,) bool that are there."""
    rgb, thermal = present[0], present[1]
    return torch.where(rgb & thermal, values[0], torch.where(rgb, values[1], values[2]))


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
