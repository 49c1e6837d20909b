"""3x3 matrices on pixels. Integer coordinates are pixel centres, as in `sartm_core.preprocess.registration`."""

from __future__ import annotations

import numpy as np


def scaling(source: tuple[int, int], target: tuple[int, int]) -> np.ndarray:
    """3x3 that takes pixels of a (width, height) image to those of the same image resized to `target`."""
    sx, sy = target[0] / source[0], target[1] / source[1]
    return np.array([[sx, 0, (sx - 1) / 2], [0, sy, (sy - 1) / 2], [0, 0, 1.0]])


def apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points (N, 2) x, y through a 3x3 matrix; infinite or NaN on its horizon."""
    moved = np.c_[points, np.ones(len(points))] @ matrix.T
    with np.errstate(divide="ignore", invalid="ignore"):
        return moved[:, :2] / moved[:, 2:]


def corners(size: tuple[int, int]) -> np.ndarray:
    """(4, 2) centres of the corner pixels of a (width, height) image."""
    w, h = size
    return np.array([[0, 0], [w - 1, 0], [0, h - 1], [w - 1, h - 1]], float)
