"""Objects with the fields of sensor_msgs/Image and sensor_msgs/CompressedImage; no ROS needed."""

from __future__ import annotations

import array
import io
from types import SimpleNamespace

import numpy as np
from PIL import Image as PilImage

TOPIC = "/cam/image_raw"
STAMP = SimpleNamespace(sec=12, nanosec=345)


def message(data: bytes, encoding: str, height: int, width: int, step: int, big: int = 0) -> SimpleNamespace:
    """An Image."""
    return SimpleNamespace(
        header=SimpleNamespace(stamp=STAMP, frame_id="cam"),
        height=height,
        width=width,
        encoding=encoding,
        step=step,
        is_bigendian=int(big),
        data=array.array("B", data),
    )


def encode(image: np.ndarray, encoding: str, pad: int = 0, big: bool = False) -> SimpleNamespace:
    """An Image of these pixels with `pad` bytes of rubbish after every row."""
    wire = image.astype(image.dtype.newbyteorder(">" if big else "<"))
    rows = wire.reshape(image.shape[0], -1).view(np.uint8)
    padded = np.pad(rows, ((0, 0), (0, pad)), constant_values=0xAB)
    return message(padded.tobytes(), encoding, image.shape[0], image.shape[1], padded.shape[1], big)


def picture_bytes(image: np.ndarray, kind: str, **options) -> bytes:
    """The file a camera driver would put into a CompressedImage; kind "jpeg" or "png"."""
    buffer = io.BytesIO()
    PilImage.fromarray(image).save(buffer, kind, **options)
    return buffer.getvalue()


def compressed(image: np.ndarray, kind: str, **options) -> SimpleNamespace:
    """A CompressedImage of these pixels."""
    return raw_compressed(picture_bytes(image, kind, **options), kind)


def raw_compressed(data: bytes, kind: str) -> SimpleNamespace:
    """A CompressedImage of any bytes and any format string."""
    header = SimpleNamespace(stamp=STAMP, frame_id="cam")
    return SimpleNamespace(header=header, format=kind, data=array.array("B", data))
