"""Decorrelation of channels (VICReg's covariance term, arXiv 2105.04906): features keep many directions.

With few classes a network tends to leave a handful of directions in its deepest features, all that these classes need.
Other classes that start from such weights then find nothing to hold on to.
"""

from __future__ import annotations

import torch
from torch import Tensor

SMALLEST = 1e-6
"""A channel that varies less than this is left as it is."""


def decorrelation_loss(features: Tensor) -> Tensor:
    """Mean squared correlation of two different channels over the pixels of a batch, (B, C, h, w) -> 0..1."""
    x = features.float().transpose(0, 1).flatten(1)  # (C, B * h * w)
    x = x - x.mean(1, keepdim=True)
    x = x / x.norm(dim=1, keepdim=True).clamp(min=SMALLEST)
    correlation = x @ x.T  # (C, C)
    off_diagonal = correlation - torch.diag(correlation.diagonal())
    count = len(correlation) * (len(correlation) - 1)
    return off_diagonal.square().sum() / max(1, count)
