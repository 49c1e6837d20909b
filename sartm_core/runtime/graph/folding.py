"""Layers that are linear behind linear, made one. Same result up to float rounding, less work per frame."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def frozen(value: Tensor) -> nn.Parameter:
    """A copy that nobody trains."""
    return nn.Parameter(value.detach().clone(), requires_grad=False)


def linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    """A frozen `nn.Linear` of weight (out, in) and bias (out,)."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    layer.weight, layer.bias = frozen(weight), frozen(bias)
    return layer


def pointwise(conv: nn.Conv2d) -> tuple[Tensor, Tensor]:
    """Weight (out, in) and bias (out,) of a 1x1 convolution; it is a linear layer of every pixel."""
    weight = conv.weight.flatten(1)
    return weight, torch.zeros_like(weight[:, 0]) if conv.bias is None else conv.bias


def behind_norm(weight: Tensor, bias: Tensor, norm: nn.LayerNorm) -> tuple[Tensor, Tensor]:
    """W (g x + b) + c = (W g) x + (W b + c): weight and bias that need no gain g and offset b in the norm before."""
    return weight * norm.weight, weight @ norm.bias + bias


def before_batch_norm(weight: Tensor, bias: Tensor, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Weight (out, in) and bias that do the work of the batch norm behind, which at inference scales and shifts."""
    assert norm.running_var is not None and norm.running_mean is not None
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return weight * scale[:, None], (bias - norm.running_mean) * scale + norm.bias


def scaled(weight: Tensor, bias: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """s (W x + b): weight and bias that do the work of a scale per output channel behind."""
    return weight * scale[:, None], bias * scale


def chain(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor], with_bias: bool = True) -> tuple[Tensor, Tensor]:
    """One linear layer for two without anything in between; `with_bias`: the second's bias is part of it."""
    bias = second[0] @ first[1]
    return second[0] @ first[0], bias + second[1] if with_bias else bias
