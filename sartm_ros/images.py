"""Camera messages <-> numpy arrays, without a copy where the message allows it.

`parse` checks a message in constant time and gives an `Incoming` frame (header, size, view on the buffer); its `rgb()`
and `thermal()` convert pixels, which is left to the worker thread. Whatever is wrong with a message is an `ImageError`
that names the topic. Any object with the fields of `sensor_msgs/Image` or `sensor_msgs/CompressedImage` will do.
"""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image as PilImage

COLOR = {
    "rgb8": (3, (0, 1, 2)), "bgr8": (3, (2, 1, 0)), "8UC3": (3, (2, 1, 0)),
    "rgba8": (4, (0, 1, 2)), "bgra8": (4, (2, 1, 0)), "8UC4": (4, (2, 1, 0)),
    "mono8": (1, (0, 0, 0)), "8UC1": (1, (0, 0, 0)),
}  # fmt: skip
"""Colour encodings read directly: channels, and where R, G, B are. 8UC3 and 8UC4 are OpenCV's order: blue first."""
THERMAL = {"mono8": "u1", "8UC1": "u1", "mono16": "u2", "16UC1": "u2", "32FC1": "f4"}
"""Thermal encodings and their numpy type."""
MAX_SIDE = 16384
NAN_PROBE_STEP = 16


class ImageError(ValueError):
    """A message that cannot be used; the text names the topic, the encoding, the size, what was expected."""

    def __init__(self, topic: str, text: str) -> None:
        super().__init__(f"{topic}: {text}")
        self.topic = topic


def _bad(topic: str, message: Any, problem: str) -> ImageError:
    size = f"{getattr(message, 'width', '?')}x{getattr(message, 'height', '?')}"
    kind = getattr(message, "encoding", None) or getattr(message, "format", "")
    return ImageError(topic, f"image {size}, encoding '{kind}': {problem}")


@dataclass(frozen=True, eq=False)
class Incoming:
    """One frame as it came: `view` is (H, W) or (H, W, C) on the message's buffer, None if that is compressed."""

    topic: str
    message: Any
    height: int
    width: int
    view: np.ndarray | None

    @property
    def header(self) -> Any:
        return self.message.header

    @property
    def stamp_ns(self) -> int:
        """The header's time stamp, nanoseconds."""
        stamp = self.message.header.stamp
        return stamp.sec * 1_000_000_000 + stamp.nanosec

    def rgb(self) -> np.ndarray:
        """(H, W, 3) uint8 in R, G, B order; a read-only view if the message is rgb8. Raises ImageError."""
        if self.view is None:
            return _decompress(self.topic, self.message, "rgb")
        encoding = self.message.encoding
        if encoding not in COLOR:
            return _by_cv_bridge(self.topic, self.message)
        channels, order = COLOR[encoding]
        if order == (0, 1, 2):
            return self.view[..., :3]
        return np.take(self.view.reshape(self.height, self.width, channels), order, axis=2)  # (H, W, 3)

    def thermal(self, scale: float = 1.0, offset: float = 0.0) -> np.ndarray:
        """(H, W) uint8, uint16 or float32 in native byte order; value * scale + offset as float32 unless 1 and 0."""
        values = self.view if self.view is not None else _decompress(self.topic, self.message, "thermal")
        if scale != 1.0 or offset != 0.0:
            return values.astype(np.float32) * np.float32(scale) + np.float32(offset)
        return values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))


def parse(message: Any, role: str, topic: str) -> Incoming:
    """Check an Image or CompressedImage in the role "rgb" or "thermal" and wrap it; pixels are not touched.

    Raises ImageError for a zero or absurd size, a wrong step, missing data, an encoding the role has no use for, or
    temperatures that are all NaN.
    """
    if hasattr(message, "format"):
        return _parse_compressed(message, role, topic)
    if not (0 < message.width <= MAX_SIDE and 0 < message.height <= MAX_SIDE):
        raise _bad(topic, message, f"expected a width and a height of 1 to {MAX_SIDE}; check the camera driver")
    view = _thermal_view(message, topic) if role == "thermal" else _color_view(message, topic)
    return Incoming(topic, message, message.height, message.width, view)


def _thermal_view(message: Any, topic: str) -> np.ndarray:
    if message.encoding not in THERMAL:
        raise _bad(topic, message, f"expected one of {', '.join(THERMAL)} for a thermal camera")
    view = _view(message, topic, THERMAL[message.encoding], 1)
    if view.dtype.kind == "f":
        probe = np.isfinite(view[::NAN_PROBE_STEP, ::NAN_PROBE_STEP]).any()
        if not probe and not np.isfinite(view).any():
            raise _bad(topic, message, "every temperature is NaN or infinite; expected at least one finite value")
    return view


