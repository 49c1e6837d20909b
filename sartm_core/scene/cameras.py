"""Which pixel of one camera sees what a pixel of the other sees: what this room asks of a registration."""

from __future__ import annotations

from typing import Protocol

import numpy as np


class Pixels(Protocol):
    """`Registration`, `DepthView` where there is depth, or `SAME_VIEW`. Sizes are (height, width)."""

    def rgb_pixels(self, thermal_size: tuple[int, int], rgb_size: tuple[int, int]) -> np.ndarray:
        """(h, w) int32: the place in the flat rgb frame that each thermal pixel sees, -1 of none."""

    def thermal_pixels(self, thermal_size: tuple[int, int], rgb_size: tuple[int, int]) -> np.ndarray:
        """(H, W) int32: the place in the flat thermal frame that is nearest to each rgb pixel, -1 of none."""


class SameView:
    """Cameras that show the same view, in frames of any size: without registration."""

    def rgb_pixels(self, thermal_size: tuple[int, int], rgb_size: tuple[int, int]) -> np.ndarray:
        return same_view(thermal_size, rgb_size, to_rgb=True)

    def thermal_pixels(self, thermal_size: tuple[int, int], rgb_size: tuple[int, int]) -> np.ndarray:
        return same_view(thermal_size, rgb_size, to_rgb=False)


def same_view(thermal_size: tuple[int, int], rgb_size: tuple[int, int], to_rgb: bool) -> np.ndarray:
    """`pixel_map` without a registration. It comes with torch, whose import takes seconds: not before it is needed."""
    from sartm_core.preprocess.registration import pixel_map

    return pixel_map(None, thermal_size, rgb_size, to_rgb)


SAME_VIEW = SameView()
