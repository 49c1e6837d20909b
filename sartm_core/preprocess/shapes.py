"""Frames of another shape than those that something was measured on: a crop, which no resize makes good."""

from __future__ import annotations

import logging
from functools import lru_cache

log = logging.getLogger(__name__)
REMEMBERED = 64


def same_shape(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether (width, height) and another are of one aspect, a pixel of rounding allowed."""
    return abs(one[0] * other[1] - one[1] * other[0]) <= max(*one, *other)


@lru_cache(REMEMBERED)
def warn_of_shape(camera: str, found: tuple[int, int], measured: tuple[int, int]) -> None:
    """Log it once when a registration measured at one (width, height), (0, 0) any, meets frames of another shape."""
    if all(measured) and not same_shape(found, measured):
        log.warning(
            "registration: %s frames are %dx%d, it was measured at %dx%d: another aspect, so they were cropped and "
            "nothing lies where it did; measure it again (sartm calibrate)",
            camera, *found, *measured,
        )  # fmt: skip
