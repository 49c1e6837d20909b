"""Pictures that are stored turned: what their metadata says, and how to turn an array upright."""

from __future__ import annotations

import numpy as np
from PIL import Image

ORIENTATION = 274
"""Tag of EXIF and of TIFF."""
UPRIGHT, SIDEWAYS = 1, (5, 6, 7, 8)
"""Orientation of a picture that is stored as it is to be seen; those whose rows are stored as columns."""


def orientation(image: Image.Image) -> int:
    """1 to 8, as EXIF counts; 1 is upright. A TIFF that Pillow has decoded is."""
    try:
        found = image.getexif().get(ORIENTATION, UPRIGHT)
    except Exception:  # many types, for metadata that nobody promised to be sound
        return UPRIGHT
    return found if isinstance(found, int) else UPRIGHT


def upright(array: np.ndarray, turned: int) -> np.ndarray:
    """(H, W, ...) as stored -> as it is to be seen, by the orientation of EXIF."""
    if turned in SIDEWAYS:
        array = array.swapaxes(0, 1)
    if turned in (2, 3, 6, 7):
        array = array[:, ::-1]
    if turned in (3, 4, 7, 8):
        array = array[::-1]
    return np.ascontiguousarray(array)
