"""Which frames a network is quantised by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sartm_core.data.datasets import open_pairs

MEASURED, JUDGED = 32, 16
"""Frames by which ranges are measured, and by which the result is judged; of a small folder two thirds and a third."""
FEWEST = 6
"""Frames of a folder that say something."""
SCENES = "synthetic scenes"


@dataclass(frozen=True)
class Calibration:
    """Frames of the user's, or none: synthetic scenes as the weights' thermal camera would show them."""

    folder: str | None = None
    """Of a data set: rgb/ and thermal/, or as `evaluate` knows it."""

    def __str__(self) -> str:
        return self.folder or SCENES

    def fits(self, identity: str) -> bool:
        """Whether a network quantised by frames of that identity will do: own frames are better than scenes."""
        return self.folder is None or identity == self.identity()

    def identity(self) -> str:
        """Differs when the frames do. ValueError names a folder without frames."""
        if self.folder is None:
            return SCENES
        pairs = open_pairs(self.folder)
        files = [path for name in chosen(pairs.names) for path in (pairs.files[name].rgb, pairs.files[name].thermal)]
        seen = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
        return hashlib.sha256(json.dumps(seen).encode()).hexdigest()

    def pairs(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """rgb and thermal of the folder's frames. ValueError names the file or folder that is wrong."""
        assert self.folder is not None
        pairs = open_pairs(self.folder)
        for name in chosen(pairs.names):
            rgb, thermal = pairs.rgb_of(name), pairs.thermal_of(name)
            assert rgb is not None and thermal is not None, "open_pairs gives frames of both cameras"
            yield rgb, thermal


def chosen(names: Sequence[str]) -> list[str]:
    """Evenly from first to last. ValueError when there are too few."""
    if len(names) < FEWEST:
        raise ValueError(f"calibration: found {len(names)} frames, expected at least {FEWEST}, of day and night")
    places = np.linspace(0, len(names) - 1, min(MEASURED + JUDGED, len(names))).round().astype(int)
    return [names[place] for place in places]
