"""Arrays into fresh `sensor_msgs/Image` messages."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np


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
