"""The image encoder (trunk and neck, paper III-B and III-C) with one set of adapters per modality."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sartm_core.model import trunks
from sartm_core.model.config import ModelConfig
from sartm_core.model.trunks.parts import SCALP, EncoderParts
from sartm_core.preprocess.config import STRIDE
from sartm_core.support.tables import entry


class ModalityEncoder(nn.Module):
    """The shared encoder; modalities differ only in their adapters (and in what `SARTM` feeds in)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        parts = build_encoder(config)
        self.trunk, self.neck, self.active = parts.trunk, parts.neck, parts.active
        self.width: int = parts.neck.d_model

    def recompute_activations(self) -> None:
        """From now on keep little in training and compute the rest again in the backward pass."""
        self.trunk.recompute_activations()

    def forward(self, images: Sequence[Tensor | None]) -> list[Tensor]:
        """One (B, 1 or 3, H, W) image batch per modality, None for a missing one -> features of strides 4, 8, 16.

        Every returned tensor is (M, B, width, h, w) with the M present modalities in order (Eq. 8: F0, F1, Fn).
        """
        return self.with_deepest(images)[0]

    def with_deepest(self, images: Sequence[Tensor | None]) -> tuple[list[Tensor], Tensor]:
        """The same, and the trunk's deepest stage, (M, B, C, H / 32, W / 32)."""
        present = [m for m, image in enumerate(images) if image is not None]
        batch = torch.cat([rgb_like(images[m]) for m in present])  # (M * B, 3, H, W)
        self.active.indices = tuple(present)
        stages = self.trunk(batch)  # strides 4, 8, 16, 32
        features, _ = self.neck(stages)
        by_modality = [f.unflatten(0, (len(present), -1)) for f in (*features[:-SCALP], stages[-1])]
        return by_modality[:-1], by_modality[-1]


def rgb_like(image: Tensor | None) -> Tensor:
    """(B, 1 or 3, H, W) -> (B, 3, H, W): the patch embedding was trained on three channels."""
    assert image is not None
    return image.expand(-1, 3, -1, -1)


def check_image(name: str, image: Tensor, channels: int) -> None:
    """Raise ValueError naming the argument unless `image` is (B, channels, H, W) float, H and W multiples of 32."""
    if image.ndim != 4 or image.shape[1] != channels or 0 in image.shape:
        raise ValueError(
            f"{name}: got shape {tuple(image.shape)}, expected (B, {channels}, H, W); see sartm_core.preprocess.prepare"
        )
    if not image.is_floating_point():
        raise ValueError(f"{name}: got {image.dtype}, expected a float tensor; see sartm_core.preprocess.prepare")
    height, width = image.shape[-2:]
    if height % STRIDE or width % STRIDE:
        up = [-(-n // STRIDE) * STRIDE for n in (height, width)]
        raise ValueError(
            f"{name}: got {height}x{width} pixels; height and width must be multiples of {STRIDE}: "
            f"resize or pad to {up[0]}x{up[1]}"
        )


def build_encoder(config: ModelConfig) -> EncoderParts:
    """Trunk, neck and adapters of `config.backbone`, with fresh weights."""
    family = next(start for start in trunks.FAMILIES if config.backbone.startswith(start))
    return entry(trunks.__name__, trunks.FAMILIES[family])(config)
