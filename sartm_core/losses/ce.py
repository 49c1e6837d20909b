"""The plain cross-entropy of all pixels."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from sartm_core.support.classes import IGNORE
from sartm_core.support.distributed import all_sum, world_size


def ce_loss(logits: Tensor, target: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """Mean cross-entropy over all valid pixels, weighted by class; arguments as `ohem_loss`."""
    loss = F.cross_entropy(logits.float(), target, class_weights, ignore_index=IGNORE, reduction="sum")
    valid = target != IGNORE
    weight = valid.float() if class_weights is None else class_weights[target.masked_fill(~valid, 0)] * valid
    total = all_sum(weight.sum())
    return world_size() * loss / total.masked_fill(total == 0, 1.0)
