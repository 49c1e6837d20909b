"""Masks as other programs take them: chosen classes as 0 and 255, and classes as exact colours."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

import numpy as np

from sartm_core.support.classes import IGNORE, Color
from sartm_core.support.visualize import color_table

SELECTED = 255
"""In a mask of chosen classes."""


def selection(classes: Sequence[str], chosen: Sequence[str]) -> np.ndarray:
    """(256,) uint8 table for `selected_mask`: 255 for the ids of the chosen classes, 0 for others.

    ValueError for a name that is no class.
    """
    table = np.zeros(256, np.uint8)
    for name in chosen:
        if name not in classes:
            near = get_close_matches(name, classes, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"selected_classes: got {name!r}, expected names of {', '.join(classes)}{hint}")
        table[classes.index(name)] = SELECTED
    return table


def selected_mask(mask: np.ndarray, table: np.ndarray) -> np.ndarray:
    """(H, W) uint8 ids -> (H, W) uint8, 0 or 255. Nothing is chosen where no class was sure enough (255)."""
    return table.take(mask)


def color_mask(mask: np.ndarray, palette: Sequence[Color]) -> np.ndarray:
    """(H, W) uint8 ids -> (H, W, 3) uint8: each class in its colour of the palette, nothing blended.

    255 has the colour of class 0: readers know the colours of the classes and no other.
    """
    table = color_table(palette)
    table[IGNORE] = table[0]
    return table.take(mask, axis=0)
