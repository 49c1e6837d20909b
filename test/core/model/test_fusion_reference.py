"""FRM and FFM against their formulas (docs/design.md; CMX, arXiv 2203.04838), written out pixel sum by pixel sum."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from sartm_core.model.fusion import HEADS, FeatureFuse, FeatureRectify

WIDTHS = (32, 64, 256)
"""Channels of SAM2's maps at strides 4, 8, 16."""
SIZE = (2, 5, 6)
"""Frames, height and width of a map: more pixels than fit the one axis, so that no transposition goes unseen."""
CLOSE = {"atol": 1e-5, "rtol": 1e-5}
"""FFM's softmax is taken in float32, the reference's in float64."""

Weights = dict[str, Tensor]


def linear(x: Tensor, w: Weights, name: str) -> Tensor:
    """On the last axis."""
    return torch.einsum("...i,oi->...o", x, w[f"{name}.weight"].flatten(1)) + w.get(f"{name}.bias", 0)


def rectify(rgb: Tensor, thermal: Tensor, w: Weights) -> tuple[Tensor, Tensor]:
    """x_rgb' = x_rgb + x_t (wc_t + ws_t) / 2, of maps (B, h, w, C)."""
    channels, both = rgb.shape[-1], torch.cat((rgb, thermal), -1)
    pooled = torch.cat((both.mean((1, 2)), both.flatten(1, 2).max(1).values), -1)  # (B, 4C)
    by_channel = linear(linear(pooled, w, "channel_mlp.0").relu(), w, "channel_mlp.2").sigmoid()[:, None, None]
    by_place = linear(linear(both, w, "spatial_mlp.0").relu(), w, "spatial_mlp.2").sigmoid()  # (B, h, w, 2)
    for_rgb = (by_channel[..., channels:] + by_place[..., 1:]) / 2
    for_thermal = (by_channel[..., :channels] + by_place[..., :1]) / 2
    return rgb + for_rgb * thermal, thermal + for_thermal * rgb


def exchange(sides: tuple[Tensor, Tensor], w: Weights, heads: int) -> Tensor:
    """FFM's first stage: maps (B, h, w, C) -> both sides with what the other one says, (B, h, w, 2C)."""
    channels = sides[0].shape[-1]
    d = channels // heads
    local, shared, contexts = [], [], []
    for i, x in enumerate(sides):
        y, u = linear(x, w, f"split.{i}").relu().split(channels, -1)
        key, value = linear(u, w, f"key_value.{i}").split(channels, -1)
        product = torch.stack([
            torch.einsum("bhwi,bhwj->bij", key[..., n * d : (n + 1) * d], value[..., n * d : (n + 1) * d])
            for n in range(heads)
        ]) / d**0.5  # fmt: skip
        exponential = product.exp()  # (nH, B, d, d)
        local.append(y), shared.append(u), contexts.append(exponential / exponential.sum(2, keepdim=True))
    out = []
    for i, x in enumerate(sides):
        other = contexts[1 - i]
        asked = [torch.einsum("bhwi,bij->bhwj", shared[i][..., n * d : (n + 1) * d], other[n]) for n in range(heads)]
        z = x + linear(torch.cat((local[i], *asked), -1), w, f"project.{i}")
        z = (z - z.mean(-1, keepdim=True)) / (z.var(-1, correction=0, keepdim=True) + nn.LayerNorm(1).eps).sqrt()
        out.append(z * w[f"norm.{i}.weight"] + w[f"norm.{i}.bias"])
    return torch.cat(out, -1)


def merge(both: Tensor, w: Weights) -> Tensor:
    """FFM's second stage, (B, h, w, 2C) -> (B, h, w, C)."""
    height, width = both.shape[1:3]
    x = linear(both, w, "embed.0")
    padded = nn.functional.pad(x, (0, 0, 1, 1, 1, 1))  # (B, h + 2, w + 2, C)
    kernel = w["embed.1.weight"]  # (C, 1, 3, 3)
    x = w["embed.1.bias"] + sum(
        padded[:, i : i + height, j : j + width] * kernel[:, 0, i, j] for i in range(3) for j in range(3)
    )
    x = normalised(linear(x.relu(), w, "embed.3"), w, "embed.4")
    return normalised(linear(both, w, "residual") + x, w, "out_norm")


def normalised(x: Tensor, w: Weights, name: str) -> Tensor:
    """Batch normalisation as in training, of (B, h, w, C)."""
    mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2), correction=0)
    return (x - mean) / (variance + nn.BatchNorm2d(1).eps).sqrt() * w[f"{name}.weight"] + w[f"{name}.bias"]


@pytest.mark.parametrize(("channels", "heads"), list(zip(WIDTHS, HEADS, strict=True)))
def test_outputs_and_gradients_are_those_of_the_formulas(channels: int, heads: int) -> None:
    torch.manual_seed(channels)
    frm, ffm = FeatureRectify(channels).double(), FeatureFuse(channels, heads).double()
    parts = (*frm.parameters(), *ffm.parameters())
    for parameter in parts:  # large enough that every part shows, small enough that no softmax is a single one
        nn.init.normal_(parameter, std=0.5 if parameter.ndim == 1 else 0.5 * parameter[0].numel() ** -0.5)
    rgb, thermal = (torch.randn(SIZE[0], channels, *SIZE[1:]).double().requires_grad_() for _ in range(2))
    weighting = torch.randn(SIZE[0], channels, *SIZE[1:]).double()
    found = ffm(*frm(rgb, thermal))

    of_frm, of_ffm = dict(frm.named_parameters()), dict(ffm.named_parameters())
    sides = rectify(rgb.permute(0, 2, 3, 1), thermal.permute(0, 2, 3, 1), of_frm)
    expected = merge(exchange(sides, of_ffm, heads), of_ffm).permute(0, 3, 1, 2)

    torch.testing.assert_close(found, expected, **CLOSE)
    names = ["rgb", "thermal", *of_frm, *of_ffm]
    gradients = (torch.autograd.grad((out * weighting).sum(), (rgb, thermal, *parts)) for out in (found, expected))
    for name, mine, reference in zip(names, *gradients, strict=True):
        torch.testing.assert_close(mine, reference, **CLOSE, msg=lambda text, name=name: f"{name}: {text}")
        if name not in ("embed.3.bias", "embed.4.bias"):  # a shift that the normalisation behind takes away again
            assert reference.abs().max() > 1e-3, name
