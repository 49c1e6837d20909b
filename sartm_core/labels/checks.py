"""Whether a label fits its frame. Sizes are read from the files' heads: no pixel is decoded for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sartm_core.support.classes import IGNORE
from sartm_core.support.pixels import read_head


def rgb_size(path: Path) -> tuple[int, int]:
    """(H, W) of a colour image."""
    return read_head(path).size


def check_size(where: str, have: tuple[int, ...], want: tuple[int, int]) -> None:
    """ValueError unless a mask has its image's size, both (H, W)."""
    if have != want:
        raise ValueError(
            f"{where}: {have[1]}x{have[0]} pixels, its colour image has {want[1]}x{want[0]}; they must be equal"
        )


def check_ids(where: str, label: np.ndarray, names: tuple[str, ...]) -> None:
    """ValueError when a label (H, W) uint8 holds ids that no class has."""
    odd = np.unique(label[(label >= len(names)) & (label != IGNORE)])
    if odd.size:
        raise ValueError(
            f"{where}: holds ids {odd[:5].tolist()}; there are {len(names)} classes, 0..{len(names) - 1}, and {IGNORE} "
            "for ignored pixels (classes.yaml, --label-set)"
        )
