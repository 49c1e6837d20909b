"""The warp of a thermal frame into the rgb view with NumPy: what `Registration.warp` does, for CPUs without torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sartm_core.preprocess.registration import Registration, located
from sartm_core.preprocess.resize import between, resized


@dataclass(frozen=True, eq=False)
class Places:
    """Where each pixel of the model input is found in the thermal frame, whose last row and column are there twice."""

    upper_left: np.ndarray
    """(H, W) intp: the first of the four pixels around it, its place in the flat frame."""
    right: np.ndarray
    """(H, W) float32, 0..1: how far it is from there to the next column."""
    below: np.ndarray
    """(H, W) float32: the same to the next row."""
    inside: np.ndarray
    """(H, W) bool: whether the thermal camera sees it."""
    shrink_to: tuple[int, int]
    """(h', w') the thermal frame is resized to before."""


PlaceMaker = Callable[[Registration, tuple[int, int], tuple[int, int], tuple[int, int]], Places]
"""`places` or a cache of it."""


def places(
    registration: Registration, thermal_size: tuple[int, int], rgb_size: tuple[int, int], size: tuple[int, int]
) -> Places:
    """As `registration.sampling_grid`, sizes (width, height)."""
    where, inside, shrink_to = located(registration, thermal_size, rgb_size, size)
    lengths = np.array(shrink_to[::-1])
    pixels = (((where + 1) * lengths - 1) / 2).clip(0, lengths - 1)  # (H, W, 2) x, y
    first = np.floor(pixels)
    right, below = np.moveaxis((pixels - first).astype(np.float32), -1, 0)
    left, top = np.moveaxis(first.astype(np.intp), -1, 0)
    return Places(
        top * (shrink_to[1] + 1) + left, np.ascontiguousarray(right), np.ascontiguousarray(below), inside, shrink_to
    )


def warped(
    thermal: np.ndarray, registration: Registration, rgb_size: tuple[int, int], size: tuple[int, int],
    make: PlaceMaker | None = None,
) -> np.ndarray:  # fmt: skip
    """(h, w) float32 -> (*size), as `Registration.warp`; make: a cached `places`. ValueError as of that."""
    there = (make or places)(registration, thermal.shape[::-1], rgb_size[::-1], size[::-1])
    image = np.pad(resized(thermal, there.shrink_to), ((0, 1), (0, 1)), "edge")  # (h' + 1, w' + 1)
    flat, row = image.ravel(), image.shape[1]
    upper, lower = (
        between(flat[at:].take(there.upper_left), flat[at + 1 :].take(there.upper_left), there.right) for at in (0, row)
    )  # (H, W) each
    found = between(upper, lower, there.below)
    found *= there.inside
    return found
