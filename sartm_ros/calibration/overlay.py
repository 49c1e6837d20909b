"""A picture to judge a registration by eye: thermal edges on the colour image, a checkerboard, before and after."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from sartm_core.preprocess.homography import resizing_matrix
from sartm_core.support.visualize import contact_sheet
from sartm_ros.calibration.needs import ndimage
from sartm_ros.calibration.sources import FramePair
from sartm_ros.calibration.structure import fill, heat, warp

CELL_WIDTH = 640
"""Pictures are shown no wider than this."""
FRAMES = 3
"""Frames shown at most."""
EDGE = (255, 70, 0)
EDGE_SHARE = 8.0
"""Percent of the pixels drawn as thermal edges."""
DIM = 0.75
"""Brightness of the colour image under them."""
SQUARES = 8
"""Columns of the checkerboard."""
COLUMNS = ("before: thermal edges on rgb, frames stretched onto each other", "after: registered", "checkerboard")


def overlay(frames: Sequence[FramePair], matrix: np.ndarray) -> Image.Image:
    """One row a frame; `matrix` 3x3 takes thermal to rgb pixels."""
    shown = frames[:FRAMES]
    return contact_sheet([_row(frame, matrix) for frame in shown], COLUMNS, [frame.name for frame in shown])


def _row(frame: FramePair, matrix: np.ndarray) -> list[np.ndarray]:
    """The three pictures (H, W, 3) uint8 of one frame."""
    height, width = frame.rgb.shape[:2]
    size = (CELL_WIDTH, round(height * CELL_WIDTH / width)) if width > CELL_WIDTH else (width, height)
    rgb = np.array(Image.fromarray(np.ascontiguousarray(frame.rgb)).resize(size, Image.Resampling.BOX))
    small = resizing_matrix((width, height), size)
    h, w = frame.thermal.shape
    before = warp(heat(frame.thermal), resizing_matrix((w, h), size), (size[1], size[0]))
    after = warp(heat(frame.thermal), small @ matrix, (size[1], size[0]))
    return [with_edges(rgb, before), with_edges(rgb, after), checkerboard(rgb, after)]


def with_edges(rgb: np.ndarray, thermal: np.ndarray) -> np.ndarray:
    """The thermal image's strongest edges drawn on rgb; both (H, W), thermal NaN where it sees nothing."""
    known = np.isfinite(thermal)
    picture = (rgb * DIM).astype(np.uint8)
    if not known.any():
        return picture
    smooth = ndimage().gaussian_filter(fill(thermal, known), 1.0)
    strength = np.hypot(*np.gradient(smooth)) * known
    picture[strength > max(np.percentile(strength[known], 100 - EDGE_SHARE), 0)] = EDGE
    rim = known & ~ndimage().binary_erosion(known, border_value=1)
    picture[rim] = (255, 255, 255)
    return picture


def checkerboard(rgb: np.ndarray, thermal: np.ndarray) -> np.ndarray:
    """Squares of rgb and of thermal in turn; lines should run on across their borders."""
    known = np.isfinite(thermal)
    side = max(1, rgb.shape[1] // SQUARES)
    rows, columns = np.indices(thermal.shape) // side
    shown = ((rows + columns) % 2 == 1) & known
    picture = rgb.copy()
    picture[shown] = as_bytes(thermal)[shown, None]
    return picture


def as_bytes(thermal: np.ndarray) -> np.ndarray:
    """(h, w) of any type, stretched over its range -> (h, w) uint8; NaN becomes black."""
    values = heat(thermal)
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    return (np.nan_to_num((values - low) / max(high - low, 1e-6), nan=0.0) * 255).astype(np.uint8)
