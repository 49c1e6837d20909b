"""Files that are dropped on the page, told apart: the one in colour is the rgb frame, the grey one is thermal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sartm_core.data.swapped import GREY, coloring_of
from sartm_core.support.pixels import read_color, read_stored

MAX_FILES = 2


@dataclass(frozen=True)
class Upload:
    """A file as it came."""

    name: str
    """Only ever shown."""
    data: bytes


@dataclass(frozen=True, eq=False)
class Dropped:
    """What was dropped, as a `Segmenter` takes it."""

    rgb: np.ndarray | None
    """(H, W, 3) uint8."""
    thermal: np.ndarray | None
    """(h, w) uint8, uint16 or float32."""
    told: dict[str, str]
    """Which file was taken as which camera."""


def read_dropped(files: Sequence[Upload]) -> Dropped:
    """One or two files as the frames of the cameras.

    Raises:
        ValueError: names the file: too large (by its header, before it is decoded), no picture, or two of a kind.
    """
    if not 1 <= len(files) <= MAX_FILES:
        raise ValueError(f"got {len(files)} files; drop one picture, or the colour and the thermal one of a pair")
    stored = [read_stored(file.data, file.name, ids=False) for file in files]
    colors = [coloring_of(picture) for picture in stored]
    first = int(np.argmin(colors))  # the thermal frame, where there is one
    if len(files) == MAX_FILES and (min(colors) >= GREY or min(colors) == max(colors)):
        what = "in colour" if min(colors) >= GREY else "grey"
        raise ValueError(
            f"{files[0].name} and {files[1].name} are both {what}; one has to be in colour, the other one grey"
        )
    rgb, thermal, told = None, None, {}
    for i, (file, picture) in enumerate(zip(files, stored, strict=True)):
        if i == first and colors[i] < GREY:
            thermal = np.ascontiguousarray(picture[..., 0]) if picture.ndim == 3 else picture  # (h, w)
            told["taken as thermal"] = file.name
        else:
            rgb = read_color(file.data, file.name)
            told["taken as rgb"] = file.name
    return Dropped(rgb, thermal, told)
