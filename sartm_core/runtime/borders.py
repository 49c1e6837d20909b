"""From scores of every 4th pixel to class ids and confidence with NumPy: only what is not known is worked out.

Where the four scores around a pixel agree on a class, no weighted mean of them can have another largest one, so there
the answer is known without enlarging. Only the pixels along borders are worked out, with the same result: a cell of
pixels at a time where the camera has a whole number of pixels per score, as with 640x480 frames, else pixel by pixel.
With the confidence it is the same, borders and all that is not certain: what is certain at four corners is so between
them.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from sartm_core.preprocess.resize import between, neighbours

BORDER = 255
"""Marks cells whose corners differ; no class has this id."""
CERTAIN = 255
"""Confidence of 1."""
SURE = CERTAIN / (CERTAIN - 0.5)
"""Sum of all classes' exp(score - largest score) up to which the confidence is rounded to `CERTAIN`."""
TABLES_KEPT = 16
"""Sizes of cameras and networks, height and width each, whose tables stay in memory."""


def by_parts(
    scores: np.ndarray, size: tuple[int, int], confidence: bool = False, most: float = 1.0
) -> tuple[np.ndarray, np.ndarray] | None:
    """(C, h, w) float32 -> ids and, if wanted, confidence (else ids twice), (*size) uint8 each.

    None where more than the share `most` of the cells is to be worked out: weights that know nothing, with borders
    everywhere.
    """
    known = cells(scores, confidence)  # (h + 1, w + 1)
    if np.count_nonzero(known == BORDER) > most * known.size:
        return None
    height, width = scores.shape[1:]
    times = size[0] // height
    whole = size == (times * height, times * width) and times % 2 == 0
    return by_cell(scores, known, times, confidence) if whole else by_pixel(scores, known, size, confidence)


def cells(scores: np.ndarray, confidence: bool = False) -> np.ndarray:
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


def winners(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(C, ...) -> class of the largest score, the first of equal ones, (...) uint8; that score, (...) float32."""
    first, *others = scores
    top, ids = first.copy(), np.zeros(first.shape, np.uint8)
    for c, other in enumerate(others, start=1):
        ids[other > top] = c
        np.maximum(top, other, out=top)
    return ids, top


def totals(logits: np.ndarray, top: np.ndarray) -> np.ndarray:
    """(C, ...) and the largest of each place -> sum over the classes of exp(logit - largest), the inverse of the
    winner's softmax: (...) float32."""
    total = np.zeros_like(top)
    for of_class in logits:
        less = of_class - top
        total += np.exp(less, out=less)
    return total


def by_cell(scores: np.ndarray, known: np.ndarray, times: int, confidence: bool) -> tuple[np.ndarray, np.ndarray]:
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
        places = corner_places(height, width).take(borders, axis=1)  # (4, n)
        corners = scores.reshape(classes, -1).take(places, axis=1)  # (C, 4, n)
        pixels = corners.transpose(0, 2, 1) @ shares(times)  # (C, n, times * times)
        i, j = np.divmod(borders, across)  # (n,) each
        for image, values in zip((ids, sure) if confidence else (ids,), told(pixels, confidence), strict=True):
            image[i, :, j] = values.reshape(-1, times, times)
    rim = times // 2  # the cells of the rim reach half beyond the image
    full, inside = (down * times, across * times), (slice(rim, -rim), slice(rim, -rim))
    cut = np.ascontiguousarray(ids.reshape(full)[inside])
    return cut, np.ascontiguousarray(sure.reshape(full)[inside]) if confidence else cut


def told(pixels: np.ndarray, confidence: bool) -> tuple[np.ndarray, ...]:
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
def shares(times: int) -> np.ndarray:
    """(4, times * times): what the corners of a cell (upper left, upper right, lower left, lower right) add to its
    pixels, row by row."""
    second = (np.arange(times, dtype=np.float32) + np.float32(0.5)) / np.float32(times)
    sides = np.stack([1 - second, second])  # (2, times)
    return np.einsum("ay,bx->abyx", sides, sides).reshape(4, -1)


def by_pixel(
    scores: np.ndarray, known: np.ndarray, size: tuple[int, int], confidence: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The same for any size -> (H, W) uint8 each; every pixel along a border by itself."""
    height, width = scores.shape[1:]
    (row, y0, y1, fy), (column, x0, x1, fx) = map(neighbours, (height, width), size)
    ids = known[row].take(column, axis=1)  # (H, W)
    border = ids == BORDER
    places = np.flatnonzero(border)  # (n,)
    y = np.repeat(np.arange(size[0]), border.sum(1))  # (n,)
    x = places - y * size[1]
    flat = scores.reshape(len(scores), -1)  # (C, h * w)
    corners = ((line * width)[y] + across[x] for line in (y0, y1) for across in (x0, x1))  # 4 of (n,)
    upper_left, upper_right, lower_left, lower_right = (flat.take(at, axis=1) for at in corners)  # (C, n) each
    upper, lower = between(upper_left, upper_right, fx[x]), between(lower_left, lower_right, fx[x])
    sure = np.full(size, CERTAIN, np.uint8) if confidence else ids
    pixels = told(between(upper, lower, fy[y]), confidence)
    for image, values in zip((ids, sure) if confidence else (ids,), pixels, strict=True):
        image.ravel()[places] = values
    return ids, sure
