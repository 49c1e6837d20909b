"""Fire watch: what is hotter than it should be, without flicker, and an alarm that stays until somebody has seen it.

A region becomes a hot spot when a pixel of it is above `temperature`; it is one as long as it stays above
`temperature - hysteresis`. Regions are those of the thermal image, which is not warped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sartm_core.scene.cameras import SAME_VIEW, Pixels
from sartm_core.scene.components import components
from sartm_core.scene.objects import DECIMALS


@dataclass(frozen=True)
class AlarmConfig:
    """When something counts as hot."""

    temperature: float
    """Kelvin; a hot spot begins above it."""
    hysteresis: float = 2.0
    """Kelvin below `temperature` at which it ends; above the camera's noise."""
    min_pixels: int = 4
    """Thermal pixels of a region above `temperature - hysteresis`, at least: single bad pixels are no fire."""

    def __post_init__(self) -> None:
        if not 0 < self.temperature < np.inf:
            raise ValueError(f"alarm.temperature: got {self.temperature}, expected kelvin above 0")
        if not 0 <= self.hysteresis < self.temperature:
            raise ValueError(f"alarm.hysteresis: got {self.hysteresis}, expected 0 up to alarm.temperature")
        if self.min_pixels < 1:
            raise ValueError(f"alarm.min_pixels: got {self.min_pixels}, expected 1 or more")


@dataclass(frozen=True)
class HotSpot:
    """One hot region of a thermal frame; integer coordinates are pixel centres."""

    maximum: float
    """Kelvin of its hottest pixel."""
    peak: tuple[int, int]
    """x, y of that pixel in the thermal frame."""
    box: tuple[int, int, int, int]
    """x, y of its left upper pixel, width, height, in the thermal frame."""
    pixels: int
    """Of the thermal frame."""
    rgb: tuple[int, int] | None
    """x, y of the rgb pixel that the peak lies on; None outside the rgb view."""

    def to_json(self) -> dict[str, Any]:
        """For `json.dumps`; kelvin."""
        return {
            "kelvin": round(self.maximum, DECIMALS),
            "peak": list(self.peak),
            "box": list(self.box),
            "pixels": self.pixels,
            "rgb": None if self.rgb is None else list(self.rgb),
        }


class HotSpotWatch:
    """Looks at one thermal frame after the other. Not thread-safe."""

    def __init__(self, config: AlarmConfig) -> None:
        self.config = config
        self.alarm = False
        """Whether there was a hot spot since the last `reset`."""
        self._hot: np.ndarray | None = None  # (h, w) bool: the hot spots of the last frame

    def update(
        self, kelvin: np.ndarray, rgb_size: tuple[int, int] | None = None, registration: Pixels | None = None
    ) -> list[HotSpot]:
        """The hot spots of a frame, the hottest first.

        Args:
            kelvin: (h, w) float32; NaN is never hot.
            rgb_size: (H, W) of the rgb frame, for `HotSpot.rgb`.
            registration: where the thermal view lies in it; None: both show the same view.
        """
        level = self.config.temperature - self.config.hysteresis
        warm = kelvin > level  # False for NaN
        if not warm.any():  # nearly every frame
            self._hot = None
            return []
        found = components(warm, min_pixels=self.config.min_pixels)
        labels = found.labels()  # (h, w)
        begins = kelvin > self.config.temperature
        if self._hot is not None and self._hot.shape == kelvin.shape:
            begins |= self._hot  # what was hot stays hot while it is warm
        hot = np.unique(labels[begins & (labels >= 0)])
        self._hot = np.isin(labels, hot)
        self.alarm = self.alarm or len(hot) > 0
        seen = None
        if rgb_size is not None:
            seen = (registration or SAME_VIEW).rgb_pixels(found.shape, rgb_size)
        spots = []
        for n, (left, top, width, height) in zip(hot.tolist(), found.boxes()[hot].tolist(), strict=True):
            inside = slice(top, top + height), slice(left, left + width)
            region = np.where(labels[inside] == n, kelvin[inside], 0)  # (height, width)
            row, column = divmod(int(region.argmax()), width)
            peak = left + column, top + row
            rgb = place_in_rgb(seen, peak, rgb_size)
            box = left, top, width, height
            spots.append(HotSpot(float(region[row, column]), peak, box, int(found.pixels[n]), rgb))
        return sorted(spots, key=lambda spot: -spot.maximum)

    def reset(self) -> None:
        """Somebody has seen the alarm. What is hot still raises it again with the next frame."""
        self.alarm = False


def place_in_rgb(
    seen: np.ndarray | None, peak: tuple[int, int], rgb_size: tuple[int, int] | None
) -> tuple[int, int] | None:
    """x, y of the rgb pixel that a thermal pixel sees by `Pixels.rgb_pixels`."""
    if seen is None or rgb_size is None or seen[peak[1], peak[0]] < 0:
        return None
    row, column = divmod(int(seen[peak[1], peak[0]]), rgb_size[1])
    return column, row
