"""From class scores of every 4th pixel to class ids and confidence at the camera's size.

The class of a pixel is the one of the largest score *after* bilinear enlarging. Where the four scores around it agree
on a class, no weighted mean of them can have another largest one, so there the answer is known without enlarging: on
a CPU only the pixels along borders are worked out, with the same result: a cell of pixels at a time where the camera
has a whole number of pixels per score, as with 640x480 frames, else pixel by pixel. With the confidence it is the same,
borders and all that is not certain: what is certain at four corners is so between them.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sartm_core.runtime.batching import FramePair
from sartm_core.support.classes import IGNORE

BORDER = 255
"""Marks cells whose corners differ; no class has this id."""
CERTAIN = 255
"""Confidence of 1."""
SURE = CERTAIN / (CERTAIN - 0.5)
"""Sum of all classes' exp(score - largest score) up to which the confidence is rounded to `CERTAIN`."""
TABLES_KEPT = 16
"""Sizes of cameras and networks, height and width each, whose tables stay in memory."""
FEW = 8
"""Classes up to which numpy finds the largest score sooner than torch."""
MANY = 0.2
"""Share of pixels along borders from which on enlarging everything is faster."""
MANY_UNSURE = 0.5
"""The same of those that are not certain, with the confidence."""


def picture(scores: Tensor, pair: FramePair, covered: tuple[int, int]) -> dict[str, Tensor]:
    """(C, h, w) -> `mask` and, if it is wanted, `confidence`, (H, W) uint8 each, at the pair's size.

    covered: size of the scores with their padding, in pixels of the camera.
    """
    height, width = pair.size
    with torch.inference_mode():
        if not (pair.confidence or pair.confidence_threshold > 0):
            return {"mask": class_ids(scores, covered)[:height, :width]}
        ids, confidence = (x[:height, :width] for x in ids_and_confidence(scores, covered))
        if pair.confidence_threshold > 0:
            ids.masked_fill_(confidence < pair.confidence_threshold * CERTAIN, IGNORE)
        return {"mask": ids, "confidence": confidence} if pair.confidence else {"mask": ids}


def probabilities(scores: Tensor, size: tuple[int, int], covered: tuple[int, int]) -> Tensor:
    """(C, h, w) -> softmax over the classes, (*size, C) float32; `covered` is what `size` is with the padding."""
    with torch.inference_mode():
        if covered != tuple(scores.shape[1:]):
            scores = enlarge(scores, covered)
        shares = scores[:, : size[0], : size[1]].float().softmax(0)  # (C, *size)
        return shares.permute(1, 2, 0)


def class_ids(scores: Tensor, size: tuple[int, int]) -> Tensor:
    """(C, h, w) float -> (H, W) uint8: the largest of `enlarge(scores, size)`, but for rounding of exact ties."""
    found = by_parts(scores, size)
    return enlarge(scores, size).max(0).indices.to(torch.uint8) if found is None else found[0]


