"""Camera messages <-> numpy arrays, without a copy where the message allows it.

`parse` checks a message in microseconds and gives an `Incoming` frame (header, size, view on the buffer); its `rgb()`
and `thermal()` convert pixels, which is left to the model's thread. Whatever is wrong with a message is an `ImageError`
that names the topic. Any object with the fields of `sensor_msgs/Image` or `sensor_msgs/CompressedImage` will do.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sartm_ros.frames import colors, compressed, fingerprints
from sartm_ros.frames.colors import COLOR, DEEP_COLOR
from sartm_ros.frames.compressed import MAX_SIDE
from sartm_ros.installed import distro_package

THERMAL = {"mono8": "u1", "8UC1": "u1", "mono16": "u2", "16UC1": "u2", "16SC1": "i2", "32FC1": "f4"}
"""Thermal encodings and their numpy type. 16SC1 (signed, often hundredths of a degree) is handed on as float32."""
DEPTH = {"16UC1": "u2", "mono16": "u2", "32FC1": "f4"}
"""Depth encodings: millimetres, millimetres, metres."""
FALSE_COLOR = (
    "colour pixels from a thermal camera: false colour loses the order of temperatures, only its brightness is used; "
    "look for the camera's palette setting (white-hot, grey) or, better, its 16-bit output (Y16, mono16, raw, TLinear)"
    ". If the other camera is grey, the two topics are swapped"
)
"""What `Incoming.warning` says of a thermal frame in colour."""
DEEP = re.compile(r"^(16|32|64)[USF]|16$")
"""Encodings of more than 8 bits a channel: rgb16, bayer_rggb16, mono16, 16UC3, ..."""
LOST_BITS = (
    "its format says {!r}, but its picture has 8 bits a channel: the low bits were lost where it was compressed; have "
    "the publisher write PNG of 16 bits (image_transport does, cv_bridge's toCompressedImageMsg does not)"
)
"""What `Incoming.warning` says of a compressed thermal frame that was more."""
NAN_PROBE_STEP = 16
"""Every 16th row and column is looked at first for a finite temperature."""
NAME_LENGTH = 60
"""An encoding or format is quoted up to this many characters."""


class ImageError(ValueError):
    """A message that cannot be used; the text names the topic, the encoding, the size, what was expected."""

    def __init__(self, topic: str, text: str) -> None:
        super().__init__(f"{topic}: {text}")
        self.topic, self.text = topic, text


@dataclass(frozen=True)
class Crop:
    """Pixels cut off a thermal frame: telemetry rows, a border. ValueError when one is negative."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0

    def __post_init__(self) -> None:
        for side in ("top", "bottom", "left", "right"):
            if getattr(self, side) < 0:
                raise ValueError(f"thermal.crop_{side}: got {getattr(self, side)}; expected 0 or more pixels")

    def size(self, height: int, width: int) -> tuple[int, int]:
        """What is left of (height, width). ValueError naming the parameters and the image size if that is nothing."""
        rows, columns = height - self.top - self.bottom, width - self.left - self.right
        if rows <= 0:
            cut = f"thermal.crop_top {self.top} + thermal.crop_bottom {self.bottom}"
            raise ValueError(f"{cut} leave nothing of {height} rows ({width}x{height}); lower them")
        if columns <= 0:
            cut = f"thermal.crop_left {self.left} + thermal.crop_right {self.right}"
            raise ValueError(f"{cut} leave nothing of {width} columns ({width}x{height}); lower them")
        return rows, columns

    def cut(self, image: np.ndarray) -> np.ndarray:
        """(H, W, ...) -> a view without the cut pixels."""
        return image[self.top : image.shape[0] - self.bottom, self.left : image.shape[1] - self.right]


NO_CROP = Crop()


