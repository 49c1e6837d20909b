"""Trunks of the `timm` package: any feature extractor with strides 4, 8, 16 and 32, say `timm:tf_efficientnet_lite0`.

The paper's adapters (Eq. 6-7) are made for q and v of an attention. Here they change, for each modality m, the layers
that mix channels, its 1x1 convolutions and linear layers:

    W_m = W + B_m A_m

Batch normalisation is each modality's own, statistics and affine: a thermal picture has another mean and contrast. So
is one more behind each stage: the linear ends of such trunks give maps of very different size.
The modalities run one after the other; what differs between them is looked up by `active` in each such layer.
"""

from __future__ import annotations

import difflib
from copy import deepcopy
from typing import Any

import timm
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.utils.checkpoint import checkpoint

from sartm_core.model.config import MODALITIES, TIMM, ModelConfig
from sartm_core.model.lora import ActiveModalities, LowRankUpdate
from sartm_core.model.trunks.parts import EncoderParts, make_neck

STRIDES = [4, 8, 16, 32]
WIDTH = 128
"""Channels of neck and decoder: 16 reach stride 4, 32 stride 8."""
TOP_DOWN_LEVELS = [0, 1, 2, 3]
"""All levels receive from those below: the features of strides 4 and 8 of a small trunk know little of objects."""


class PerModality(nn.Module):
    """One copy of a batch normalisation for each modality, and the activation that `timm` may keep inside it."""

    def __init__(self, norm: nn.BatchNorm2d, active: ActiveModalities) -> None:
        super().__init__()
        self.norms = nn.ModuleList(plain_norm(norm) for _ in range(active.count))
        self.rest = nn.Sequential(*(getattr(norm, part) for part in ("drop", "act") if hasattr(norm, part)))
        self.active = active

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) of one modality -> the same shape."""
        return self.rest(self.norms[self.active.only](x))

    def of(self, modality: int) -> nn.Module:
        """That modality's part of it."""
        return nn.Sequential(self.norms[modality], *self.rest)


