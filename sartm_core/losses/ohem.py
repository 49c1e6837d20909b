"""Online hard example mining: cross-entropy of the hard pixels only (paper III-F, Eq. 11-12)."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from sartm_core.data.labels import IGNORE

THRESHOLD = -math.log(0.7)
"""A pixel is hard when its true class gets less than 0.7."""
MIN_SHARE = 16
"""At least one pixel in 16 counts, the hardest ones."""


def ohem_loss(logits: Tensor, target: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """Mean cross-entropy over the hard pixels of the whole batch.

    logits (B, C, H, W) float, target (B, H, W) int64 with 255 ignored, class_weights (C,) or None. Without any valid
    pixel the result is 0 with a gradient path, not NaN.
    """
    loss = F.cross_entropy(
        logits.float(), target, class_weights, ignore_index=IGNORE, reduction="none"
    ).flatten()  # (B*H*W,)
    valid = target.flatten() != IGNORE
    count = int(valid.sum())
    if count == 0:
        return logits.sum() * 0.0
    loss = loss[valid]
    hard = loss[loss > THRESHOLD]
    fewest = max(1, count // MIN_SHARE)
    return hard.mean() if hard.numel() >= fewest else loss.topk(fewest).values.mean()


def ce_loss(logits: Tensor, target: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """Mean cross-entropy over all valid pixels; arguments as `ohem_loss`."""
    if not bool((target != IGNORE).any()):
        return logits.sum() * 0.0
    return F.cross_entropy(logits.float(), target, class_weights, ignore_index=IGNORE)


SEGMENTATION_LOSSES = {"ohem": ohem_loss, "ce": ce_loss}


def weights_tensor(weights: tuple[float, ...] | None, like: Tensor) -> Tensor | None:
    """Class weights of a config as a tensor beside `like`."""
    return None if weights is None else torch.tensor(weights, dtype=torch.float32, device=like.device)
