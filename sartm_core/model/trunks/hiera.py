"""Hiera: SAM2's own trunks and our small one (paper III-B), with the adapters on q and v."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib import resources

import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from sam2.modeling.backbones.hieradet import Hiera
from sam2.modeling.backbones.image_encoder import ImageEncoder
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sartm_core.model.config import MODALITIES, SAM2_BACKBONES, ModelConfig
from sartm_core.model.lora import ActiveModalities, add_lora
from sartm_core.model.trunks.parts import SCALP, EncoderParts, NoPosition, make_neck

NANO_WIDTH = 64
TOP_DOWN_LEVELS = [2, 3]
"""Only stride 16 receives from the level below it, as in SAM2."""


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
    neck = make_neck(trunk.channel_list[::-1], NANO_WIDTH, TOP_DOWN_LEVELS)
    return ImageEncoder(trunk, neck, scalp=SCALP)


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


ENCODERS: dict[str, Callable[[], ImageEncoder]] = {
    **{name: partial(sam2_encoder, name) for name in SAM2_BACKBONES},
    "hiera_nano": nano_encoder,
}


def build(config: ModelConfig) -> EncoderParts:
    """The trunk of `sam2_hiera_*`, `sam2.1_hiera_*` or `hiera_nano`, with fresh weights."""
    encoder = ENCODERS[config.backbone]()
    encoder.requires_grad_(config.train_encoder)
    trunk, neck = encoder.trunk, encoder.neck
    neck.position_encoding = NoPosition()
    if config.width not in (None, neck.d_model):
        raise ValueError(f"ModelConfig.width: got {config.width}; {config.backbone!r} has {neck.d_model}")
    active = add_lora(trunk, len(MODALITIES), config.lora_rank, config.lora_parts)
    trunk._get_pos_embed = FrozenPosition(trunk)
    trunk.forget = trunk._get_pos_embed.forget
    trunk.recompute_activations = partial(recompute_activations, trunk, active)
    trunk.recomputed = [(block, "forward") for block in trunk.blocks]
    return EncoderParts(trunk, neck, active)


def before_blocks(trunk: Hiera) -> list[nn.Parameter]:
    """Those of the patch and position embedding."""
    return [*trunk.patch_embed.parameters(), trunk.pos_embed, trunk.pos_embed_window]


def recompute_activations(trunk: Hiera, active: ActiveModalities) -> None:
    """From now on keep only the blocks' inputs in training and compute the rest again in the backward pass."""
    trains = False
    for block in trunk.blocks:
        trains = trains or any(p.requires_grad for p in (*before_blocks(trunk), *block.parameters()))
        if trains:  # what stands below all that trains keeps nothing anyway
            block.forward = partial(recomputed, active, block.forward)


def recomputed(active: ActiveModalities, forward: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """A block whose backward pass runs it again, with the adapters of the modalities it has now."""
    modalities = active.indices

    def again(x: Tensor) -> Tensor:
        active.indices = modalities
        return forward(x)

    return checkpoint(again, x, use_reentrant=False)
