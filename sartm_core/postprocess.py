"""From class scores of every 4th pixel to class ids and confidence at the camera's size.

The class of a pixel is the one of the largest score *after* bilinear enlarging. Where the four scores around it agree
on a class, no weighted mean of them can have another largest one, so there the answer is known without enlarging: on
a CPU `class_ids` only works out the pixels along borders, with the same result.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

BORDER = 255
"""Marks cells whose corners differ; no class has this id."""
TABLES_KEPT = 16
"""Sizes of cameras and networks, height and width each, whose tables stay in memory."""
MANY = 0.2
"""Share of pixels along borders from which on enlarging everything is faster."""


def class_ids(scores: Tensor, size: tuple[int, int]) -> Tensor:
    """(C, h, w) float -> (H, W) uint8: the largest of `enlarge(scores, size)`, but for rounding of exact ties."""
    if scores.device.type != "cpu":  # finding the borders would wait for the GPU; it enlarges in no time
        return enlarge(scores, size).max(0).indices.to(torch.uint8)
    height, width = scores.shape[1:]
    (row, y0, y1, fy), (column, x0, x1, fx) = map(neighbours, (height, width), size)
    ids = cells(scores).index_select(1, column).index_select(0, row)  # (H, W)
    border = ids.numpy() == BORDER  # numpy finds and fetches single places many times faster than torch
    places = np.flatnonzero(border)  # (n,)
    if len(places) > MANY * border.size:  # weights that know nothing: borders everywhere
        return enlarge(scores, size).max(0).indices.to(torch.uint8)
    y = np.repeat(np.arange(size[0]), border.sum(1))  # (n,)
    x = places - y * size[1]
    corners = [(line * width)[y] + across[x] for line in (y0, y1) for across in (x0, x1)]  # 4 of (n,)
    pixels = scores.flatten(1)  # (C, h * w)
    upper_left, upper_right, lower_left, lower_right = (pixels.index_select(1, torch.from_numpy(at)) for at in corners)
    across, down = torch.from_numpy(fx[x]), torch.from_numpy(fy[y])  # (n,) each
    upper, lower = torch.lerp(upper_left, upper_right, across), torch.lerp(lower_left, lower_right, across)  # (C, n)
    ids.numpy().ravel()[places] = torch.lerp(upper, lower, down).max(0).indices.numpy()
    return ids


def cells(scores: Tensor) -> Tensor:
    """(C, h, w) -> (h + 1, w + 1) uint8: class at all four corners of a cell between scores, or `BORDER`."""
    rows, columns = (torch.arange(-1, n + 1).clamp_(0, n - 1) for n in scores.shape[1:])
    best = scores.max(0).indices.to(torch.uint8)[rows][:, columns]  # (h + 2, w + 2), the rim repeated
    corner = best[:-1, :-1]
    same = (corner == best[1:, :-1]) & (corner == best[:-1, 1:]) & (corner == best[1:, 1:])
    return torch.where(same, corner, BORDER)


def ids_and_confidence(scores: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """(C, h, w) float -> winning class (H, W) uint8 and its softmax scaled to 0..255 (H, W) uint8."""
    logits = enlarge(scores, size)  # (C, H, W)
    best, ids = logits.max(0)  # (H, W) each
    total = logits.sub_(best).exp_().sum(0)  # (H, W): the winner's softmax is 1 / total
    return ids.to(torch.uint8), total.reciprocal_().mul_(255).round_().to(torch.uint8)


def enlarge(scores: Tensor, size: tuple[int, int]) -> Tensor:
    """(C, h, w) -> (C, H, W), bilinear."""
    return F.interpolate(scores[None].float(), size, mode="bilinear", align_corners=False)[0]


@lru_cache(TABLES_KEPT)
def neighbours(length: int, full: int) -> tuple[Tensor, np.ndarray, np.ndarray, np.ndarray]:
    """For each of `full` places: its cell, the two of `length` around it, and the share of the second."""
    place = (np.arange(full, dtype=np.float32) + np.float32(0.5)) * np.float32(length / full) - np.float32(0.5)
    first = np.floor(place).astype(np.int64)  # from -1 to length - 1
    share = place - first.astype(np.float32)
    return torch.from_numpy(first + 1), first.clip(min=0), (first + 1).clip(max=length - 1), share
