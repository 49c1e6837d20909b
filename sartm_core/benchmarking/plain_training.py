"""The model as one would write it without thinking of training speed: what the trainer's own is measured against.

Same weights, loss and gradients; but every modality in a pass of its own, q and v adapters as linear layers of their
own that write into slices of the qkv output (as adapters for SAM are commonly written), and what lies below the first
adapter part of autograd's graph, so that the backward pass runs through the first block and the patch embedding.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from sartm_core.model.encoder import ModalityEncoder
from sartm_core.model.lora import ActiveModalities, LoRAQKV, Q, V
from sartm_core.model.sartm import SARTM


class PlainQKV(nn.Module):
    """A qkv projection with two linear layers for each of q and v of each modality."""

    def __init__(self, layer: LoRAQKV, active: ActiveModalities) -> None:
        super().__init__()
        self.weight, self.bias, self.dim_out, self.active = layer.weight, layer.bias, layer.dim_out, active
        self.q, self.v = (nn.ModuleList(adapters(layer, which)) for which in (Q, V))  # one for each modality

    def forward(self, x: Tensor) -> Tensor:
        """(N, h, w, dim) windows of one modality -> (N, h, w, 3 * dim_out)."""
        qkv = nn.functional.linear(x, self.weight, self.bias)
        (modality,) = self.active.indices
        qkv[..., : self.dim_out] += self.q[modality](x)
        qkv[..., -self.dim_out :] += self.v[modality](x)
        return qkv


def adapters(layer: LoRAQKV, which: int) -> Iterator[nn.Module]:
    """Those of q or of v, modality by modality."""
    for down, up in zip(layer.lora_a[:, which], layer.lora_b[:, which], strict=True):
        yield nn.Sequential(linear(down), linear(up))


def linear(weight: Tensor) -> nn.Linear:
    """A trained layer without bias that starts at `weight` (out, in)."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
    layer.weight = nn.Parameter(weight.detach().clone())
    return layer


def plain_copy(model: SARTM) -> SARTM:
    """`model` written plainly, with weights of its own that start equal."""
    plain = copy.deepcopy(model)
    encoder = plain.encoder
    for block in encoder.trunk.blocks:
        if isinstance(block.attn.qkv, LoRAQKV):
            block.attn.qkv = PlainQKV(block.attn.qkv, encoder.active)
    for parameter in below_first_adapter(encoder):
        parameter.requires_grad_(True)
    encoder.forward = partial(one_by_one, encoder)  # type: ignore[method-assign]
    return plain


def below_first_adapter(encoder: ModalityEncoder) -> list[nn.Parameter]:
    """Parameters that the image meets before any adapter."""
    return [*encoder.before_blocks(), *encoder.trunk.blocks[0].norm1.parameters()]


def one_by_one(encoder: ModalityEncoder, images: Sequence[Tensor | None]) -> list[Tensor]:
    """`ModalityEncoder.forward` with a pass for each modality."""
    alone = [[image if i == m else None for i, image in enumerate(images)] for m in range(len(images))]
    passes = [ModalityEncoder.forward(encoder, one) for one in alone if any(image is not None for image in one)]
    return [torch.cat(level) for level in zip(*passes, strict=True)]  # (M, B, width, h, w)
