"""The things in a mask, one record each: class, score, box, and how warm it is.

Temperatures are read at the thermal camera's own pixels: each of them looks up which component it sees, so no
temperature is ever a mixture that a warp made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sartm_core.scene.cameras import SAME_VIEW, Pixels
from sartm_core.scene.components import Components, components
from sartm_core.support.classes import IGNORE

FULL_CONFIDENCE = 255
"""Of a confidence image: certainty."""
DECIMALS = 3
"""Of scores, positions and temperatures in JSON."""


@dataclass(frozen=True)
class Warmth:
    """Temperatures of a region."""

    minimum: float
    """Kelvin, as the next two."""
    median: float
    maximum: float
    pixels: int
    """Thermal pixels that were read."""

    def to_json(self) -> dict[str, Any]:
        """For `json.dumps`; kelvin."""
        numbers = {"min": self.minimum, "median": self.median, "max": self.maximum}
        return {name: round(value, DECIMALS) for name, value in numbers.items()} | {"pixels": self.pixels}


@dataclass(frozen=True)
class SceneObject:
    """One connected region of a class. Pixels are those of the mask; integer coordinates are pixel centres."""

    name: str
    """Class name."""
    id: int
    """Class id."""
    score: float | None
    """Mean confidence of its pixels, 0..1; None where there is no confidence."""
    box: tuple[int, int, int, int]
    """x, y of its left upper pixel, width, height."""
    pixels: int
    """Size of the region."""
    centroid: tuple[float, float]
    """Mean x, y; of a bent region it may lie outside."""
    kelvin: Warmth | None
    """None where the unit is unknown or the thermal camera does not see it."""

    def to_json(self) -> dict[str, Any]:
        """For `json.dumps`: never NaN; temperatures in kelvin."""
        return {
            "class": self.name,
            "id": self.id,
            "score": None if self.score is None else round(self.score, DECIMALS),
            "box": list(self.box),
            "pixels": self.pixels,
            "centroid": [round(place, DECIMALS) for place in self.centroid],
            "kelvin": None if self.kelvin is None else self.kelvin.to_json(),
        }


def objects(
    mask: np.ndarray,
    classes: Sequence[str],
    confidence: np.ndarray | None = None,
    kelvin: np.ndarray | None = None,
    registration: Pixels | None = None,
    min_pixels: int = 1,
) -> list[SceneObject]:
    """The components of a mask, in raster order of their first pixel; none of class 0 or 255.

    Args:
        mask: (H, W) uint8 class ids.
        classes: names by id.
        confidence: (H, W) uint8, 255 is certain.
        kelvin: (h, w) float32 of the thermal camera, not warped; NaN where there is no temperature.
        registration: where the thermal view lies in the mask's; None: both show the same view.
        min_pixels: smaller components are left out.

    ValueError: the confidence has another size than the mask, or the mask an id without a name.
    """
    found = components(mask, (0, IGNORE), min_pixels)
    if len(found.ids) and found.ids.max() >= len(classes):
        raise ValueError(f"mask: got id {found.ids.max()}, expected ids below {len(classes)} ({', '.join(classes)})")
    scores: list[float | None] = [None] * len(found.ids)
    if confidence is not None:
        if confidence.shape != mask.shape:
            raise ValueError(f"confidence: got {confidence.shape}, expected the mask's height and width {mask.shape}")
        scores = (found.sums(confidence) / (FULL_CONFIDENCE * found.pixels)).tolist()
    warmth: list[Warmth | None] = [None] * len(found.ids)
    if kelvin is not None:
        warmth = warmth_by_component(found, kelvin, registration)
    rows = zip(
        found.ids.tolist(), scores, found.boxes().tolist(), found.pixels.tolist(), found.centroids().tolist(), warmth,
        strict=True,
    )  # fmt: skip
    return [
        SceneObject(classes[id], id, score, tuple(box), pixels, tuple(centroid), warm)
        for id, score, box, pixels, centroid, warm in rows
    ]


def warmth_by_component(
    found: Components, kelvin: np.ndarray, registration: Pixels | None = None
) -> list[Warmth | None]:
    """Of each component, read at the pixels of the thermal frame (h, w) that see it; None where none does."""
    size = (kelvin.shape[0], kelvin.shape[1])
    places = (registration or SAME_VIEW).rgb_pixels(size, found.shape).ravel()
    labels = np.append(found.labels().ravel(), np.int32(-1))  # (H * W + 1,); place -1 is the last
    return warmth_by_label(labels[places], kelvin.ravel(), len(found.ids))


def warmth_by_label(labels: np.ndarray, kelvin: np.ndarray, count: int) -> list[Warmth | None]:
    """Of labels 0 .. count - 1; labels (n,) int32, -1 of none, kelvin (n,) float32, NaN is left out."""
    use = np.flatnonzero((labels >= 0) & (kelvin > 0))
    # one sort of 64-bit numbers: label above, temperature below; bits of positive floats are in the floats' order
    ordered = labels[use].astype(np.int64) << 32 | kelvin[use].astype(np.float32).view(np.int32)
    ordered.sort()
    values = ordered.astype(np.int32).view(np.float32).astype(np.float64)
    begin, end = (np.searchsorted(ordered >> 32, np.arange(count), side) for side in ("left", "right"))
    warmth: list[Warmth | None] = [None] * count
    seen = np.flatnonzero(end > begin)  # labels with a temperature
    first, last = begin[seen], end[seen] - 1
    middle = (values[(first + last) // 2] + values[(first + last + 1) // 2]) / 2
    rows = zip(*(column.tolist() for column in (values[first], middle, values[last], last - first + 1)), strict=True)
    for label, row in zip(seen.tolist(), rows, strict=True):
        warmth[label] = Warmth(*row)
    return warmth
