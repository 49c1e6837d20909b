"""Trunks of `timm` for inference: one plain network per modality, adapters and norms in the weights of its layers.

Batch norms go into the convolutions before them, and thermal's three equal channels into one. Where a network does not
allow that (found by running it), it stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from sartm_core.model.sartm import CHANNELS
from sartm_core.model.trunks.timm import PlainTrunk, TimmTrunk
from sartm_core.runtime.graph.folding import frozen
from sartm_core.runtime.graph.trunks.parts import Modalities
from sartm_core.runtime.graph.trunks.plain import RowLayout

RGB = CHANNELS[0]
SIDE = 64
"""Height and width of the image that shows how a network is put together."""
TOLERANCE = 1e-3
"""Of the spread of a feature: what folding may change by rounding."""


class FoldedTimm(nn.Module):
    """A network per modality."""

    joins = False

    def __init__(self, trunk: TimmTrunk, modalities: int) -> None:
        super().__init__()
        self.networks = nn.ModuleList(fold(trunk.plain(m), CHANNELS[m]) for m in range(modalities))

    def layout(self, size: tuple[int, int]) -> RowLayout:
        return RowLayout(size)

    def forward(self, images: Sequence[Tensor], modalities: Modalities, layout: RowLayout) -> list[Tensor]:
        """(N, 3 or 1, H, W) of one modality -> strides 4, 8, 16, 32, (N, T_s, C_s) each."""
        (image,), (modality,) = images, modalities
        image = image.contiguous(memory_format=torch.channels_last)
        return [x.flatten(2).transpose(1, 2) for x in self.networks[modality](image)]


@torch.no_grad()
def fold(network: PlainTrunk, channels: int) -> nn.Module:
    """The same network with less to do, for images of 3 channels, or of 1 that stands for 3 equal ones."""
    grey = torch.linspace(-2, 2, SIDE * SIDE).view(1, 1, SIDE, SIDE)
    image = grey.expand(-1, RGB, -1, -1).contiguous()
    try:
        expected = network(image)
    except (RuntimeError, AssertionError):  # of a family that takes images of one size only
        return network if channels == RGB else FromGrey(network)
    folded = without_norms(network, image)
    folded = folded if same(folded(image), expected) else network
    if channels == RGB:
        return folded
    narrow = with_grey_stem(folded, image)
    return narrow if narrow is not None and same(narrow(grey), expected) else FromGrey(folded)


def without_norms(network: nn.Module, image: Tensor) -> nn.Module:
    """A copy in which each batch norm that takes what a convolution gives is part of that convolution."""
    folded = deepcopy(network)
    made: list[tuple[Tensor, nn.Conv2d]] = []
    pairs: dict[nn.Module, nn.Conv2d] = {}

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, nn.Conv2d):
            made.append((output, module))
        elif isinstance(module, nn.BatchNorm2d):
            pairs.update((module, conv) for given, conv in made if given is inputs[0])

    run_with(note, folded, image)
    for name, norm in list(folded.named_modules()):
        if norm in pairs:
            conv = pairs[norm]
            conv.weight, conv.bias = fuse_conv_bn_weights(
                conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
            )
            owner, _, leaf = name.rpartition(".")
            setattr(folded.get_submodule(owner), leaf, nn.Identity())
    return folded


def with_grey_stem(network: nn.Module, image: Tensor) -> nn.Module | None:
    """A copy for images of one channel, if what takes the image is one convolution."""
    narrow = deepcopy(network)
    stems: list[nn.Conv2d] = []

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, nn.Conv2d) and inputs[0] is image and module.groups == 1:
            stems.append(module)

    run_with(note, narrow, image)
    if len(stems) != 1:
        return None
    stems[0].weight = frozen(stems[0].weight.sum(1, keepdim=True))
    stems[0].in_channels = 1
    return narrow


def run_with(note: Callable[[nn.Module, tuple[Tensor, ...], Tensor], None], network: nn.Module, image: Tensor) -> None:
    """Run once; `note` is told each layer's inputs and output."""
    hooks = [module.register_forward_hook(note) for module in network.modules()]
    network(image)
    for hook in hooks:
        hook.remove()


def same(found: Sequence[Tensor], expected: Sequence[Tensor]) -> bool:
    """But for rounding."""
    return all((a - b).abs().max() <= TOLERANCE * b.std() for a, b in zip(found, expected, strict=True))


class FromGrey(nn.Module):
    """A network of three channels for images of one."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> list[Tensor]:
        return self.network(image.expand(-1, RGB, -1, -1))
