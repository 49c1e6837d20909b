"""The order of tokens in which Hiera's windows need no rearranging, worked out once per input size.

Every layer of a Hiera block but its attention works on each token alone, and attention does not care in which order its
tokens come. So the tokens of a stage are sorted by window once, and stay so from block to block; the 2x2 cells that
the next stage pools lie side by side. A window size that halves from stage to stage (8 -> 4, 14 -> 7) keeps its order
through the pooling; only where it does not (4 -> 14) the tokens are sorted anew.

Windows that stick out of the map are cut to what is inside; windows of one shape form a group. Hiera fills such a
window with zeros *before* qkv, so its keys are the bias of k. A constant added to all keys does not change a softmax:
take that bias away and they are zeros, which the attention appends (`Group.padding`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CELL = 4
"""Tokens that a transition between stages pools into one."""


@dataclass(frozen=True)
class Group:
    """Windows of one shape, side by side in the order."""

    windows: int
    tokens: int
    """In each window."""
    padding: int
    """Zero keys and values that the attention of each window sees besides."""

    @property
    def total(self) -> int:
        """Tokens in all windows."""
        return self.windows * self.tokens


@dataclass(frozen=True, eq=False)
class StageOrder:
    """How the tokens of one stage lie."""

    raster: np.ndarray
    """(T,) place of the i-th token in the row-major map."""
    groups: tuple[Group, ...]
    from_previous: np.ndarray | None
    """(T,) place of the i-th token among the pooled ones of the stage before; None: they come in this order."""

    @property
    def place(self) -> np.ndarray:
        """(T,) where in the order the i-th token of the row-major map is: sorts back."""
        return np.argsort(self.raster)


def stage_orders(height: int, width: int, windows: Sequence[int]) -> list[StageOrder]:
    """Orders for stages of window sizes `windows`, the first of (height, width) tokens, each of half the one before.

    Raises:
        ValueError: when pooling cells would straddle windows.
    """
    sizes = [(height >> s, width >> s) for s in range(len(windows))]
    rasters: list[np.ndarray] = []
    for stage in reversed(range(len(windows))):
        last = stage == len(windows) - 1
        if not last and windows[stage] == 2 * windows[stage + 1]:
            rasters.insert(0, _children(rasters[0], *sizes[stage]))
        elif last:
            rasters.insert(0, _by_window(*sizes[stage], windows[stage]))
        else:
            if windows[stage] % 2 or sizes[stage][0] % 2 or sizes[stage][1] % 2:
                raise ValueError(
                    f"stage {stage}: windows of {windows[stage]} on {sizes[stage]} cannot be pooled by 2x2"
                )
            cells = _by_window(*sizes[stage + 1], windows[stage] // 2)
            rasters.insert(0, _children(cells, *sizes[stage]))
    orders = []
    for stage, raster in enumerate(rasters):
        pooled = None
        if stage:
            columns = sizes[stage - 1][1]
            first = rasters[stage - 1][::CELL]  # upper left token of each cell
            at = (first // columns // 2) * sizes[stage][1] + first % columns // 2  # its place in this stage's map
            pooled = np.argsort(at)[raster]
            pooled = None if np.array_equal(pooled, np.arange(len(raster))) else pooled
        orders.append(StageOrder(raster, _groups(*sizes[stage], windows[stage]), pooled))
    return orders


def _spans(length: int, window: int) -> list[tuple[int, int]]:
    """(start, length) of the windows along one side."""
    return [(start, min(window, length - start)) for start in range(0, length, window)]


def _shapes(height: int, width: int, window: int) -> dict[tuple[int, int], list[tuple[int, int]]]:
    """Windows by shape (h, w), largest first: their upper left corners."""
    shapes: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for y, h in _spans(height, window):
        for x, w in _spans(width, window):
            shapes.setdefault((h, w), []).append((y, x))
    return shapes


def _groups(height: int, width: int, window: int) -> tuple[Group, ...]:
    shapes = _shapes(height, width, window)
    return tuple(Group(len(corners), h * w, window**2 - h * w) for (h, w), corners in shapes.items())


def _by_window(height: int, width: int, window: int) -> np.ndarray:
    """Row-major places of the tokens, window by window, each row by row."""
    place = np.arange(height * width).reshape(height, width)
    windows = [
        place[y : y + h, x : x + w].ravel()
        for (h, w), corners in _shapes(height, width, window).items()
        for y, x in corners
    ]
    return np.concatenate(windows)


def _children(cells: np.ndarray, height: int, width: int) -> np.ndarray:
    """Order of a (height, width) map whose 2x2 cells come in the order `cells`."""
    y, x = np.divmod(cells, width // 2)
    corner = 2 * y * width + 2 * x
    return (corner[:, None] + np.array([0, 1, width, width + 1])).ravel()  # (T,)
