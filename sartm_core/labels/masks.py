"""Masks of the exchange as PNG: class ids in the colours of the label map, and back, exactly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from sartm_core.labels.checks import check_size
from sartm_core.labels.labelmap import Label
from sartm_core.support.classes import IGNORE, Color, bit_reversed_color, color_codes
from sartm_core.support.pixels import bits, grey_step, opened, orientation, upright, upright_size
from sartm_core.support.visualize import png

GREY_MODES = ("L", "1")
COLOR_MODES = ("RGB", "RGBA", "P")
OBJECT_PALETTE = [channel for index in range(256) for channel in bit_reversed_color(index)]
"""Colours of the objects, those of PASCAL VOC."""


def class_png(ids: np.ndarray, colors: Sequence[Color], ignored: Color) -> bytes:
    """(H, W) uint8 ids -> an RGB PNG of label colours. `colors` are those of the classes in id order."""
    table = np.zeros((256, 3), np.uint8)
    table[: len(colors)] = np.array(colors, np.uint8)
    table[IGNORE] = ignored
    return png(Image.fromarray(table[ids]))


def object_png(ids: np.ndarray) -> bytes:
    """(H, W) uint8 ids -> an index PNG, one object a class: CVAT makes an editable mask of each, none of class 0."""
    image = Image.fromarray(ids)
    image.putpalette(OBJECT_PALETTE)
    return png(image)


def read_mask(
    data: bytes, labels: Sequence[Label], ids: Sequence[int], where: str, size: tuple[int, int]
) -> np.ndarray:
    """The bytes of a mask -> (H, W) uint8 class ids. `ids`: the class id of each label;
    `size`: (H, W) of the frame, compared before the mask is decoded.

    Colour images hold label colours, grey ones the place of the label in the label map, from 0.

    Raises:
        ValueError: names `where` and the colour or the value that no label has, with its number of pixels.
    """
    with opened(data, where) as image:
        if sorted(image.size) != sorted(size):  # whichever way it is turned, which Pillow decodes a PNG to find out
            check_size(where, (image.height, image.width), size)
        check_size(where, upright_size(image), size)
        if image.mode not in (*GREY_MODES, *COLOR_MODES) or bits(image) > 8:
            raise ValueError(f"{where}: {bits(image)} bits, mode {image.mode}; expected an 8-bit colour or grey PNG")
        grey = image.mode in GREY_MODES
        step = grey_step(image)
        array = np.array(image if grey else image.convert("RGB"), np.uint8)  # (H, W) or (H, W, 3)
        array = upright(array, orientation(image))
    return from_places(array // np.uint8(step), ids, where) if grey else from_colors(array, labels, ids, where)


def from_places(image: np.ndarray, ids: Sequence[int], where: str) -> np.ndarray:
    """(H, W) uint8 places in the label map -> (H, W) uint8 class ids."""
    odd = image[image >= len(ids)]
    if odd.size:
        raise ValueError(
            f"{where}: grey value {odd.max()} on {(odd == odd.max()).sum()} pixels; labelmap.txt has {len(ids)} "
            f"labels, 0 to {len(ids) - 1}"
        )
    return np.array(ids, np.uint8)[image]


def from_colors(image: np.ndarray, labels: Sequence[Label], ids: Sequence[int], where: str) -> np.ndarray:
    """(H, W, 3) uint8 label colours -> (H, W) uint8 class ids."""
    codes = color_codes(image)  # (H, W)
    known, place = np.unique(color_codes(np.array([label.color for label in labels], np.uint8)), return_index=True)
    found = np.minimum(np.searchsorted(known, codes), len(known) - 1)  # (H, W)
    unknown = codes[known[found] != codes]
    if unknown.size:
        colors, counts = np.unique(unknown, return_counts=True)
        top = int(colors[counts.argmax()])
        more = f", and {len(colors) - 1} other colours" if len(colors) > 1 else ""
        raise ValueError(
            f"{where}: colour {(top >> 16, top >> 8 & 255, top & 255)} on {counts.max()} pixels{more}: no label of "
            "labelmap.txt has it"
        )
    return np.array(ids, np.uint8)[place][found]
