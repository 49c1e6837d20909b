"""What a colour and a thermal picture of one scene have in common: where edges are and which way they run.

Brightness does not carry over between the cameras, nor does the sign of an edge (a dark coat is warm). What stays is
the strength of the gradient by direction, directions taken modulo 180 degrees: `CHANNELS` smoothed maps, normalised in
every pixel so that faint edges count too (channel features of oriented gradients, Ye et al. 2019).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from sartm_ros.calibration.needs import ndimage

CHANNELS = 6
"""Directions an edge may run, 0 to 180 degrees."""
DENOISE = 1.0
"""Standard deviation of the Gaussian before the gradient, pixels."""
POOL = 1.5
"""Standard deviation of the Gaussian on every channel, pixels: how far edges of the two may lie apart and match."""
LOCAL = 6.0
"""Standard deviation of the Gaussian whose result is taken off: that both have a busy horizon is no match."""
FLOOR = 1.0
"""Gradients below this many times the median one are faded out as noise."""
FADE = 4
"""Pixels beside missing data that count as missing too."""
ZERO_GAP = 0.1
"""Zeros of an integer image are holes when the other values start above this part of their range."""


@dataclass(frozen=True, eq=False)
class Structure:
    """Edges by direction; zero where there is no data."""

    channels: np.ndarray
    """(CHANNELS, H, W) float32, about 0 in the mean of every neighbourhood."""
    mask: np.ndarray
    """(H, W) float32, 1 where there is data."""


def grey(rgb: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 -> (H, W) float32 brightness; the square root lifts the dark parts of a night."""
    return np.sqrt(rgb.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32))


def heat(thermal: np.ndarray) -> np.ndarray:
    """(h, w) of any type -> (h, w) float32 cut to its 0.5..99.5 percentiles; NaN where the camera has no value.

    Zeros of an integer image are such holes when nothing else is near them: frames warped by somebody have black rims.
    """
    values = thermal.astype(np.float32)
    values[~np.isfinite(values)] = np.nan
    if thermal.dtype.kind in "ui" and (values == 0).any() and (values > 0).any():
        low, high = np.percentile(values[values > 0], (0.5, 99.5))
        if low > ZERO_GAP * (high - low) + 1:
            values[values == 0] = np.nan
    known = values[np.isfinite(values)]
    if known.size == 0:
        return values
    low, high = np.percentile(known, (0.5, 99.5))
    return np.clip(values, low, max(high, low + 1e-6))


def reduce(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W) float32 -> (height, width) of `size` = (width, height), box-averaged; a pixel with a NaN in it is NaN."""
    return np.array(Image.fromarray(image).resize(size, Image.Resampling.BOX))


def warp(image: np.ndarray, matrix: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """`image` (h, w) float32 as seen through `matrix`, 3x3: its pixel (x, y, 1) -> pixel of the result (H, W).

    Bilinear; NaN outside the image.
    """
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    a = np.linalg.inv(matrix).astype(np.float64)
    w = a[2, 0] * columns + a[2, 1] * rows + a[2, 2]
    w = np.where(np.abs(w) < 1e-9, 1e-9, w)
    x = (a[0, 0] * columns + a[0, 1] * rows + a[0, 2]) / w
    y = (a[1, 0] * columns + a[1, 1] * rows + a[1, 2]) / w
    inside = (x >= -0.5) & (x <= image.shape[1] - 0.5) & (y >= -0.5) & (y <= image.shape[0] - 0.5) & (w > 0)
    result = ndimage().map_coordinates(image, (y, x), order=1, mode="nearest", output=np.float32)
    return np.where(inside, result, np.float32(np.nan))


def structure(image: np.ndarray) -> Structure:
    """(H, W) float32, NaN where there is no data -> its `Structure`."""
    scipy = ndimage()
    known = np.isfinite(image)
    mask = known
    if not known.all():
        mask = scipy.binary_erosion(known, iterations=FADE, border_value=1)
        image = fill(image, known)
    smooth = scipy.gaussian_filter(image, DENOISE)
    down, right = scipy.sobel(smooth, 0), scipy.sobel(smooth, 1)
    angles = np.arange(CHANNELS, dtype=np.float32) * (np.pi / CHANNELS)
    strength = np.abs(np.cos(angles)[:, None, None] * right + np.sin(angles)[:, None, None] * down)  # (C, H, W)
    strength *= mask
    strength = scipy.gaussian_filter(strength, (0, POOL, POOL))
    strength = (np.roll(strength, 1, 0) + 2 * strength + np.roll(strength, -1, 0)) / 4
    total = np.sqrt((strength**2).sum(axis=0))  # (H, W)
    floor = FLOOR * float(np.median(total[mask])) if mask.any() else 0.0
    channels = strength / (total + floor + 1e-6)
    cover = mask.astype(np.float32)
    channels *= cover
    channels -= scipy.gaussian_filter(channels, (0, LOCAL, LOCAL)) / np.maximum(
        scipy.gaussian_filter(cover, LOCAL), 1e-3
    )
    return Structure(channels * cover, cover)


def fill(image: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The image with the nearest known value in place of the unknown ones, so that holes have no edges."""
    if not known.any():
        return np.zeros_like(image)
    nearest = ndimage().distance_transform_edt(~known, return_distances=False, return_indices=True)
    return image[tuple(nearest)]
