"""From class scores of every 4th pixel to class ids and confidence at the camera's size.

The class of a pixel is the one of the largest score *after* bilinear enlarging. Where the four scores around it agree
on a class, no weighted mean of them can have another largest one, so there the answer is known without enlarging: on
a CPU `class_ids` only works out the pixels along borders, with the same result.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

BORDER = 255
"""Marks cells whose corners differ; no class has this id."""
MANY = 0.2
"""Share of pixels along borders from which on enlarging everything is faster."""


def class_ids(scores: Tensor, size: tuple[int, int]) -> Tensor:
    """(C, h, w) float -> (H, W) uint8: the largest of `enlarge(scores, size)`, but for rounding of exact ties."""
    if scores.device.type != "cpu":  # finding the borders would wait for the GPU; it enlarges in no time
        return enlarge(scores, size).max(0).indices.to(torch.uint8)
    height, width = scores.shape[1:]
    (row, y0, y1, fy), (column, x0, x1, fx) = map(neighbours, (height, width), size)
    ids = cells(scores).index_select(1, column).index_select(0, row)  # (H, W)
    places = (ids.view(-1) == BORDER).nonzero()[:, 0]  # (n,)
    if len(places) > MANY * ids.numel():  # weights that know nothing: borders everywhere
        return enlarge(scores, size).max(0).indices.to(torch.uint8)
    y, x = places // size[1], places % size[1]  # (n,) each
    pixels = scores.flatten(1)  # (C, h * w)
    above, below, left, right, across, down = y0[y] * width, y1[y] * width, x0[x], x1[x], fx[x], fy[y]
    upper = torch.lerp(pixels.index_select(1, above + left), pixels.index_select(1, above + right), across)  # (C, n)
    lower = torch.lerp(pixels.index_select(1, below + left), pixels.index_select(1, below + right), across)
    ids.view(-1)[places] = torch.lerp(upper, lower, down).max(0).indices.to(torch.uint8)
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


def neighbours(length: int, full: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """For each of `full` places: its cell, the two of `length` around it, and the share of the second."""
    place = (torch.arange(full, dtype=torch.float32) + 0.5) * (length / full) - 0.5  # from -0.5 to length - 0.5
    first = place.floor().long()
    share = place - first
    return first + 1, first.clamp(min=0), (first + 1).clamp(max=length - 1), share
