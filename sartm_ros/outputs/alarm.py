"""The fire watch of a node: looked at by the model's thread, reset by the executor's."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from sartm_core.scene.hot_spots import AlarmConfig, HotSpot, HotSpotWatch


class Alarm:
    """`on` stays until `reset`, whatever becomes of the thresholds meanwhile. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watch: HotSpotWatch | None = None

    @property
    def watching(self) -> bool:
        """Whether a frame was looked at so far: before that nothing is known."""
        return self._watch is not None

    @property
    def on(self) -> bool:
        """Whether there was a hot spot since the last reset."""
        return self._watch is not None and self._watch.alarm

    def look(
        self, config: AlarmConfig, kelvin: np.ndarray, rgb_size: tuple[int, int] | None, registration: Any
    ) -> list[HotSpot]:
        """The hot spots of a frame; as `HotSpotWatch.update`."""
        with self._lock:
            if self._watch is None or self._watch.config != config:
                on, self._watch = self.on, HotSpotWatch(config)
                self._watch.alarm = on
            return self._watch.update(kelvin, rgb_size, registration)

    def reset(self) -> bool:
        """Somebody has seen it; whether it was on."""
        with self._lock:
            was = self.on
            if self._watch is not None:
                self._watch.reset()
            return was
