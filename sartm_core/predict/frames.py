"""What a source of frames is, whether images or videos."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

Arrays = tuple[np.ndarray | None, np.ndarray | None]
"""rgb (H, W, 3) uint8 and thermal (h, w) uint8, uint16 or float32; one may be None."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame of each camera, or why there is none."""

    name: str
    rgb: np.ndarray | None = None
    """(H, W, 3) uint8."""
    thermal: np.ndarray | None = None
    """(h, w) uint8, uint16 or float32."""
    error: str = ""
    """What is wrong with its files."""


class Source(ABC):
    """Frames by name."""

    names: list[str]
    notes: list[str]
    """What the user should know of these frames as a whole."""
    rate: Fraction | None = None
    """Frames per second of a video."""

    @abstractmethod
    def walk(self, wanted: Collection[str]) -> Iterator[Frame]:
        """The frames of these names, in the order of `names`."""

    @abstractmethod
    def changed(self, name: str) -> int:
        """When the newest file of a frame was last written, in ns; 0 when there is none."""


def modified(path: Path) -> int:
    """Time of the last write in ns; 0 when there is no such file."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
