"""L_cr (paper III-E, Eq. 13): the class prototypes of a batch should look like those of the batches before.

The global prototypes are a bank of one vector per class, a moving average over the training steps.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

MOMENTUM = 0.9
"""Part of the old vector that a class keeps when it is updated."""


def consistency_loss(prototypes: Tensor, present: Tensor, bank: Tensor, seen: Tensor) -> Tensor:
    """KL(log_softmax(batch prototypes) || softmax(global prototypes)), mean over all elements of the counting classes.

    prototypes and bank (C, width) float32, present (C,) bool, seen (C,) float, above 0 for classes the bank knows. A
    class counts when the batch has it and the bank knows it; when none does, the result is 0 with a gradient path.
    """
    counting = present & (seen > 0)
    divergence = F.kl_div(prototypes.log_softmax(1), bank.softmax(1), reduction="none")  # (C, width)
    return (divergence * counting[:, None]).sum() / (counting.sum().clamp(min=1) * bank.shape[1])


@torch.no_grad()
def update_bank(bank: Tensor, seen: Tensor, prototypes: Tensor, present: Tensor) -> None:
    """Move the bank in place towards the batch's prototypes, for the classes present; a new class starts there.

    A prototype that is not finite (an overflow in fp16, whose step the gradient scaler skips) is left out.
    """
    usable = present & prototypes.isfinite().all(1)
    moved = torch.where(seen[:, None] > 0, MOMENTUM * bank + (1 - MOMENTUM) * prototypes, prototypes)
    bank.copy_(torch.where(usable[:, None], moved, bank))
    seen.copy_(torch.where(usable, 1.0, seen))
