"""Cameras given the wrong way round, or wrong ones: a network trained or run so gives masks, and nothing tells."""

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


def false_color(pairs: Iterable[tuple[Path | None, Path | None]]) -> str:
    """Why the first (rgb, thermal) files are hardly those of a thermal camera, every thermal one in colour; else ""."""
    first = [(rgb, thermal) for rgb, thermal in islice(pairs, LOOKED_AT) if thermal is not None]
    if any(rgb == thermal and is_four_channels(thermal) for rgb, thermal in first):
        return ""  # MFNet's way
    try:
        if not first or not all(coloring(thermal) > COLORED for _, thermal in first):
            return ""
    except (ValueError, OSError):  # told of where they are read
        return ""
    rgb, thermal = first[0]
    same = ", and the same file as for rgb" if rgb == thermal else ""
    return (
        f"{thermal} is in colour{same}: of thermal pictures only the first channel is read, which false colours do not "
        "keep the order of temperatures in; give what the camera measured (grey, 8 or 16 bits)"
    )


def is_four_channels(path: Path) -> bool:
    """Colour and heat in one picture."""
    try:
        stored = read_stored(path, ids=False)
    except (ValueError, OSError):
        return False
    return stored.ndim == 3 and stored.shape[2] == 4


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
    if picture.ndim == 2 or picture.shape[2] < 3:  # grey, perhaps with a mask
        return 0.0
    return float(np.ptp(picture[..., :3].astype(np.float32), axis=2).mean())
