"""The fusion learns: it starts near the average, its softmax is not saturated, every weight gets a gradient."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sartm_core.model.fusion import FeatureFuse, FrmFfm, build_fusion

WIDTHS = {"base+": (32, 64, 256), "timm": (16, 32, 128)}
"""Channels of strides 4, 8, 16."""
PIXELS = (120 * 160, 60 * 80, 30 * 40)
"""Of the three maps of a frame of 480x640."""
LEVELS = [pytest.param(w, level, id=f"{name} {level}") for name, w in WIDTHS.items() for level in range(3)]


def make_level(widths: tuple[int, int, int], level: int) -> FrmFfm:
    return build_fusion("frm_ffm", widths)[level]


def features(channels: int, height: int = 12, width: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    """Two maps that have half of their variance in common."""
    common, rgb, thermal = torch.randn(3, 2, channels, height, width).mul(0.5**0.5)
    return common + rgb, common + thermal


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize(("widths", "level"), LEVELS)
def test_starts_close_to_the_average(widths: tuple[int, int, int], level: int, training: bool) -> None:
    """CMX's fusion of fresh weights had nothing to do with it, and a pretrained decoder had to learn anew."""
    fusion = make_level(widths, level).train(training)
    rgb, thermal = features(widths[level])
    with torch.inference_mode():
        fused = fusion(rgb, thermal)
    cosine = F.cosine_similarity(fused, (rgb + thermal) / 2, dim=1)  # (B, h, w)
    assert cosine.mean() > 0.9
    assert not torch.equal(fused, (rgb + thermal) / 2)


@pytest.mark.parametrize(("widths", "level"), LEVELS)
def test_every_weight_gets_a_gradient(widths: tuple[int, int, int], level: int) -> None:
    fusion = make_level(widths, level)
    rgb, thermal = features(widths[level])
    (fusion(rgb, thermal) * torch.randn_like(rgb)).sum().backward()
    without = [n for n, p in fusion.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


@pytest.mark.parametrize(("widths", "level"), LEVELS)
def test_the_softmax_over_sums_of_all_pixels_is_not_saturated(widths: tuple[int, int, int], level: int) -> None:
    """With torch's own start one channel took nearly all, and `key_value` learnt nothing."""
    fuse: FeatureFuse = make_level(widths, level).fuse
    tokens = torch.randn(1, PIXELS[level], widths[level])
    with torch.inference_mode():
        shared = fuse.split[0](tokens).relu().chunk(2, dim=-1)[1]
        context = fuse.context(fuse.key_value[0](shared))  # (B, nH, d, d)
    assert context.amax(dim=-2).mean() < 0.2


def test_weights_start_as_in_cmx() -> None:
    """Linear layers at 0.02, convolutions by their fan-out, no biases: compared with CMX's own start once, equal."""
    fusion = make_level(WIDTHS["base+"], 2)
    for name, module in fusion.named_modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            kernel = module.weight[0, 0].numel()
            groups = module.groups if isinstance(module, nn.Conv2d) else 1
            std = 0.02 if isinstance(module, nn.Linear) else (2 * groups / (kernel * len(module.weight))) ** 0.5
            assert float(module.weight.detach().std()) == pytest.approx(std, rel=0.1), name
            assert module.bias is None or not module.bias.count_nonzero(), name
