"""Cameras given the wrong way round: a network trained or run so gives masks, and nothing tells."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import numpy as np

from sartm_core.support.pixels import read_stored

LOOKED_AT = 3
"""Pairs that are looked at."""
GREY, COLORED = 1.0, 8.0
"""Mean difference of a picture's channels: below the first it is grey, above the second it is in colour (JPEG changes
grey a little)."""


def swapped_cameras(pairs: Iterable[tuple[Path | None, Path | None]]) -> str:
    """Why the first (rgb, thermal) files look swapped, every rgb one grey and every thermal one in colour; else ""."""
    both = [(rgb, thermal) for rgb, thermal in islice(pairs, LOOKED_AT) if rgb is not None and thermal is not None]
    if not both or any(rgb == thermal for rgb, thermal in both):
        return ""
    try:
        if all(look_swapped(coloring(rgb), coloring(thermal)) for rgb, thermal in both):
            return question(*map(str, both[0]))
    except (ValueError, OSError):  # files that cannot be read are told of where they are
        pass
    return ""


def look_swapped(rgb: float, thermal: float) -> bool:
    """Whether two pictures do, by their `coloring_of`."""
    return rgb < GREY and thermal > COLORED


def question(rgb: str, thermal: str) -> str:
    """The fault, for the names of what was looked at."""
    return f"{rgb} is grey and {thermal} is in colour: are the two cameras swapped?"


def coloring(path: Path) -> float:
    """`coloring_of` a file."""
    return coloring_of(read_stored(path, ids=False))


def coloring_of(picture: np.ndarray) -> float:
    """How far the channels of a picture (H, W) or (H, W, C) differ, 0 for grey ones."""
    return 0.0 if picture.ndim == 2 else float(np.ptp(picture[..., :3].astype(np.float32), axis=2).mean())