def plain_norm(norm: nn.BatchNorm2d) -> nn.BatchNorm2d:
    """A copy without the activation inside it."""
    plain = nn.BatchNorm2d(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
    plain.load_state_dict(norm.state_dict())
    return plain


class TimmTrunk(nn.Module):
    """A feature extractor of `timm`, adapted to each modality."""

    def __init__(self, features: nn.Module, channels_last: bool, rank: int, trainable: bool) -> None:
        """`channels_last`: the extractor's maps come as (B, h, w, C)."""
        super().__init__()
        self.active = ActiveModalities(len(MODALITIES))
        self.features, self.channels_last, self.recomputes = features.requires_grad_(trainable), channels_last, False
        stages = (nn.BatchNorm2d(channels) for channels in features.feature_info.channels())
        self.norms = nn.ModuleList(PerModality(stage, self.active) for stage in stages)
        for name, module in list(features.named_modules()):
            if isinstance(module, nn.BatchNorm2d):
                owner, _, leaf = name.rpartition(".")
                setattr(features.get_submodule(owner), leaf, PerModality(module, self.active).requires_grad_(trainable))
            elif rank and mixes_channels(module):
                parametrize.register_parametrization(
                    module, "weight", LowRankUpdate(module.weight, rank, self.active), unsafe=True
                )

    def forward(self, images: Tensor) -> list[Tensor]:
        """(M * B, 3, H, W) -> strides 4, 8, 16, 32, each (M * B, C, h, w)."""
        modalities = self.active.indices
        parts = [self.encode(x, m) for x, m in zip(images.chunk(len(modalities)), modalities, strict=True)]
        return [torch.cat(level) for level in zip(*parts, strict=True)]

    def encode(self, image: Tensor, modality: int) -> list[Tensor]:
        """(B, 3, H, W) of one modality -> four maps (B, C, h, w)."""
        image = image.contiguous(memory_format=torch.channels_last)  # a fifth faster on a CPU, tensor cores on a GPU
        if not (self.recomputes and self.training):
            return self.run(image, modality)
        return checkpoint(self.run, image, modality, use_reentrant=False)

    def run(self, image: Tensor, modality: int) -> list[Tensor]:
        """`encode`, with nothing recomputed."""
        with self.active.just(modality):
            maps = self.features(image)
            maps = [x.permute(0, 3, 1, 2) for x in maps] if self.channels_last else maps
            return [norm(x) for norm, x in zip(self.norms, maps, strict=True)]

    def recompute_activations(self) -> None:
        """From now on keep only the images in training and compute the rest again in the backward pass.

        The running statistics of the norms then move twice a step.
        """
        self.recomputes = True

    @property
    def recomputed(self) -> list[tuple[nn.Module, str]]:
        """What runs twice then, as owner and method."""
        return [(self, "run")]

    def forget(self) -> None:
        """Nothing is kept from one forward pass to the next."""

    @torch.no_grad()
    def take(self, weights: dict[str, Tensor]) -> None:
        """The weights of an extractor without adapters, every one of them; each modality's norm gets those of the one.

        Raises:
            ValueError: names a tensor that has no place here, or is missing.
        """
        own, filled = self.features.state_dict(keep_vars=True), set()
        for name, tensor in weights.items():
            module, _, leaf = name.rpartition(".")
            places = [name, f"{module}.parametrizations.{leaf}.original"]
            places += [f"{module}.norms.{m}.{leaf}" for m in range(self.active.count)]
            found = [place for place in places if place in own and own[place].shape == tensor.shape]
            if not found:
                raise ValueError(f"pretrained: tensor {name!r} {tuple(tensor.shape)} has no place in this trunk")
            for place in found:
                own[place].copy_(tensor)
                filled.add(place)
        missing = [name for name in own if name not in filled and ".lora_" not in name]
        if missing:
            raise ValueError(f"pretrained: {len(missing)} tensors are missing, first {missing[0]!r}")

    def plain(self, modality: int) -> PlainTrunk:
        """The trunk of one modality with its adapters baked in and its own norms: what inference runs."""
        features = deepcopy(self.features)
        for name, module in list(features.named_modules()):
            owner, _, leaf = name.rpartition(".")
            if isinstance(module, PerModality):
                plain = module.of(modality)
            elif parametrize.is_parametrized(module, "weight"):
                weight = module.parametrizations.weight
                plain = with_weight(module, weight[0].folded(weight.original)[modality])
            else:
                continue
            setattr(features.get_submodule(owner), leaf, plain)
        norms = [deepcopy(norm).of(modality) for norm in self.norms if isinstance(norm, PerModality)]
        return PlainTrunk(features, norms, self.channels_last)


class PlainTrunk(nn.Module):
    """A `TimmTrunk` of one modality, for inference."""

    def __init__(self, features: nn.Module, norms: list[nn.Module], channels_last: bool) -> None:
        super().__init__()
        self.features, self.norms, self.channels_last = features, nn.ModuleList(norms), channels_last
        self.requires_grad_(False).eval()

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, 3, H, W) -> strides 4, 8, 16, 32, each (B, C, h, w)."""
        maps = self.features(image)
        maps = [x.permute(0, 3, 1, 2) for x in maps] if self.channels_last else maps
        return [norm(x) for norm, x in zip(self.norms, maps, strict=True)]


def with_weight(layer: nn.Module, weight: Tensor) -> nn.Module:
    """A 1x1 convolution or linear layer like `layer`, of another weight."""
    if isinstance(layer, nn.Conv2d):
        plain: nn.Module = nn.Conv2d(layer.in_channels, layer.out_channels, 1, layer.stride, device="meta")
    else:
        plain = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    plain.weight, plain.bias = nn.Parameter(weight, requires_grad=False), layer.bias
    return plain


def mixes_channels(module: nn.Module) -> bool:
    """Whether it is a 1x1 convolution over all channels, or a linear layer."""
    is_pointwise = isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1) and module.groups == 1
    return is_pointwise or isinstance(module, nn.Linear)


def extractor(name: str, **options: Any) -> nn.Module:
    """`timm`'s feature extractor of strides 4, 8, 16, 32. ValueError: unknown, or has other strides, named."""
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), 1)
        hint = f"; did you mean {TIMM}{near[0]}?" if near else ""
        raise ValueError(f"ModelConfig.backbone: timm has no model {name!r}{hint}")
    try:
        strides = timm.create_model(name, features_only=True).feature_info.reduction()
    except (RuntimeError, AttributeError, TypeError) as error:  # timm raises any of these for those that give none
        raise ValueError(f"ModelConfig.backbone: timm's {name!r} gives no features ({error})") from error
    if not set(STRIDES) <= set(strides):
        raise ValueError(
            f"ModelConfig.backbone: timm's {name!r} gives features of strides {strides}; {STRIDES} are needed"
        )
    return timm.create_model(name, features_only=True, out_indices=[strides.index(s) for s in STRIDES], **options)


def build(config: ModelConfig) -> EncoderParts:
    """The trunk that `timm:NAME` stands for, with fresh weights."""
    features = extractor(config.backbone.removeprefix(TIMM))
    channels_last = str(getattr(features, "output_fmt", "NCHW")).endswith("NHWC")
    trunk = TimmTrunk(features, channels_last, config.lora_rank, config.train_encoder)
    neck = make_neck(features.feature_info.channels(), config.width or WIDTH, TOP_DOWN_LEVELS)
    return EncoderParts(trunk, neck, trunk.active)
