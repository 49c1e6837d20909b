"""Boxes around the regions of a mask that are worth a look."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import numpy as np
from scipy import ndimage

EIGHT_CONNECTED = np.ones((3, 3), bool)
OPENING = 1 / 400
"""Stripes narrower than about twice this part of the image's diagonal (edges of objects) are no region."""
SMALLEST = 1 / 1500
"""Regions below this part of the image are left out."""
MARGIN = 1 / 100
"""Room between a region and its box, part of the image's diagonal."""


@dataclass(frozen=True)
class Box:
    """Pixels top..bottom-1, left..right-1, and how many of the region are in it."""

    top: int
    left: int
    bottom: int
    right: int
    pixels: int

    def touches(self, other: Box) -> bool:
        """Whether the two overlap."""
        rows = self.top < other.bottom and other.top < self.bottom
        return rows and self.left < other.right and other.left < self.right

    def around(self, other: Box) -> Box:
        """The smallest box that holds both."""
        top, left = min(self.top, other.top), min(self.left, other.left)
        bottom, right = max(self.bottom, other.bottom), max(self.right, other.right)
        return Box(top, left, bottom, right, self.pixels + other.pixels)


def region_boxes(mask: np.ndarray) -> list[Box]:
    """Boxes around the connected regions of a mask (H, W) bool, largest region first; those that overlap become one."""
    height, width = mask.shape
    diagonal = float(np.hypot(height, width))
    opened = ndimage.binary_opening(mask, EIGHT_CONNECTED, iterations=max(1, round(diagonal * OPENING)))
    regions, _ = ndimage.label(opened, EIGHT_CONNECTED)  # (H, W) region numbers from 1
    sizes = np.bincount(regions.ravel())
    margin = max(1, round(diagonal * MARGIN))
    boxes: list[Box] = []
    for number, (rows, columns) in enumerate(ndimage.find_objects(regions), start=1):
        if sizes[number] >= mask.size * SMALLEST:
            top, left = max(0, rows.start - margin), max(0, columns.start - margin)
            bottom, right = min(height, rows.stop + margin), min(width, columns.stop + margin)
            boxes = merged(boxes, Box(top, left, bottom, right, int(sizes[number])))
    return sorted(boxes, key=lambda box: -box.pixels)


def merged(boxes: list[Box], new: Box) -> list[Box]:
    """The boxes and a new one, those that overlap it united with it."""
    while touching := [box for box in boxes if box.touches(new)]:
        boxes = [box for box in boxes if box not in touching]
        new = reduce(Box.around, touching, new)
    return [*boxes, new]