@dataclass(frozen=True, eq=False)
class Incoming:
    """One frame as it came: `view` is (H, W) or (H, W, C) on the message's buffer, None if that is compressed.

    A colour encoding that only cv_bridge reads has the rows' bytes as `view`, (H, step) uint8.
    """

    topic: str
    message: Any
    height: int
    """Rows, after the crop."""
    width: int
    """Columns, after the crop."""
    view: np.ndarray | None
    crop: Crop = NO_CROP
    """What a compressed thermal frame loses after decoding; `view` is cut already."""
    warning: str = ""
    """What is doubtful about a frame that is used all the same; "" if nothing."""

    @property
    def header(self) -> Any:
        return self.message.header

    @property
    def stamp_ns(self) -> int:
        """The header's time stamp, nanoseconds."""
        stamp = self.message.header.stamp
        return stamp.sec * 1_000_000_000 + stamp.nanosec

    @property
    def nbytes(self) -> int:
        """Bytes of image data in the message."""
        return len(self.message.data)

    @property
    def kind(self) -> str:
        """Size and encoding for people, like "640x480 16UC1"."""
        return f"{self.width}x{self.height} {_name(self.message)}"

    def fingerprint(self) -> int | None:
        """A number that is equal for equal pixels and that sensor noise changes; costs less than 0.1 ms at 640x480.

        None for a picture without any detail: that it stays the same is no sign of a frozen camera.
        """
        if self.view is None:
            return fingerprints.of_file(self.message.data)
        return fingerprints.of_pixels(self.view)

    def rgb(self) -> np.ndarray:
        """(H, W, 3) uint8 in R, G, B order; a read-only view if the message is rgb8 or rgba8. Raises ImageError."""
        if self.view is None:
            return self._checked(lambda: compressed.rgb(self.message.data, self.message.format))
        if self.message.encoding not in COLOR:
            return self._checked(lambda: colors.by_cv_bridge(self.message))
        return colors.to_rgb(self.view, self.message.encoding)

    def thermal(self, scale: float = 1.0, offset: float = 0.0) -> np.ndarray:
        """(H, W) uint8, uint16 or float32 in native byte order; value * scale + offset as float32 unless 1 and 0."""
        values = self.view
        if values is None:
            decoded = self._checked(lambda: compressed.thermal(self.message.data, self.message.format))
            values = self.crop.cut(decoded)
        elif values.ndim == 3 and values.dtype.itemsize > 1:
            deep = values
            values = self._checked(lambda: compressed.equal_channels(deep))
        elif values.ndim == 3:
            values = colors.luma(values, self.message.encoding)
        if scale != 1.0 or offset != 0.0:
            with np.errstate(all="ignore"):  # NaN and infinity are allowed, and need no warning
                return values.astype(np.float32) * np.float32(scale) + np.float32(offset)
        if values.dtype.kind == "i":
            return values.astype(np.float32)
        return values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))

    def _checked(self, convert: Callable[[], np.ndarray]) -> np.ndarray:
        """What `convert` gives, its ValueError turned into an ImageError."""
        try:
            return convert()
        except ValueError as error:
            raise _bad(self.topic, self.message, str(error)) from None


def parse(message: Any, role: str, topic: str, crop: Crop = NO_CROP) -> Incoming:
    """Check an Image or CompressedImage in the role "rgb" or "thermal" and wrap it; pixels are not converted.

    `crop` is cut off thermal frames. Raises ImageError for a zero or absurd size, a wrong step, missing data, an
    encoding the role has no use for, a crop that leaves nothing, or temperatures none of which is finite.
    """
    thermal = role == "thermal"
    crop = crop if thermal else NO_CROP
    if hasattr(message, "format"):
        return _parse_compressed(message, thermal, topic, crop)
    if not (0 < message.width <= MAX_SIDE and 0 < message.height <= MAX_SIDE):
        raise _bad(topic, message, f"expected a width and a height of 1 to {MAX_SIDE}; check the camera driver")
    if not thermal:
        return Incoming(topic, message, message.height, message.width, _color_view(message, topic))
    height, width = _cropped(topic, message, crop, message.height, message.width)
    view = _thermal_view(message, topic, crop)
    is_color = view.ndim == 3 and view.dtype.itemsize == 1
    return Incoming(topic, message, height, width, view, crop, FALSE_COLOR if is_color else "")


def _cropped(topic: str, message: Any, crop: Crop, height: int, width: int) -> tuple[int, int]:
    try:
        return crop.size(height, width)
    except ValueError as error:
        raise _bad(topic, message, str(error)) from None


