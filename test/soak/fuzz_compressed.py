"""Hostile sensor_msgs/CompressedImage messages, made like those of fuzz_raw.py."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from PIL import Image as Picture
from sensor_msgs.msg import CompressedImage

from test.soak.fuzz_raw import EIGHT_K, FRAME_IDS

RGB_SIZE, THERMAL_SIZE = (320, 240), (160, 120)
FORMATS = (
    "jpeg",
    "png",
    "",
    "rgb8; jpeg compressed bgr8",
    "16UC1; png compressed ",
    "16UC1; compressedDepth",
    "%s",
    "x" * 9999,
)
CONTAINERS = ("GIF", "BMP", "TIFF", "PPM", "WEBP", "ICO", "TGA")
MODES = ("1", "L", "P", "LA", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "F")
CLAIMS = ((0, 0), (1, 1), (30_000, 30_000), (16_000, 16_000), (2**31 - 1, 1), EIGHT_K)
"""(width, height) that a PNG's header claims and its data do not hold."""
IHDR = slice(16, 24)
"""Where a PNG has its width and height; the checksum of that chunk is at 29."""


def encode(array: np.ndarray, container: str, mode: str | None = None) -> bytes:
    """An array (H, W) or (H, W, 3) as a file of that kind."""
    out = io.BytesIO()
    picture = Picture.fromarray(array)
    (picture.convert(mode) if mode else picture).save(out, container)
    return out.getvalue()


def smooth(rng: np.random.Generator, stream: str) -> np.ndarray:
    """A picture that compresses: (240, 320, 3) uint8 for rgb, (120, 160) uint16 for thermal."""
    width, height = RGB_SIZE if stream == "rgb" else THERMAL_SIZE
    y, x = np.mgrid[0:height, 0:width]
    wave = np.sin(x / rng.uniform(5, 60) + rng.uniform(0, 6)) + np.cos(y / rng.uniform(5, 60))  # (H, W) in -2..2
    if stream == "rgb":
        return (100 + 40 * wave[..., None] + rng.integers(0, 20, 3)).astype(np.uint8)
    return (29_500 + 300 * wave).astype(np.uint16)


def message(data: bytes, kind: str) -> CompressedImage:
    """The data in a message of the format `kind`."""
    made = CompressedImage(format=kind)
    made.data.frombytes(data)
    made.header.frame_id = "fuzz"
    return made


def usual(rng: np.random.Generator, stream: str) -> CompressedImage:
    """What a camera sends: JPEG for rgb, 16-bit PNG for thermal."""
    container = "JPEG" if stream == "rgb" else "PNG"
    return message(encode(smooth(rng, stream), container), container.lower())


def good(rng: np.random.Generator, stream: str) -> CompressedImage:
    """Nothing wrong but, maybe, its stamp."""
    return usual(rng, stream)


def noise(rng: np.random.Generator, stream: str) -> CompressedImage:
    """No picture at all; often empty."""
    return message(rng.bytes(int(rng.choice([0, 1, 10, 5000, 100_000]))), str(rng.choice(FORMATS)))


def truncated(rng: np.random.Generator, stream: str) -> CompressedImage:
    """A file that ends anywhere."""
    whole = usual(rng, stream)
    data = whole.data.tobytes()
    return message(data[: int(rng.integers(len(data)))], whole.format)


def flipped(rng: np.random.Generator, stream: str) -> CompressedImage:
    """A file with some wrong bytes."""
    whole = usual(rng, stream)
    data = np.frombuffer(whole.data, np.uint8).copy()
    where = rng.integers(0, data.size, int(rng.choice([1, 5, 50])))
    data[where] ^= rng.integers(1, 256, where.size).astype(np.uint8)
    return message(data.tobytes(), whole.format)


def other_container(rng: np.random.Generator, stream: str) -> CompressedImage:
    """A readable picture of a kind no camera sends."""
    container = str(rng.choice(CONTAINERS))
    return message(encode(smooth(rng, "rgb"), container), container.lower())


def other_mode(rng: np.random.Generator, stream: str) -> CompressedImage:
    """Palette, alpha, CMYK, one bit, 16 bits where eight are expected, and so on."""
    mode = str(rng.choice(MODES))
    if mode == "I;16":
        return message(encode(smooth(rng, "thermal"), "PNG"), "png")
    container = {"CMYK": "JPEG", "YCbCr": "JPEG", "F": "TIFF"}.get(mode, "PNG")
    return message(encode(smooth(rng, "rgb"), container, mode), container.lower())


def claimed(rng: np.random.Generator, stream: str) -> CompressedImage:
    """A PNG whose header, checksum included, tells another size."""
    data = bytearray(encode(smooth(rng, stream), "PNG"))
    data[IHDR] = struct.pack(">II", *CLAIMS[rng.integers(len(CLAIMS))])
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return message(bytes(data), "png")


def odd_format(rng: np.random.Generator, stream: str) -> CompressedImage:
    """A good picture under any format text and frame_id."""
    made = usual(rng, stream)
    made.format = FORMATS[rng.integers(len(FORMATS))]
    made.header.frame_id = FRAME_IDS[rng.integers(len(FRAME_IDS))]
    return made


FAMILIES: dict[str, Callable[[np.random.Generator, str], CompressedImage]] = {
    "good but its stamp": good, "noise": noise, "truncated": truncated, "flipped bytes": flipped,
    "container": other_container, "mode": other_mode, "claimed size": claimed, "format text": odd_format,
}  # fmt: skip


def hostile(rng: np.random.Generator, stream: str) -> tuple[str, Any]:
    """The family and a message of it."""
    name = list(FAMILIES)[rng.integers(len(FAMILIES))]
    return name, FAMILIES[name](rng, stream)


@cache
def _eight_k(stream: str) -> bytes:
    """A real 8K PNG, dark: a small message, a large picture."""
    width, height = EIGHT_K
    return encode(np.zeros((height, width, 3) if stream == "rgb" else (height, width), np.uint8), "PNG")


def large(rng: np.random.Generator, stream: str) -> Any:
    """A real 8K message."""
    return message(_eight_k(stream), "png")


def pair(rng: np.random.Generator) -> tuple[Any, Any]:
    """A good pair: JPEG and 16-bit PNG."""
    return usual(rng, "rgb"), usual(rng, "thermal")


def size_of(message: Any) -> tuple[int, int] | None:
    """Width and height that a mask of this frame has; None when it is no readable picture."""
    try:
        with Picture.open(io.BytesIO(message.data)) as picture:
            return picture.size
    except Exception:  # Pillow raises many types for broken files
        return None
