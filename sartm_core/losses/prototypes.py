"""Mask average pooling, MAP (paper III-E, Eq. 12): one mean feature vector per class over the batch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from sartm_core.support.classes import IGNORE
from sartm_core.support.distributed import all_sum


def class_prototypes(features: Tensor, label: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """Mean feature of each class over the whole batch, that of all processes, with gradient.

    Args:
        features: F~n (B, width, h, w) float.
        label: (B, H, W) int64 ids, 255 ignored; resized to h, w.

    Returns:
        prototypes (C, width) float32, zero for a class without a pixel, and present (C,) bool.
    """
    ids = resize_nearest(label, (features.shape[2], features.shape[3]))  # (B, h, w)
    masks = F.one_hot(ids.masked_fill(ids == IGNORE, num_classes), num_classes + 1)[..., :-1].float()  # (B, h, w, C)
    sums = torch.einsum("bhwc,bdhw->cd", masks, features.float())  # (C, width)
    counts = masks.sum((0, 1, 2))[:, None]  # (C, 1)
    sums, counts = all_sum(torch.cat((sums, counts), dim=1)).split((sums.shape[1], 1), dim=1)
    return sums / counts.clamp(min=1), counts[:, 0] > 0  # divided once


def resize_nearest(label: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, H, W) ids -> (B, h, w): at each centre of the coarse grid the id of the pixel that is nearest to it.

    At stride 16 the centre of a cell lies between its pixels 7 and 8, and 8 is taken. This is torch's `nearest-exact`,
    for whole numbers; its `nearest` takes pixel 0, the corner, and would shift the labels by half a cell.
    """
    rows, columns = (
        (2 * torch.arange(coarse, device=label.device) + 1) * fine // (2 * coarse)
        for fine, coarse in zip(label.shape[-2:], size, strict=True)
    )
    return label[:, rows[:, None], columns]
