"""A frame as the bytes that the page reads: 4 bytes with the length of a JSON head, the head, the pictures.

Colour is a JPEG. What carries numbers (thermal, class ids, confidence) is the array itself under zlib, little endian:
the page has the exact values under the pointer, and blends mask and picture itself. How to draw them (gamma,
grey range, bright colours) comes from `sartm_core.support.visualize`, as in every other picture.
"""

from __future__ import annotations

import io
import json
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from sartm_core.support.classes import IGNORE
from sartm_core.support.visualize import IGNORE_COLOR, display_colors, gamma_of, gray_range
from sartm_core.view.source import Shown

JPEG_QUALITY = 90
FASTEST = 1
"""Level of zlib: on one machine speed counts more than size."""
LENGTH = struct.Struct("<I")
NUMBERS = ("uint8", "uint16", "float32")
"""Types the page knows."""


@dataclass(frozen=True, eq=False)
class Encoded:
    """A frame ready to be sent, to any number of clients."""

    head: dict[str, Any]
    pictures: bytes


def encode(shown: Shown, celsius: tuple[float, float] | None = None) -> Encoded:
    """celsius: scale and offset that make degrees of thermal values."""
    arrays = {"thermal": shown.thermal, "mask": shown.mask, "confidence": shown.confidence}
    parts = [] if shown.rgb is None else [jpeg(shown.rgb)]
    parts += [numbers(kind, array) for kind, array in arrays.items() if array is not None]
    head = {
        "name": shown.name,
        "error": shown.error,
        "state": dict(shown.state),
        "legend": legend(shown),
        "palette": [list(color) for color in shown.palette],
        "celsius": celsius,
        "gamma": 1.0 if shown.rgb is None else gamma_of(shown.rgb),
        "gray": [0.0, 0.0] if shown.thermal is None else gray_range(shown.thermal),
        "parts": [part for part, _ in parts],
    }
    return Encoded(head, b"".join(data for _, data in parts))


def body(head: dict[str, Any], pictures: bytes = b"") -> bytes:
    """What goes over the wire."""
    text = json.dumps(head, allow_nan=False).encode()
    return b"".join((LENGTH.pack(len(text)), text, pictures))


def legend(shown: Shown) -> list[dict[str, Any]]:
    """Every class with its bright colour and its share of the pixels, and the ignored where there are some."""
    if shown.mask is None:
        return []
    counts = np.bincount(shown.mask.ravel(), minlength=IGNORE + 1)
    colors = display_colors(tuple(shown.palette))
    rows = [(i, name, colors[i]) for i, name in enumerate(shown.classes) if name]
    rows += [(IGNORE, "ignored", IGNORE_COLOR)] if counts[IGNORE] else []
    return [
        {"id": i, "name": name, "color": color, "share": int(counts[i]) / shown.mask.size} for i, name, color in rows
    ]


def jpeg(rgb: np.ndarray) -> tuple[dict[str, Any], bytes]:
    """(H, W, 3) uint8 as a part and its bytes."""
    out = io.BytesIO()
    Image.fromarray(rgb).save(out, "JPEG", quality=JPEG_QUALITY)
    return part("rgb", "image/jpeg", rgb, out.getvalue())


def numbers(kind: str, array: np.ndarray) -> tuple[dict[str, Any], bytes]:
    """(H, W) numbers as a part and its bytes."""
    name = array.dtype.name if array.dtype.name in NUMBERS else "float32"
    plain = np.ascontiguousarray(array, np.dtype(name).newbyteorder("<"))
    return part(kind, name, array, zlib.compress(plain.tobytes(), FASTEST))


def part(kind: str, form: str, array: np.ndarray, data: bytes) -> tuple[dict[str, Any], bytes]:
    """What the head tells of a picture."""
    height, width = array.shape[:2]
    return {"kind": kind, "type": form, "width": width, "height": height, "size": len(data)}, data