def _color_view(message: Any, topic: str) -> np.ndarray:
    if message.encoding in COLOR:
        return _view(message, topic, "u1", COLOR[message.encoding][0])
    if not has_cv_bridge():
        raise _bad(
            topic, message,
            f"expected one of {', '.join(COLOR)}; others (Bayer, YUV) need cv_bridge, which is not installed: "
            "apt install ros-$ROS_DISTRO-cv-bridge, or debayer with image_proc",
        )  # fmt: skip
    if len(message.data) < message.step * message.height or message.step == 0:
        raise _bad(topic, message, f"step {message.step} and {len(message.data)} bytes of data do not fit the size")
    return np.frombuffer(message.data, np.uint8)  # decoded by cv_bridge in the worker


def _view(message: Any, topic: str, dtype: str, channels: int) -> np.ndarray:
    """(H, W) or (H, W, C) view on message.data that honours step, row padding and byte order."""
    kind = np.dtype(dtype).newbyteorder(">" if message.is_bigendian else "<")
    height, width, step = message.height, message.width, message.step
    row = width * channels * kind.itemsize
    if step < row:
        raise _bad(topic, message, f"step is {step} bytes; expected at least {row} (width x bytes a pixel)")
    if len(message.data) < step * (height - 1) + row:
        raise _bad(topic, message, f"data has {len(message.data)} bytes; expected {step * height} (step x height)")
    shape: tuple[int, ...] = (height, width)
    strides: tuple[int, ...] = (step, channels * kind.itemsize)
    if channels > 1:
        shape, strides = (*shape, channels), (*strides, kind.itemsize)
    buffer = np.frombuffer(message.data, np.uint8)
    view: np.ndarray = np.ndarray(shape, kind, buffer, strides=strides)
    view.flags.writeable = False
    return view


def _parse_compressed(message: Any, role: str, topic: str) -> Incoming:
    try:
        with PilImage.open(io.BytesIO(message.data)) as picture:  # reads the file's header only
            (width, height), mode = picture.size, picture.mode
    except Exception as error:  # Pillow raises many types for broken files
        raise _bad(topic, message, f"{len(message.data)} bytes are no readable JPEG or PNG ({error})") from None
    if not (width <= MAX_SIDE and height <= MAX_SIDE):
        raise _bad(topic, message, f"compressed picture is {width}x{height}; expected sides of at most {MAX_SIDE}")
    if role == "thermal" and mode not in ("L", "I;16", "I;16B", "I", "F"):
        raise _bad(topic, message, f"compressed picture has mode {mode}; expected one channel of 8 or 16 bits")
    return Incoming(topic, message, height, width, None)


def _decompress(topic: str, message: Any, role: str) -> np.ndarray:
    try:
        with PilImage.open(io.BytesIO(message.data)) as picture:
            if role == "rgb":
                return np.asarray(picture.convert("RGB"))
            values = np.asarray(picture)
    except Exception as error:  # Pillow raises many types for broken files
        raise _bad(topic, message, f"cannot decode {len(message.data)} bytes ({error})") from None
    if values.dtype == np.uint8:
        return values
    return values.astype(np.uint16 if values.dtype.kind in "ui" else np.float32)


def has_cv_bridge() -> bool:
    """Whether cv_bridge can be imported (it comes with a ROS distro only)."""
    import importlib.util

    return importlib.util.find_spec("cv_bridge") is not None


def _by_cv_bridge(topic: str, message: Any) -> np.ndarray:
    from cv_bridge import CvBridge

    try:
        return np.asarray(CvBridge().imgmsg_to_cv2(message, "rgb8"))
    except Exception as error:  # cv_bridge raises its own and OpenCV's types
        raise _bad(topic, message, f"cv_bridge cannot turn it into rgb8 ({error})") from None


def fill(message: Any, array: np.ndarray, header: Any) -> Any:
    """Write (H, W) uint8 as mono8, or (H, W, 3) uint8 as rgb8, into a fresh sensor_msgs/Image; returns that message.

    The header is taken as it is: same stamp and frame_id as the camera's.
    """
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3):
        raise ValueError(f"fill: got {array.shape} {array.dtype}; expected (H, W) or (H, W, 3) uint8")
    message.header = header
    return write_pixels(message, array, "mono8" if array.ndim == 2 else "rgb8")


def write_pixels(message: Any, array: np.ndarray, encoding: str) -> Any:
    """Write (H, W) or (H, W, C) of any type into a fresh sensor_msgs/Image; the header is left to the caller."""
    array = np.ascontiguousarray(array)
    message.height, message.width = array.shape[:2]
    message.encoding = encoding
    message.is_bigendian = int(sys.byteorder == "big")
    message.step = array.strides[0]
    message.data.frombytes(array.data.cast("B"))  # the fast way: assigning bytes or an array copies per item
    return message
