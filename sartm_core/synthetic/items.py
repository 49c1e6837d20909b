"""One thing in the world; how it looks follows from its kind, its options and its own seed."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sartm_core.support.classes import MFNET

LABEL = {name: i for i, name in enumerate(MFNET.names)}


@dataclass
class Item:
    """Place in metres, heading in radians (0 = away from the camera), speed in m/s."""

    kind: str
    x: float
    z: float
    seed: int
    yaw: float = 0.0
    speed: float = 0.0
    far: float = 0.0
    """Added to z in the painter's order: how much further back the item reaches."""
    options: dict = field(default_factory=dict)

    def rng(self) -> np.random.Generator:
        """The item's own numbers: the same in every frame of a sequence."""
        return np.random.default_rng(self.seed)

    def at_time(self, seconds: float) -> tuple[float, float]:
        """Where it is after some seconds: (x, z)."""
        return self.x + self.speed * seconds * np.sin(self.yaw), self.z + self.speed * seconds * np.cos(self.yaw)
