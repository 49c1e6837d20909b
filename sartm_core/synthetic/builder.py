"""What a world is built with: its things so far, and the cross section of its street."""

from __future__ import annotations

from typing import Any

import numpy as np

from sartm_core.synthetic.items import Item

SEED_LIMIT = 2**31


class Builder:
    """Collects items and knows the street's cross section."""

    def __init__(self, rng: np.random.Generator, span: float) -> None:
        self.rng, self.span = rng, span
        self.items: list[Item] = []
        self.style = str(rng.choice(("street", "campus", "lot"), p=(0.5, 0.3, 0.2)))
        self.half = float(
            {"street": rng.uniform(3, 5), "campus": rng.uniform(2.5, 6), "lot": rng.uniform(4, 7)}[self.style]
        )
        self.walk = float(rng.uniform(1.5, 3.5))
        self.edge = self.half + self.walk

    def add(self, kind: str, x: float, z: float, **values: Any) -> Item:
        """New item; keyword arguments that are no field of Item become its options."""
        fields = {k: values.pop(k) for k in ("yaw", "speed", "far") if k in values}
        item = Item(kind, float(x), float(z), int(self.rng.integers(SEED_LIMIT)), options=values, **fields)
        self.items.append(item)
        return item

    def side(self) -> float:
        return float(self.rng.choice((-1.0, 1.0)))

    def depth(self, near: float = 3.0) -> float:
        """Distance ahead, denser near the camera, over the whole span of the drive."""
        far = self.span
        return float(near + (far - near) * self.rng.random() ** 1.4)
