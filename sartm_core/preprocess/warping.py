"""The warp of a thermal frame into the rgb view with NumPy: what `Registration.warp` does, for CPUs without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

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

    def rows(self, rows: slice) -> Places:
        """Views of some rows."""
        return Places(self.upper_left[rows], self.right[rows], self.below[rows], self.inside[rows], self.shrink_to)

    def or_else(self, other: Places, lacking: np.ndarray) -> Places:
        """With those of another mapping where (H, W) bool `lacking`; changes this one."""
        for own, its in zip(
            (self.upper_left, self.right, self.below, self.inside),
            (other.upper_left, other.right, other.below, other.inside),
            strict=True,
        ):
            np.copyto(own, its, where=lacking)
        return self


class PlaceMaker(Protocol):
    """`places` or a cache of it."""

    def __call__(
        self,
        registration: Registration,
        thermal_size: tuple[int, int],
        rgb_size: tuple[int, int],
        size: tuple[int, int],
        shrink_to: tuple[int, int] | None = None,
        /,
    ) -> Places: ...


def places(
    registration: Registration,
    thermal_size: tuple[int, int],
    rgb_size: tuple[int, int],
    size: tuple[int, int],
    shrink_to: tuple[int, int] | None = None,
) -> Places:
    """As `registration.sampling_grid`, sizes (width, height); shrink_to: (h', w') in place of what is best for it."""
    where, inside, best = located(registration, thermal_size, rgb_size, size)
    shrunk = shrink_to or best
    x, y = (((where[..., axis] + 1) * length - 1) / 2 for axis, length in enumerate(shrunk[::-1]))  # (H, W) each
    return places_at(x, y, inside, shrunk)


def places_at(x: np.ndarray, y: np.ndarray, inside: np.ndarray, shrunk: tuple[int, int]) -> Places:
    """Of (H, W) pixels of a frame resized to (h', w'): anything finite, kept within it."""
    shares = []
    index = np.zeros(x.shape, np.intp)
    for place, length, step in ((y, shrunk[0], shrunk[1] + 1), (x, shrunk[1], 1)):
        pixel = place.clip(0, length - 1)
        first = np.floor(pixel)
        pixel -= first
        shares.append(pixel.astype(np.float32, copy=False))
        first *= step
        index += first.astype(np.intp)
    below, right = shares
    return Places(index, right, below, inside, shrunk)


def warped(
    thermal: np.ndarray, registration: Registration, rgb_size: tuple[int, int], size: tuple[int, int],
    make: PlaceMaker | None = None,
) -> np.ndarray:  # fmt: skip
    """(h, w) float32 -> (*size), as `Registration.warp`; make: a cached `places`. ValueError as of that."""
    there = (make or places)(registration, thermal.shape[::-1], rgb_size[::-1], size[::-1])
    return seen_at(there, widened(thermal, there.shrink_to))


def widened(thermal: np.ndarray, shrink_to: tuple[int, int]) -> np.ndarray:
    """(h, w) -> (h' + 1, w' + 1), the last row and column twice."""
    return np.pad(resized(thermal, shrink_to), ((0, 1), (0, 1)), "edge")


def seen_at(there: Places, image: np.ndarray) -> np.ndarray:
    """(H, W) of a `widened` frame, 0 where it is not seen."""
    flat, row = image.ravel(), image.shape[1]
    upper, lower = (
        between(flat[at:].take(there.upper_left), flat[at + 1 :].take(there.upper_left), there.right) for at in (0, row)
    )  # (H, W) each
    found = between(upper, lower, there.below)
    found *= there.inside
    return found