def ids_and_confidence(scores: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """(C, h, w) float -> winning class (H, W) uint8 and its softmax scaled to 0..255 (H, W) uint8."""
    found = by_parts(scores, size, confidence=True)
    return answers(enlarge(scores, size)) if found is None else found


def by_parts(scores: Tensor, size: tuple[int, int], confidence: bool = False) -> tuple[Tensor, Tensor] | None:
    """Ids and, if wanted, confidence (else ids twice), worked out only where the scores around do not tell them.

    None where enlarging everything is faster: weights that know nothing, with borders everywhere; and on a GPU, where
    finding the borders would have to be waited for.
    """
    if scores.device.type != "cpu":
        return None
    known = cells(scores, confidence)  # (h + 1, w + 1)
    if np.count_nonzero(known == BORDER) > (MANY_UNSURE if confidence else MANY) * known.size:
        return None
    height, width = scores.shape[1:]
    times = size[0] // height
    whole = size == (times * height, times * width) and times % 2 == 0
    ids, sure = by_cell(scores, known, times, confidence) if whole else by_pixel(scores, known, size, confidence)
    return torch.from_numpy(ids), torch.from_numpy(sure)


def answers(logits: Tensor) -> tuple[Tensor, Tensor]:
    """(C, ...) logits, which are overwritten -> class and confidence, (...) uint8 each."""
    best, ids = logits.max(0)
    total = logits.sub_(best).exp_().sum(0)  # the winner's softmax is 1 / total
    return ids.to(torch.uint8), total.reciprocal_().mul_(CERTAIN).round_().to(torch.uint8)


def cells(scores: Tensor, confidence: bool = False) -> np.ndarray:
    """(C, h, w) -> (h + 1, w + 1) uint8: class of all pixels in a cell between scores, or `BORDER`.

    With confidence also where they are not all certain. The sum whose inverse is the winner's softmax is convex in the
    logits: between four corners it is nowhere larger than at one of them.
    """
    best = np.empty([n + 2 for n in scores.shape[1:]], np.uint8)  # (h + 2, w + 2), the rim repeated
    ids, top = winners(scores)
    if confidence:
        ids[totals(scores, top) > SURE] = BORDER
    best[1:-1, 1:-1] = ids
    best[0], best[-1] = best[1], best[-2]
    best[:, 0], best[:, -1] = best[:, 1], best[:, -2]
    corner = best[:-1, :-1]
    same = (corner == best[1:, :-1]) & (corner == best[:-1, 1:]) & (corner == best[1:, 1:])
    return np.where(same, corner, np.uint8(BORDER))


def winners(scores: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """(C, ...) -> class of the largest score, the first of equal ones, (...) uint8; that score, (...) float32."""
    if len(scores) > FEW:
        top, best = scores.float().max(0)
        return best.to(torch.uint8).numpy(), top.numpy()
    first, *others = scores.float().numpy()
    top, ids = first.copy(), np.zeros(first.shape, np.uint8)
    for c, other in enumerate(others, start=1):
        ids[other > top] = c
        np.maximum(top, other, out=top)
    return ids, top


def totals(logits: Tensor, top: np.ndarray) -> np.ndarray:
    """(C, ...) and the largest of each place -> sum over the classes of exp(logit - largest), the inverse of the
    winner's softmax: (...) float32."""
    total = np.zeros_like(top)
    for of_class in logits.float().numpy():
        less = of_class - top
        total += np.exp(less, out=less)
    return total


def by_cell(scores: Tensor, known: np.ndarray, times: int, confidence: bool) -> tuple[np.ndarray, np.ndarray]:
    """`known` and all pixels of its border cells, for `times` pixels per score -> (times * h, times * w) uint8 each.

    Then all cells are alike: the shares of the corners in their pixels are one small matrix.
    """
    classes, height, width = scores.shape
    down, across = known.shape
    ids = np.empty((down, times, across, times), np.uint8)
    ids.reshape(down, times, -1)[:] = known.repeat(times, axis=1)[:, None]
    sure = np.full(ids.shape, CERTAIN, np.uint8) if confidence else ids
    borders = np.flatnonzero(known == BORDER)  # (n,)
    if len(borders):
        places = torch.from_numpy(corner_places(height, width).take(borders, axis=1).ravel())  # (4 * n,)
        corners = scores.flatten(1).index_select(1, places).view(classes, 4, -1)  # (C, 4, n)
        pixels = corners.transpose(1, 2) @ shares(times)  # (C, n, times * times)
        i, j = np.divmod(borders, across)  # (n,) each
        for image, values in zip((ids, sure) if confidence else (ids,), told(pixels, confidence), strict=True):
            image[i, :, j] = values.reshape(-1, times, times)
    rim = times // 2  # the cells of the rim reach half beyond the image
    full, inside = (down * times, across * times), (slice(rim, -rim), slice(rim, -rim))
    cut = np.ascontiguousarray(ids.reshape(full)[inside])
    return cut, np.ascontiguousarray(sure.reshape(full)[inside]) if confidence else cut


def told(pixels: Tensor, confidence: bool) -> tuple[np.ndarray, ...]:
    """(C, ...) logits -> class and, if wanted, confidence (...) uint8."""
    ids, top = winners(pixels)
    if not confidence:
        return (ids,)
    return ids, np.rint(CERTAIN / totals(pixels, top)).astype(np.uint8)


@lru_cache(TABLES_KEPT)
def corner_places(height: int, width: int) -> np.ndarray:
    """(4, (height + 1) * (width + 1)): where the corners of each cell lie in a flat map, in the order of `shares`."""
    rows, columns = (np.stack([at - 1, at]).clip(0, n - 1) for n in (height, width) for at in [np.arange(n + 1)])
    return (rows[:, None, :, None] * width + columns[None, :, None, :]).reshape(4, -1)


@lru_cache(TABLES_KEPT)
def shares(times: int) -> Tensor:
    """(4, times * times): what the corners of a cell (upper left, upper right, lower left, lower right) add to its
    pixels, row by row."""
    second = (np.arange(times, dtype=np.float32) + np.float32(0.5)) / np.float32(times)
    sides = np.stack([1 - second, second])  # (2, times)
    return torch.from_numpy(np.einsum("ay,bx->abyx", sides, sides).reshape(4, -1))


def by_pixel(
    scores: Tensor, known: np.ndarray, size: tuple[int, int], confidence: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The same for any size -> (H, W) uint8 each; every pixel along a border by itself."""
    height, width = scores.shape[1:]
    (row, y0, y1, fy), (column, x0, x1, fx) = map(neighbours, (height, width), size)
    ids = known[row].take(column, axis=1)  # (H, W)
    border = ids == BORDER
    places = np.flatnonzero(border)  # (n,)
    y = np.repeat(np.arange(size[0]), border.sum(1))  # (n,)
    x = places - y * size[1]
    corners = [(line * width)[y] + across[x] for line in (y0, y1) for across in (x0, x1)]  # 4 of (n,)
    flat = scores.flatten(1)  # (C, h * w)
    upper_left, upper_right, lower_left, lower_right = (flat.index_select(1, torch.from_numpy(at)) for at in corners)
    across, down = torch.from_numpy(fx[x]), torch.from_numpy(fy[y])  # (n,) each
    upper, lower = torch.lerp(upper_left, upper_right, across), torch.lerp(lower_left, lower_right, across)  # (C, n)
    sure = np.full(size, CERTAIN, np.uint8) if confidence else ids
    pixels = told(torch.lerp(upper, lower, down), confidence)
    for image, values in zip((ids, sure) if confidence else (ids,), pixels, strict=True):
        image.ravel()[places] = values
    return ids, sure


def enlarge(scores: Tensor, size: tuple[int, int]) -> Tensor:
    """(C, h, w) -> (C, H, W), bilinear."""
    return F.interpolate(scores[None].float(), size, mode="bilinear", align_corners=False)[0]


@lru_cache(TABLES_KEPT)
def neighbours(length: int, full: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """For each of `full` places: its cell, the two of `length` around it, and the share of the second."""
    place = (np.arange(full, dtype=np.float32) + np.float32(0.5)) * np.float32(length / full) - np.float32(0.5)
    first = np.floor(place).astype(np.int64)  # from -1 to length - 1
    share = place - first.astype(np.float32)
    return first + 1, first.clip(min=0), (first + 1).clip(max=length - 1), share
