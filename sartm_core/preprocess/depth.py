"""Depth images as ROS has them, in metres."""

from __future__ import annotations

import numpy as np

MILLIMETRES = np.float32(1000)
"""In a metre."""


def metres(depth: np.ndarray) -> np.ndarray:
    """(H, W) uint16 millimetres (16UC1) or float32 metres (32FC1) -> (H, W) float32 metres, NaN where there is none.

    0, negative and infinite mean none as well. ValueError for another type.
    """
    if depth.ndim != 2 or depth.size == 0 or depth.dtype not in (np.uint16, np.float32):
        raise ValueError(
            f"depth: got shape {depth.shape} {depth.dtype}; expected (H, W) uint16 millimetres or float32 metres"
        )
    found = depth / MILLIMETRES if depth.dtype == np.uint16 else depth
    return np.where((found > 0) & (found < np.inf), found, np.float32(np.nan))
