"""Hostile sensor_msgs/Image messages. What is in one depends on a random generator alone: it can be had again."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Any

import numpy as np
from sensor_msgs.msg import Image

SIZES = ((64, 48), (160, 120), (320, 240), (640, 480), (33, 17))
SIZE_SHARES = (0.35, 0.3, 0.2, 0.05, 0.1)
ODD_SIZES = ((1, 1), (1, 480), (640, 1), (2, 3), (5, 2000), (16384, 2), (3, 16384), (17, 16))
UINT32_MAX = 2**32 - 1
LIES = (
    (0, 0), (0, 480), (640, 0), (7680, 4320), (16384, 16384), (16385, 1), (1, 16385),
    (UINT32_MAX, UINT32_MAX), (2**31, 1), (1, 2**31), (65536, 65536),
)  # fmt: skip
"""(width, height) that a message claims and its data do not hold."""
EIGHT_K = (7680, 4320)
TYPES = {
    "rgb8": ("u1", 3), "bgr8": ("u1", 3), "rgba8": ("u1", 4), "bgra8": ("u1", 4), "8UC3": ("u1", 3),
    "mono8": ("u1", 1), "8UC1": ("u1", 1), "mono16": ("u2", 1), "16UC1": ("u2", 1), "32FC1": ("f4", 1),
}  # fmt: skip
"""Encodings that can be right: numpy type and channels."""
FITTING = {
    "rgb": ("rgb8", "bgr8", "rgba8", "bgra8", "8UC3", "mono8", "8UC1"),
    "thermal": ("mono8", "8UC1", "mono16", "16UC1", "32FC1", "rgb8"),
}
ENCODINGS = (
    *TYPES, "", " ", "rgb8 ", "RGB8", "rgb16", "bayer_rggb8", "bayer_gbrg16", "yuv422", "yuv422_yuy2", "nv21", "jpeg",
    "64FC1", "32FC4", "16SC1", "32SC1", "8UC4", "8SC1", "%s%n", "../../etc", "\x1b[31m", "rgb8\n", "ünïcödé 🌡",
    "x" * 100_000,
)  # fmt: skip
FRAME_IDS = ("", "camera", "/", "a" * 50_000, "%d%s", "🌡" * 100, "\n\t", "rgb_optical")
LIGHT_BYTES = 5000
"""Data of a message that lies about its size."""


def frame(rng: np.random.Generator, encoding: str, width: int, height: int) -> Image:
    """A well-formed message of random pixels."""
    kind, channels = TYPES[encoding]
    message = Image(width=width, height=height, encoding=encoding, step=width * channels * np.dtype(kind).itemsize)
    if kind == "f4":
        data = rng.normal(300.0, 10.0, (height, width)).astype(np.float32).tobytes()
    else:
        data = rng.bytes(message.step * height)
    return with_data(message, data)


def with_data(message: Image, data: bytes) -> Image:
    """Replace the pixels; nothing else changes."""
    message.data = array("B", data)
    message.header.frame_id = message.header.frame_id or "fuzz"
    return message


def fitting(rng: np.random.Generator, stream: str) -> Image:
    """A well-formed message that the stream can use, of a common size."""
    width, height = SIZES[rng.choice(len(SIZES), p=SIZE_SHARES)]
    return frame(rng, str(rng.choice(FITTING[stream])), width, height)


def good(rng: np.random.Generator, message: Image) -> Image:
    """Nothing wrong but, maybe, its stamp."""
    return message


def lying_size(rng: np.random.Generator, message: Image) -> Image:
    """Width and height the data do not hold; sometimes with the step that would fit."""
    message.width, message.height = LIES[rng.integers(len(LIES))]
    if rng.random() < 0.5:
        message.step = min(message.width * 3, UINT32_MAX)
    return with_data(message, message.data.tobytes()[:LIGHT_BYTES])


def wrong_step(rng: np.random.Generator, message: Image) -> Image:
    """Row lengths: none, short, long, absurd."""
    message.step = int(rng.choice([0, 1, message.step - 1, message.step + 1, message.step * 2, 2**31, UINT32_MAX]))
    return message


def padded(rng: np.random.Generator, message: Image) -> Image:
    """Well-formed, with bytes behind every row."""
    padding = int(rng.integers(1, 64))
    rows = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
    message.step += padding
    return with_data(message, np.pad(rows, ((0, 0), (0, padding))).tobytes())


def truncated(rng: np.random.Generator, message: Image) -> Image:
    """Data end anywhere."""
    data = message.data.tobytes()
    ends = (0, 1, len(data) // 2, len(data) - 1, int(rng.integers(len(data))))
    return with_data(message, data[: ends[rng.integers(len(ends))]])


def too_long(rng: np.random.Generator, message: Image) -> Image:
    """Bytes behind the last row."""
    return with_data(message, message.data.tobytes() + rng.bytes(int(rng.integers(1, 10_000))))


def wrong_encoding(rng: np.random.Generator, message: Image) -> Image:
    """Any text as encoding."""
    message.encoding = ENCODINGS[rng.integers(len(ENCODINGS))]
    return message


def wrong_endian(rng: np.random.Generator, message: Image) -> Image:
    """The byte-order flag, also values it does not have."""
    message.is_bigendian = int(rng.choice([1, 2, 255]))
    return message


def odd_floats(rng: np.random.Generator, message: Image) -> Image:
    """32FC1 with NaN, infinities and numbers at the edge: some or all of them."""
    message = frame(rng, "32FC1", message.width, message.height)
    values = np.frombuffer(message.data, np.float32).copy()
    odd = np.array([np.nan, np.inf, -np.inf, 3.4e38, -3.4e38, 1e-45, 0.0], np.float32)
    share = float(rng.choice([0.01, 0.5, 0.99, 1.0]))
    where = rng.random(values.size) < share
    one = rng.random() < 0.5
    values[where] = odd[rng.integers(len(odd))] if one else odd[rng.integers(len(odd), size=int(where.sum()))]
    return with_data(message, values.tobytes())


def constant(rng: np.random.Generator, message: Image) -> Image:
    """The same byte everywhere."""
    return with_data(message, bytes([int(rng.choice([0, 1, 127, 255]))]) * len(message.data))


def odd_size(rng: np.random.Generator, message: Image) -> Image:
    """Well-formed, of a size that is unusual."""
    width, height = ODD_SIZES[rng.integers(len(ODD_SIZES))]
    return frame(rng, message.encoding, width, height)


def any_frame_id(rng: np.random.Generator, message: Image) -> Image:
    """Long, empty or strange."""
    message.header.frame_id = FRAME_IDS[rng.integers(len(FRAME_IDS))]
    return message


def noise(rng: np.random.Generator, message: Image) -> Image:
    """Every field at random."""
    message.width, message.height, message.step = (int(v) for v in rng.integers(0, UINT32_MAX, 3, endpoint=True))
    message.is_bigendian = int(rng.integers(256))
    message.encoding = ENCODINGS[rng.integers(len(ENCODINGS))]
    return with_data(message, rng.bytes(int(rng.integers(0, LIGHT_BYTES))))


FAMILIES: dict[str, Callable[[np.random.Generator, Image], Image]] = {
    "good but its stamp": good, "size": lying_size, "step": wrong_step, "padded": padded, "truncated": truncated,
    "too long": too_long, "encoding": wrong_encoding, "byte order": wrong_endian, "floats": odd_floats,
    "constant": constant, "odd size": odd_size, "frame id": any_frame_id, "noise": noise,
}  # fmt: skip
GOOD_SHARE = 0.2


def hostile(rng: np.random.Generator, stream: str) -> tuple[str, Any]:
    """The family and a message of it; one in five is well-formed, so that hostile stamps reach the pairing."""
    others = list(FAMILIES)[1:]
    name = list(FAMILIES)[0] if rng.random() < GOOD_SHARE else others[rng.integers(len(others))]
    return name, FAMILIES[name](rng, fitting(rng, stream))


def large(rng: np.random.Generator, stream: str) -> Any:
    """A real 8K message: 99 MB of rgb8 or 66 MB of 16UC1."""
    return frame(rng, "rgb8" if stream == "rgb" else "16UC1", *EIGHT_K)


def pair(rng: np.random.Generator) -> tuple[Any, Any]:
    """A good pair: rgb8 and 16UC1."""
    return frame(rng, "rgb8", 320, 240), frame(rng, "16UC1", 160, 120)


def size_of(message: Image) -> tuple[int, int]:
    """Width and height that a mask of this frame has."""
    return message.width, message.height
