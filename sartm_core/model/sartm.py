"""SARTM: SAM2's encoder with an adapter per modality, fusion at three scales, a class-wise mask decoder.

rgb, thermal -> encoder -> F0, F1, Fn of each -> fusion -> F~0, F~1, F~n -> mask decoder -> S~0  (path one)
                                                                         -> auxiliary head -> S~1 (path two)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sartm_core.model import hub
from sartm_core.model.aux_heads import build_aux_head
from sartm_core.model.config import MODALITIES, ModelConfig
from sartm_core.model.encoder import ModalityEncoder, check_image
from sartm_core.model.fusion import build_fusion
from sartm_core.model.info import ModelInfo
from sartm_core.model.load_report import LoadReport
from sartm_core.model.lora import lora_layers
from sartm_core.model.mask_decoder import ClasswiseMaskDecoder

__all__ = ["SARTM", "ModelInfo", "SARTMOutput", "upsample"]

CHANNELS = (3, 1)
"""Channels of an rgb and of a thermal input."""
STAND_IN_STD = 0.02


@dataclass(frozen=True)
class SARTMOutput:
    """What one forward pass gives; see `SARTM.forward`."""

    logits: Tensor
    """S~0 (B, C, H, W)."""
    aux_logits: Tensor | None
    """S~1 (B, C, H, W), None without auxiliary head or in eval mode."""
    fused: Tensor
    """F~n (B, width, H/16, W/16), what the distillation losses see."""
    deepest: Tensor | None = None
    """Last stage of the trunk, (M, B, C, H/32, W/32) of the M present modalities; None in eval mode."""


class SARTM(nn.Module):
    """The whole network. `info` holds what belongs to the weights but not to the network's shape."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.info = ModelInfo()
        self.encoder = ModalityEncoder(config)
        width = self.encoder.width
        channels = (width // 8, width // 4, width)  # of strides 4, 8, 16
        self.fusion = build_fusion(config.fusion, channels)
        self.mask_decoder = ClasswiseMaskDecoder(
            width, config.num_classes, config.train_decoder_transformer, config.object_gate
        )
        self.aux_head = build_aux_head(config.aux_head, channels, config.num_classes)
        self.stand_in = nn.ParameterList(
            torch.randn(len(MODALITIES), c) * STAND_IN_STD for c in channels
        )  # (M, C) each
        self.drawn = self.mask_decoder.classes()

    @property
    def untrained(self) -> bool:
        """Whether the classes are still as they were drawn, here or before the file was written that they came from."""
        return all(map(torch.equal, self.drawn, self.mask_decoder.classes()))

    def forward(
        self,
        rgb: Tensor | None,
        thermal: Tensor | None,
        keep: Tensor | None = None,
        size: tuple[int, int] | None = None,
    ) -> SARTMOutput:
        """Segment a batch.

        Args:
            rgb: (B, 3, H, W) float, ImageNet-normalised, or None when that camera is missing.
            thermal: (B, 1, H, W) float, about 0..1, or None. Not both None; one size; H and W multiples of 32.
            keep: (B, 2) bool, False where a sample is to be treated as if it lacked rgb (column 0) or thermal (1); at
                least one per row stays True.
            size: height and width of the logits; default H, W.

        Raises:
            ValueError: naming the argument, what was found and what was expected.
        """
        self._check(rgb, thermal, keep)
        image = rgb if rgb is not None else thermal
        assert image is not None
        size = size or (image.shape[-2], image.shape[-1])
        levels, deepest = self._encode(rgb, thermal, keep)  # 3 levels of M maps (B, C, h, w)
        fused = [fuse(*maps) for fuse, maps in zip(self.fusion, levels, strict=True)]  # F~0, F~1, F~n
        low = self._late(levels, rgb, thermal, keep) if self.config.fusion == "late" else self.mask_decoder(*fused)
        both = self.config.heads == "both" and not self.training
        aux = self.aux_head(*fused) if self.aux_head is not None and (self.training or both) else None
        if aux is not None and both:
            low, aux = (low + aux) / 2, None
        return SARTMOutput(upsample(low, size), None if aux is None else upsample(aux, size), fused[-1], deepest)

    def _encode(
        self, rgb: Tensor | None, thermal: Tensor | None, keep: Tensor | None
    ) -> tuple[list[list[Tensor]], Tensor | None]:
        """Features of both modalities at strides 4, 8, 16; a missing modality is its learnt stand-in. In training also
        the trunk's last stage."""
        present = [m for m, image in enumerate((rgb, thermal)) if image is not None]
        (f0, f1, fn), deepest = self.encoder.with_deepest((rgb, thermal))  # (M', B, width, h, w)
        f0, f1 = (f.unflatten(0, fn.shape[:2]) for f in self.mask_decoder.high_res(f0.flatten(0, 1), f1.flatten(0, 1)))
        levels = []
        for stand_in, feature in zip(self.stand_in, (f0, f1, fn), strict=True):
            maps = [
                stand_in[m].view(1, -1, 1, 1).to(feature.dtype).expand_as(feature[0]) for m in range(len(MODALITIES))
            ]
            for i, m in enumerate(present):
                maps[m] = feature[i] if keep is None else torch.where(keep[:, m, None, None, None], feature[i], maps[m])
            levels.append(maps)
        return levels, deepest if self.training else None

    def _late(
        self, levels: list[list[Tensor]], rgb: Tensor | None, thermal: Tensor | None, keep: Tensor | None
    ) -> Tensor:
        """Late fusion: decode each present modality from its own features, average the logits (B, C, H/4, W/4)."""
        batch = levels[0][0].shape[0]
        weight = torch.tensor([[rgb is not None, thermal is not None]], device=levels[0][0].device).expand(batch, -1)
        if keep is not None:
            weight = weight & keep
        share = weight / weight.sum(1, keepdim=True)  # (B, M)
        present = [m for m, image in enumerate((rgb, thermal)) if image is not None]
        decoded = (self.mask_decoder(*(maps[m] for maps in levels)) * share[:, m].view(-1, 1, 1, 1) for m in present)
        return torch.stack(list(decoded)).sum(0)

    def _check(self, rgb: Tensor | None, thermal: Tensor | None, keep: Tensor | None) -> None:
        images = (rgb, thermal)
        if all(image is None for image in images):
            raise ValueError("rgb, thermal: both are None; give at least one of the two")
        for name, image, channels in zip(MODALITIES, images, CHANNELS, strict=True):
            if image is not None:
                check_image(name, image, channels)
        if (
            rgb is not None
            and thermal is not None
            and (rgb.shape[0], *rgb.shape[2:]) != (thermal.shape[0], *thermal.shape[2:])
        ):
            raise ValueError(
                f"thermal: got shape {tuple(thermal.shape)} beside rgb {tuple(rgb.shape)}; "
                "batch, height and width must be equal: "
                "resize thermal to the rgb input"
            )
        if keep is not None:
            batch = next(image.shape[0] for image in images if image is not None)
            if keep.dtype != torch.bool or tuple(keep.shape) != (batch, len(MODALITIES)):
                raise ValueError(
                    f"keep: got shape {tuple(keep.shape)} {keep.dtype}, expected ({batch}, {len(MODALITIES)}) bool"
                )

    def fold(self) -> SARTM:
        """Fold the adapters for inference: same output up to float rounding, no extra FLOPs. Undone by `unfold`."""
        for layer in lora_layers(self.encoder):
            layer.fold()
        return self

    def unfold(self) -> SARTM:
        """Back to separate adapters, as trained."""
        for layer in lora_layers(self.encoder):
            layer.unfold()
        return self

    def trainable_names(self) -> list[str]:
        """Names of the parameters that train."""
        return [name for name, parameter in self.named_parameters() if parameter.requires_grad]

    def load_sam2(self, path: str | Path) -> LoadReport:
        """Take the pretrained weights of an official SAM2 file; see `sartm_core.model.checkpoint.load_sam2`."""
        from sartm_core.model.checkpoint import load_sam2

        return load_sam2(self, path)

    def save(self, path: str | Path, kind: str = "auto", dtype: torch.dtype | None = None) -> Path:
        """Write `path` (.safetensors) with all metadata; see `sartm_core.model.checkpoint.save`."""
        from sartm_core.model.checkpoint import save

        return save(self, path, kind, dtype)

    @classmethod
    def load(cls, path: str | Path, sam2: str | Path | None = None) -> SARTM:
        """Read what `save` wrote; adapter files also need `sam2`, the file they were trained on."""
        from sartm_core.model.checkpoint import load

        return load(path, sam2)

    @classmethod
    def from_pretrained(cls, repository: str | Path, sam2: str | Path | None = None) -> SARTM:
        """Weights of the Hugging Face Hub, `owner/name` or `owner/name@revision`, or a folder of `sartm push --output`;
        see `sartm_core.model.hub.find`."""
        return cls.load(hub.find(repository), sam2)


def upsample(logits: Tensor, size: Sequence[int]) -> Tensor:
    """(B, C, h, w) -> (B, C, *size), bilinear."""
    return F.interpolate(logits, tuple(size), mode="bilinear", align_corners=False)
