"""What 3x3 matrices do to pixels, and which of them are no use. Sizes are (width, height)."""

from __future__ import annotations

import numpy as np

MAX_CONDITION = 1e4
"""Largest condition number of a matrix, both views scaled to -1..1. Real camera pairs stay under a few hundred."""


def project(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Homography (3, 3) of points (..., 2) -> (..., 2) float64; inf or nan on the horizon."""
    moved = points @ matrix[:, :2].T + matrix[:, 2]  # (..., 3)
    with np.errstate(divide="ignore", invalid="ignore"):
        return moved[..., :2] / moved[..., 2:]


def footprint(matrix: np.ndarray, points: np.ndarray) -> tuple[float, float]:
    """Size in x and in y of what (3, 3) makes of one pixel, median over points (N, 2)."""
    depth = points @ matrix[2, :2] + matrix[2, 2]  # (N,)
    images = project(matrix, points)  # (N, 2)
    moves = (matrix[:2, :2] - images[:, :, None] * matrix[2, :2]) / depth[:, None, None]  # (N, 2, 2) Jacobian
    along_x, along_y = np.median(np.hypot(moves[..., 0], moves[..., 1]), axis=0)
    return float(along_x), float(along_y)


def resizing_matrix(source: tuple[int, int], target: tuple[int, int]) -> np.ndarray:
    """(3, 3): pixel of a (width, height) frame -> its place after a resize to `target`, edges on edges."""
    if source == target:
        return np.eye(3)
    x, y = target[0] / source[0], target[1] / source[1]
    return np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]])


def unit_matrix(size: tuple[int, int]) -> np.ndarray:
    """(3, 3): pixel of a (width, height) frame -> -1..1 from edge to edge."""
    return np.array([[2 / size[0], 0, 1 / size[0] - 1], [0, 2 / size[1], 1 / size[1] - 1], [0, 0, 1]])


def check_invertible(matrix: np.ndarray, thermal_size: tuple[int, int], rgb_size: tuple[int, int]) -> None:
    """ValueError when (3, 3) squeezes the plane so much that the way back is lost in rounding."""
    normalized = unit_matrix(rgb_size) @ matrix @ np.linalg.inv(unit_matrix(thermal_size))
    condition = np.linalg.cond(normalized) if np.isfinite(normalized).all() else np.inf
    if not condition <= MAX_CONDITION:
        raise ValueError(
            f"registration.homography: got {matrix.ravel().tolist()}, which cannot be inverted (condition "
            f"{condition:.1e}, at most {MAX_CONDITION:.0e}); were the points it was made from on one line?"
        )


def check_horizon(matrix: np.ndarray, thermal_size: tuple[int, int]) -> None:
    """ValueError when the line that (3, 3) maps to infinity crosses the thermal frame."""
    width, height = thermal_size
    corners = np.array([(x - 0.5, y - 0.5, 1) for x in (0, width) for y in (0, height)])  # (4, 3)
    depth = corners @ matrix[2]
    if not (np.all(depth > 0) or np.all(depth < 0)):
        raise ValueError(
            f"registration.homography: got {matrix.ravel().tolist()}, which maps points of the thermal frame "
            f"{width}x{height} to infinity; expected the last row to keep one sign over the frame"
        )
