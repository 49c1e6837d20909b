"""SAM2's image encoder (Hiera trunk and FPN neck, paper III-B and III-C) with one set of adapters per modality.

A new backbone is one entry in `ENCODERS` and its name in `config.BACKBONES`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib import resources

import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from sam2.modeling.backbones.hieradet import Hiera
from sam2.modeling.backbones.image_encoder import FpnNeck, ImageEncoder
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sartm_core.model.config import MODALITIES, SAM2_BACKBONES
from sartm_core.model.lora import add_lora
from sartm_core.preprocess import STRIDE


class NoPosition(nn.Module):
    """Stands in for the neck's sine position encoding, which only SAM2's video memory reads."""

    def forward(self, x: Tensor) -> Tensor:
        return x.new_empty(0)


def sam2_encoder(name: str) -> ImageEncoder:
    """One of the official encoders, from the `sam2` package's own configuration, with fresh weights."""
    path = resources.files("sam2") / "configs" / name.split("_")[0] / f"{name}.yaml"
    return instantiate(OmegaConf.create(path.read_text()).model.image_encoder)


def nano_encoder() -> ImageEncoder:
    """Our small one, 1.5 M parameters, width 64. Its windows divide 480x640 and every multiple of 160x160."""
    trunk = Hiera(
        embed_dim=24,
        num_heads=1,
        stages=(1, 2, 5, 2),
        global_att_blocks=(5, 7),
        window_pos_embed_bkg_spatial_size=(7, 7),
        window_spec=(8, 4, 10, 5),
    )
    # Fresh Hiera position embeddings are zeros; there is no pretrained file to fill them.
    nn.init.trunc_normal_(trunk.pos_embed, std=0.02)
    nn.init.trunc_normal_(trunk.pos_embed_window, std=0.02)
    neck = FpnNeck(
        position_encoding=NoPosition(),
        d_model=64,
        backbone_channel_list=trunk.channel_list,
        fpn_top_down_levels=[2, 3],
        fpn_interp_model="nearest",
    )
    return ImageEncoder(trunk, neck, scalp=1)


ENCODERS: dict[str, Callable[[], ImageEncoder]] = {
    **{name: partial(sam2_encoder, name) for name in SAM2_BACKBONES},
    "hiera_nano": nano_encoder,
}


class FrozenPosition:
    """Hiera's position embedding (1, h, w, dim), resized to the tokens once instead of in every training step.

    Only where it does not train and only in training: for validation averaged weights may be swapped in behind torch's
    back, an ulp off. A compiled step has the resizing in its graph.
    """

    def __init__(self, trunk: Hiera) -> None:
        self.trunk, self.resize = trunk, trunk._get_pos_embed
        self.mark: tuple[object, ...] = ()
        self.kept: tuple[Tensor, ...] = ()

    def __call__(self, size: Sequence[int]) -> Tensor:
        tables = (self.trunk.pos_embed, self.trunk.pos_embed_window)
        trained = any(table.requires_grad for table in tables)
        if trained or not self.trunk.training or torch.compiler.is_compiling():
            return self.resize(size)
        # Loading writes into the tables, a new version; moving gives them other memory, the old is kept from reuse.
        mark = (tuple(size), *((table.untyped_storage()._cdata, table._version) for table in tables))
        if mark != self.mark:
            self.kept = (self.resize(size), *(table.detach() for table in tables))
            self.mark = mark
        return self.kept[0]

    def forget(self) -> None:
        """Resize again the next time."""
        self.mark, self.kept = (), ()


class ModalityEncoder(nn.Module):
    """The shared encoder; modalities differ only in their adapters (and in what `SARTM` feeds in)."""

    def __init__(self, backbone: str, lora_rank: int, trainable: bool, lora_parts: str = "qv") -> None:
        super().__init__()
        encoder = ENCODERS[backbone]()
        encoder.neck.position_encoding = NoPosition()
        encoder.requires_grad_(trainable)
        self.trunk, self.neck, self.scalp = encoder.trunk, encoder.neck, encoder.scalp
        self.width: int = encoder.neck.d_model
        self.active = add_lora(self.trunk, len(MODALITIES), lora_rank, lora_parts)
        self.trunk._get_pos_embed = FrozenPosition(self.trunk)

    def recompute_activations(self) -> None:
        """From now on keep only the blocks' inputs in training and compute the rest again in the backward pass."""
        trains = False
        for block in self.trunk.blocks:
            trains = trains or any(p.requires_grad for p in (*self.before_blocks(), *block.parameters()))
            if trains:  # what stands below all that trains keeps nothing anyway
                block.forward = partial(self._recomputed, block.forward)

    def before_blocks(self) -> list[nn.Parameter]:
        """Those of the patch and position embedding."""
        return [*self.trunk.patch_embed.parameters(), self.trunk.pos_embed, self.trunk.pos_embed_window]

    def _recomputed(self, forward: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """A block whose backward pass runs it again, with the adapters of the modalities it has now."""
        modalities = self.active.indices

        def again(x: Tensor) -> Tensor:
            self.active.indices = modalities
            return forward(x)

        return checkpoint(again, x, use_reentrant=False)

    def forward(self, images: Sequence[Tensor | None]) -> list[Tensor]:
        """One (B, 1 or 3, H, W) image batch per modality, None for a missing one -> features of strides 4, 8, 16.

        Every returned tensor is (M, B, width, h, w) with the M present modalities in order (Eq. 8: F0, F1, Fn).
        """
        present = [m for m, image in enumerate(images) if image is not None]
        batch = torch.cat([rgb_like(images[m]) for m in present])  # (M * B, 3, H, W)
        self.active.indices = tuple(present)
        features, _ = self.neck(self.trunk(batch))  # strides 4, 8, 16, 32
        return [f.unflatten(0, (len(present), -1)) for f in features[: -self.scalp]]  # (M, B, width, h, w)


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
