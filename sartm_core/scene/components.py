"""Connected components of a class mask, by runs: fast enough for every frame without a compiled library.

Each row is cut into runs of one class. Runs of neighbouring rows that touch, diagonally too, belong together; joining
them is union-find on whole arrays: every run points at the smallest run it knows to be connected with, until all agree.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Components:
    """Components 0 .. n - 1 of one mask, in the order of their first pixel, row by row."""

    shape: tuple[int, int]
    """(H, W) of the mask."""
    starts: np.ndarray
    """(R,) int64: where each run begins in the flat mask; all runs, background too."""
    lengths: np.ndarray
    """(R,) int64: its pixels."""
    owner: np.ndarray
    """(R,) int64: its component, -1 of none."""
    ids: np.ndarray
    """(n,) uint8: class of each component."""
    pixels: np.ndarray
    """(n,) int64."""

    def labels(self) -> np.ndarray:
        """(H, W) int32: the component of each pixel, -1 of none."""
        return np.repeat(self.owner.astype(np.int32), self.lengths).reshape(self.shape)

    def sums(self, image: np.ndarray) -> np.ndarray:
        """(n,) int64: sum of an (H, W) integer image over each component, exact."""
        by_run = np.add.reduceat(image.ravel(), self.starts, dtype=np.int64)  # (R,)
        return self._per_component(by_run)

    def boxes(self) -> np.ndarray:
        """(n, 4) int64: x, y, width, height."""
        run, owner, row, first = self._of_components()
        last = first + self.lengths[run] - 1
        least = np.full((2, len(self.ids)), max(self.shape), np.int64)
        most = np.full((2, len(self.ids)), -1, np.int64)
        for axis, low, high in ((0, first, last), (1, row, row)):
            np.minimum.at(least[axis], owner, low)
            np.maximum.at(most[axis], owner, high)
        return np.concatenate([least, most - least + 1]).T  # (n, 4)

    def centroids(self) -> np.ndarray:
        """(n, 2) float64: mean x, y; integer coordinates are pixel centres."""
        run, owner, row, first = self._of_components()
        length = self.lengths[run]
        twice_x = np.bincount(owner, length * (2 * first + length - 1), len(self.ids))  # sums of 2 x, exact in float64
        y = np.bincount(owner, length * row, len(self.ids))
        return np.stack([twice_x / 2, y], 1) / self.pixels[:, None]

    def _of_components(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Runs that belong to a component: their places, components, rows and first columns, (r,) each."""
        run = np.flatnonzero(self.owner >= 0)
        row, first = np.divmod(self.starts[run], self.shape[1])
        return run, self.owner[run], row, first

    def _per_component(self, by_run: np.ndarray) -> np.ndarray:
        run = np.flatnonzero(self.owner >= 0)
        return np.bincount(self.owner[run], by_run[run], len(self.ids)).astype(np.int64)


def components(mask: np.ndarray, ignored: tuple[int, ...] = (0, 255), min_pixels: int = 1) -> Components:
    """8-connected components of each class of a mask.

    Args:
        mask: (H, W) uint8 class ids, or bool.
        ignored: ids that are of no component: background, and 255 where no class was sure enough.
        min_pixels: smaller components are left out.

    ValueError: the mask is of another type or empty, or `min_pixels` is below 1.
    """
    if mask.ndim != 2 or mask.dtype not in (np.uint8, np.bool_) or mask.size == 0:
        raise ValueError(f"mask: got shape {mask.shape} {mask.dtype}; expected (H, W) uint8 class ids or bool")
    if min_pixels < 1:
        raise ValueError(f"min_pixels: got {min_pixels}, expected 1 or more")
    mask = np.ascontiguousarray(mask).view(np.uint8)
    height, width = mask.shape
    new = np.ones((height, width), np.bool_)
    np.not_equal(mask[:, 1:], mask[:, :-1], out=new[:, 1:])
    starts = np.flatnonzero(new)  # (R,)
    lengths = np.diff(starts, append=mask.size)
    values = mask.ravel()[starts]
    foreground = np.flatnonzero(~np.isin(values, np.array(ignored, np.uint8)))  # (F,)
    row, first = np.divmod(starts[foreground], width)
    a, b = touching(row, first, first + lengths[foreground], width)
    same = values[foreground[a]] == values[foreground[b]]
    root = joined(len(foreground), a[same], b[same])  # (F,)
    pixels = np.bincount(root, lengths[foreground], len(foreground)).astype(np.int64)  # (F,), at the roots
    kept = np.flatnonzero(pixels >= min_pixels)  # the roots of what stays
    number = np.full(len(foreground), -1, np.int64)
    number[kept] = np.arange(len(kept))
    owner = np.full(len(starts), -1, np.int64)
    owner[foreground] = number[root]
    return Components((height, width), starts, lengths, owner, values[foreground[kept]], pixels[kept])


def touching(row: np.ndarray, first: np.ndarray, end: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of runs (indices a, b) with b in the row below a and touching it, corners count; runs in raster order.

    first, end: (F,) column of the first pixel, and of the one after the last.
    """
    stride = width + 2  # so that a run's end, up to `width`, stays apart from the next row's first column - 1
    below = (row + 1) * stride
    low = np.searchsorted(row * stride + end, below + first, "left")  # first run below that ends at or after a's first
    high = np.searchsorted(row * stride + first, below + end, "right")  # first one below that starts after a's end
    count = np.maximum(high - low, 0)
    a = np.repeat(np.arange(len(row)), count)
    return a, np.arange(len(a)) - np.repeat(np.cumsum(count) - count, count) + low[a]


def joined(count: int, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(count,) int64: smallest member of the set that each of `count` things is in; a[i] and b[i] are in one."""
    root = np.arange(count)
    while len(a):
        np.minimum.at(root, np.maximum(root[a], root[b]), np.minimum(root[a], root[b]))
        while True:  # everybody points at the end of its chain
            further = root[root]
            if np.array_equal(further, root):
                break
            root = further
        apart = root[a] != root[b]
        a, b = a[apart], b[apart]
    return root