def _parse_compressed(message: Any, thermal: bool, topic: str, crop: Crop) -> Incoming:
    try:
        height, width, color, bits = compressed.header(message.data, message.format, not thermal)
    except compressed.PictureError as error:
        raise _bad(topic, message, str(error)) from None
    height, width = _cropped(topic, message, crop, height, width)
    claimed = message.format.partition(";")[0].strip()
    doubt = FALSE_COLOR if color else LOST_BITS.format(claimed[:NAME_LENGTH])
    is_odd = color or (DEEP.search(claimed) and bits <= 8)
    return Incoming(topic, message, height, width, None, crop, doubt if thermal and is_odd else "")


def _thermal_view(message: Any, topic: str, crop: Crop) -> np.ndarray:
    encoding = message.encoding
    if encoding not in THERMAL:
        if encoding in COLOR:
            return crop.cut(_view(message, topic, "u1", COLOR[encoding][0]))
        if encoding in DEEP_COLOR:
            return crop.cut(_view(message, topic, "u2", DEEP_COLOR[encoding]))
        known = ", ".join(dict.fromkeys([*THERMAL, *COLOR, *DEEP_COLOR]))
        raise _bad(topic, message, f"expected one of {known} for a thermal camera")
    view = crop.cut(_view(message, topic, THERMAL[encoding], 1))
    if view.dtype.kind == "f":
        probe = np.isfinite(view[::NAN_PROBE_STEP, ::NAN_PROBE_STEP]).any()
        if not probe and not np.isfinite(view).any():
            raise _bad(topic, message, "every temperature is NaN or infinite; expected at least one finite value")
    return view


def _color_view(message: Any, topic: str) -> np.ndarray:
    if message.encoding in COLOR:
        return _view(message, topic, "u1", COLOR[message.encoding][0])
    if message.encoding in THERMAL:
        raise _bad(
            topic, message,
            "a thermal or depth camera sends that; expected colour, as rgb8 or bgr8: are the two cameras swapped?",
        )  # fmt: skip
    if DEEP.search(message.encoding):
        raise _bad(
            topic, message,
            "more than 8 bits a channel, which cv_bridge would cut off; expected 8 of a colour camera: have the driver "
            "or a node before this one publish rgb8 or bgr8",
        )  # fmt: skip
    if not colors.has_cv_bridge():
        raise _bad(
            topic, message,
            f"expected one of {', '.join(COLOR)}; others (Bayer, YUV) need cv_bridge, which is not installed: "
            f"{distro_package('cv_bridge')}; or have the driver or a node before this one publish rgb8 or bgr8",
        )  # fmt: skip
    if message.step < message.width or len(message.data) < message.step * message.height:
        raise _bad(topic, message, f"step {message.step} and {len(message.data)} bytes of data do not fit the size")
    size = message.height * message.step
    return np.frombuffer(message.data, np.uint8, size).reshape(message.height, message.step)


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


def depth_image(message: Any, topic: str) -> np.ndarray:
    """A depth image: (H, W) uint16 millimetres or float32 metres, a read-only view if it can be. Raises ImageError."""
    if message.encoding not in DEPTH:
        raise _bad(topic, message, f"expected one of {', '.join(DEPTH)} for depth")
    if not (0 < message.width <= MAX_SIDE and 0 < message.height <= MAX_SIDE):
        raise _bad(topic, message, f"expected a width and a height of 1 to {MAX_SIDE}; check the camera driver")
    view = _view(message, topic, DEPTH[message.encoding], 1)
    return view if view.dtype.isnative else view.astype(view.dtype.newbyteorder("="))


def _name(message: Any) -> str:
    return _printable(str(getattr(message, "encoding", None) or getattr(message, "format", ""))[:NAME_LENGTH])


def _printable(text: str) -> str:
    """One line without control characters and broken unicode, whatever a message or a library put into it."""
    text = " ".join(text.split())
    return text if text.isprintable() else ascii(text)[1:-1]


def _bad(topic: str, message: Any, problem: str) -> ImageError:
    if hasattr(message, "format"):
        what = f"compressed image, format '{_name(message)}', {len(message.data)} bytes"
    else:
        what = f"image {message.width}x{message.height}, encoding '{_name(message)}'"
    return ImageError(topic, f"{what}: {_printable(problem)}")
