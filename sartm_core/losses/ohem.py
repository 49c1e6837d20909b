"""Online hard example mining: the cross-entropy of the hard pixels only (paper III-F, Eq. 11)."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from sartm_core.support.classes import IGNORE
from sartm_core.support.distributed import all_cat, all_sum, world_size

THRESHOLD = -math.log(0.7)
"""A pixel is hard when its loss is above this: its true class gets less than 0.7 (0.7^(1/w) with a class weight w)."""
MIN_SHARE = 16
"""At least one valid pixel in 16 counts, the hardest ones."""


def ohem_loss(logits: Tensor, target: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """Mean (class-weighted) cross-entropy over the hard pixels of the whole batch.

    logits (B, C, H, W) float, target (B, H, W) int64 with 255 ignored, class_weights (C,) or None. Without any valid
    pixel the result is 0 with a gradient path, not NaN.
    """
    loss = F.cross_entropy(
        logits.float(), target, class_weights, ignore_index=IGNORE, reduction="none"
    ).flatten()  # (B*H*W,), 0 where ignored
    share, count = hard_pixels(loss.detach().masked_fill(target.flatten() == IGNORE, -1.0))
    return world_size() * (loss * share).sum() / max(1, count)


def hard_pixels(loss: Tensor) -> tuple[Tensor, int]:
    """How much each pixel counts (N,), 0..1, and the sum of that over all processes.

    loss (N,) is negative where ignored. Pixels that tie for the last of the places for the hardest share them, so that
    the result depends neither on the order of the pixels nor on the process that holds them.
    """
    hard = loss > THRESHOLD
    valid_count, hard_count = all_sum(torch.stack(((loss >= 0).sum(), hard.sum()))).tolist()  # the one wait for a GPU
    fewest = max(1, valid_count // MIN_SHARE)
    if hard_count >= fewest or valid_count == 0:
        return hard.to(loss.dtype), hard_count
    hardest = loss.topk(min(fewest, loss.numel())).values
    if world_size() > 1:
        hardest = all_cat(hardest).topk(fewest).values
    above, tied = loss > hardest[-1], loss == hardest[-1]
    above_count, tied_count = all_sum(torch.stack((above.sum(), tied.sum())))
    return above + tied * ((fewest - above_count) / tied_count), fewest
