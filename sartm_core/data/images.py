"""Image files as arrays: colour, thermal and label images, in every way that people store them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from sartm_core.support.classes import LabelSet, ids_from_colors

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
EIGHT_BIT_MODES = ("RGB", "RGBA", "L", "LA", "P", "PA", "1", "CMYK", "YCbCr")
"""Pillow's 8-bit image modes."""
GREY_STEP = {"L;2": 85, "L;4": 17}
"""Pillow stretches 2- and 4-bit grey PNGs to 0..255 by these factors."""

BROKEN = (OSError, SyntaxError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)
"""What Pillow raises on broken files, SyntaxError among them."""


def files_by_name(folder: Path, tail: str = "") -> dict[str, Path]:
    """Image files of a folder by name without suffix; with `tail`, those whose name ends in it, by what stands before.

    Of two files of one name (`1.jpg`, `1.png`) the one later in the alphabet counts. A folder that is not there is
    empty.
    """
    if not folder.is_dir():
        return {}
    paths = (path for path in sorted(folder.iterdir()) if path.suffix.lower() in IMAGE_SUFFIXES)
    return {path.stem[: len(path.stem) - len(tail)]: path for path in paths if path.stem.endswith(tail)}


def read_rgb(path: Path) -> np.ndarray:
    """A colour image file, (H, W, 3) uint8; grey and palette images become colour. ValueError for 16-bit files."""
    with opened(path) as image:
        if image.mode not in EIGHT_BIT_MODES:
            raise ValueError(f"{path}: mode {image.mode}, expected an 8-bit colour image")
        return np.array(image.convert("RGB"))


def read_thermal(path: Path) -> np.ndarray:
    """A thermal image file, (h, w) uint8, uint16 or float32; of grey stored in several channels, the first."""
    thermal = read_image(path, ids=False)
    return np.ascontiguousarray(thermal[..., 0]) if thermal.ndim == 3 else thermal


def read_label(path: Path, label_set: LabelSet) -> np.ndarray:
    """A label file, (H, W) uint8 ids: those of an index or grey image as stored, colours through the palette.

    Raises:
        ValueError: names the file and what is in it: a colour of no class and its pixel count, values above 255.
    """
    label = read_image(path)
    if label.ndim == 3 and label.shape[2] >= 3:
        try:
            return ids_from_colors(label[..., :3], label_set)
        except ValueError as error:
            lossy = "; JPEG changes colours, save labels as PNG" if path.suffix.lower() in (".jpg", ".jpeg") else ""
            raise ValueError(f"{path}: {error}{lossy}") from error
    label = label[..., 0] if label.ndim == 3 else label
    if label.dtype == np.float32 or label.max(initial=0) > 255:
        raise ValueError(
            f"{path}: {label.dtype} values up to {label.max():g}, expected class ids 0..255 or the palette's colours"
        )
    return np.ascontiguousarray(label, np.uint8)


def read_image(path: Path, ids: bool = True) -> np.ndarray:
    """An image file as stored: (H, W) or (H, W, C), uint8, uint16 or float32, in this machine's byte order.

    `ids` True reads numbers: the indices of index PNGs, the small integers of PNGs of 1, 2 or 4 bits. False reads
    brightness: the colours of index PNGs. 32-bit integers become uint16 where they fit, else float32.
    """
    with opened(path) as image:
        step = grey_step(image) if ids else 1
        if not ids and image.mode in ("P", "PA", "1"):
            image = image.convert("RGB")
        array = np.array(image)
    if array.dtype == np.int32:  # Pillow's mode I
        fits = array.min() >= 0 and array.max() <= np.iinfo(np.uint16).max
        array = array.astype(np.uint16 if fits else np.float32)
    if array.dtype == bool:
        array = array.astype(np.uint8)
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    return array // np.uint8(step) if step > 1 else array


def grey_step(image: Image.Image) -> int:
    """By what Pillow will multiply the grey values of this open file."""
    tiles = getattr(image, "tile", None)
    layout = tiles[0][3] if image.format == "PNG" and tiles else None
    return GREY_STEP.get(layout, 1) if isinstance(layout, str) else 1


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """An open image file; whatever goes wrong while it is read is a ValueError that names it."""
    try:
        with Image.open(path) as image:
            yield image
    except FileNotFoundError as error:
        raise ValueError(f"{path}: no such file") from error
    except BROKEN as error:
        raise ValueError(f"{path}: not a readable image ({error})") from error
