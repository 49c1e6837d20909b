"""The model as one would write it without thinking of training speed: what the trainer's own is measured against.

Same weights, loss and gradients; but every modality in a pass of its own, adapters as layers of their own whose results
are added to those of the layer they change (those of q and v into slices of the qkv output, as adapters for SAM are
commonly written), and what lies below the first adapter part of autograd's graph, so that the backward pass runs to the
very first layer.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from sam2.modeling.backbones.hieradet import Hiera
from torch import Tensor, nn
from torch.nn.utils import parametrize

from sartm_core.model.encoder import ModalityEncoder
from sartm_core.model.lora import ActiveModalities, LoRAQKV, LowRankUpdate, Q, V
from sartm_core.model.sartm import SARTM
from sartm_core.model.trunks.hiera import before_blocks
from sartm_core.model.trunks.timm import TimmTrunk, with_weight


class PlainQKV(nn.Module):
    """A qkv projection with two linear layers for each of q and v of each modality."""

    def __init__(self, layer: LoRAQKV, active: ActiveModalities) -> None:
        super().__init__()
        self.weight, self.bias, self.dim_out, self.active = layer.weight, layer.bias, layer.dim_out, active
        self.q, self.v = (  # one for each modality
            nn.ModuleList(adapters(layer.lora_a[:, which], layer.lora_b[:, which], layer)) for which in (Q, V)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, h, w, dim) windows of one modality -> (N, h, w, 3 * dim_out)."""
        qkv = nn.functional.linear(x, self.weight, self.bias)
        qkv[..., : self.dim_out] += self.q[self.active.only](x)
        qkv[..., -self.dim_out :] += self.v[self.active.only](x)
        return qkv


class PlainMixing(nn.Module):
    """A 1x1 convolution or linear layer with two more for each modality."""

    def __init__(self, layer: Any, update: LowRankUpdate, active: ActiveModalities) -> None:
        super().__init__()
        weight = layer.parametrizations.weight.original
        self.layer, self.active = with_weight(layer, weight), active
        self.layer.weight = weight  # trains if it did
        self.updates = nn.ModuleList(adapters(update.lora_a, update.lora_b, layer))  # one for each modality

    def forward(self, x: Tensor) -> Tensor:
        """As of the layer, for one modality."""
        return self.layer(x) + self.updates[self.active.only](x)


def adapters(lora_a: Tensor, lora_b: Tensor, layer: nn.Module) -> Iterator[nn.Module]:
    """(M, r, in), (M, out, r) -> two layers of the kind of `layer` for each modality."""
    for down, up in zip(lora_a, lora_b, strict=True):
        yield nn.Sequential(trained(down, layer, getattr(layer, "stride", 1)), trained(up, layer, 1))


def trained(weight: Tensor, layer: nn.Module, stride: Any) -> nn.Module:
    """A layer without bias that starts at `weight` (out, in)."""
    if isinstance(layer, nn.Conv2d):
        made: nn.Module = nn.Conv2d(weight.shape[1], weight.shape[0], 1, stride, bias=False, device="meta")
        weight = weight[..., None, None]
    else:
        made = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
    made.weight = nn.Parameter(weight.detach().clone())
    return made


def plain_hiera(trunk: Hiera, active: ActiveModalities) -> None:
    """Write the adapters plainly, in place."""
    for block in trunk.blocks:
        if isinstance(block.attn.qkv, LoRAQKV):
            block.attn.qkv = PlainQKV(block.attn.qkv, active)


def below_in_hiera(trunk: Hiera) -> list[nn.Parameter]:
    """Parameters that the image meets before any adapter."""
    return [*before_blocks(trunk), *trunk.blocks[0].norm1.parameters()]


def plain_timm(trunk: TimmTrunk, active: ActiveModalities) -> None:
    """Write the adapters plainly, in place."""
    for name, layer in list(trunk.features.named_modules()):
        if parametrize.is_parametrized(layer, "weight"):
            owner, _, leaf = name.rpartition(".")
            plain = PlainMixing(layer, layer.parametrizations.weight[0], active)
            setattr(trunk.features.get_submodule(owner), leaf, plain)


def below_in_timm(trunk: TimmTrunk) -> list[nn.Parameter]:
    """Parameters that the image meets before any adapter; modules are named in the order in which they run."""
    found: list[nn.Parameter] = []
    for module in trunk.features.modules():
        if isinstance(module, PlainMixing) or parametrize.is_parametrized(module, "weight"):
            break
        found += module.parameters(recurse=False)
    return found


FAMILIES: dict[type[nn.Module], tuple[Callable[[Any, ActiveModalities], None], Callable[[Any], list[nn.Parameter]]]] = {
    Hiera: (plain_hiera, below_in_hiera),
    TimmTrunk: (plain_timm, below_in_timm),
}
"""Trunk -> how to write it plainly, and what is below its first adapter."""


def plain_copy(model: SARTM) -> SARTM:
    """`model` written plainly, with weights of its own that start equal."""
    plain = copy.deepcopy(model)
    encoder = plain.encoder
    write, _ = FAMILIES[type(encoder.trunk)]
    write(encoder.trunk, encoder.active)
    for parameter in below_first_adapter(encoder):
        parameter.requires_grad_(True)
    encoder.with_deepest = partial(one_by_one, encoder)  # type: ignore[method-assign]
    return plain


def below_first_adapter(encoder: ModalityEncoder) -> list[nn.Parameter]:
    """Parameters that the image meets before any adapter."""
    _, below = FAMILIES[type(encoder.trunk)]
    return below(encoder.trunk)


def one_by_one(encoder: ModalityEncoder, images: Sequence[Tensor | None]) -> tuple[list[Tensor], Tensor]:
    """`ModalityEncoder.with_deepest` with a pass for each modality."""
    alone = [[image if i == m else None for i, image in enumerate(images)] for m in range(len(images))]
    passes = [ModalityEncoder.with_deepest(encoder, one) for one in alone if any(image is not None for image in one)]
    levels, deepest = zip(*passes, strict=True)
    return [torch.cat(level) for level in zip(*levels, strict=True)], torch.cat(deepest)  # (M, B, C, h, w) each
