"""Colour pixels of camera messages: common orders by numpy, others (Bayer, YUV) by cv_bridge where installed."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np

COLOR = {
    "rgb8": (3, (0, 1, 2)), "bgr8": (3, (2, 1, 0)), "8UC3": (3, (2, 1, 0)),
    "rgba8": (4, (0, 1, 2)), "bgra8": (4, (2, 1, 0)), "8UC4": (4, (2, 1, 0)),
    "mono8": (1, (0, 0, 0)), "8UC1": (1, (0, 0, 0)),
}  # fmt: skip
"""Colour encodings read directly: channels, and where R, G, B are. 8UC3 and 8UC4 are OpenCV's order: blue first."""
DEEP_COLOR = {"16UC3": 3, "16UC4": 4, "rgb16": 3, "bgr16": 3, "rgba16": 4, "bgra16": 4}
"""Encodings of 16 bits a channel and their channels: what a republisher makes of counts, so all have to be equal."""
LUMA = (19595, 38470, 7471)
"""Weights of R, G, B in brightness (ITU-R 601), in 1/65536; they add up to one, so that grey stays what it is."""


def to_rgb(image: np.ndarray, encoding: str) -> np.ndarray:
    """(H, W) or (H, W, C) uint8 of an encoding in `COLOR` -> (H, W, 3) in R, G, B order, a view where that will do."""
    channels, order = COLOR[encoding]
    if order == (0, 1, 2):
        return image[..., :3]
    image = image.reshape(*image.shape[:2], channels)
    out = np.empty((*image.shape[:2], 3), np.uint8)
    for place, source in enumerate(order):  # twice as fast as np.take
        out[..., place] = image[..., source]
    return out


def luma(image: np.ndarray, encoding: str) -> np.ndarray:
    """(H, W, C) uint8 of an encoding in `COLOR` -> brightness (H, W) uint8."""
    total = np.full(image.shape[:2], 1 << 15, np.uint32)  # (H, W), in 1/65536, rounded
    for place, weight in zip(COLOR[encoding][1], LUMA, strict=True):
        total += image[..., place].astype(np.uint32) * np.uint32(weight)
    return (total >> 16).astype(np.uint8)


@cache
def has_cv_bridge() -> bool:
    """Whether cv_bridge can be imported (it comes with a ROS distro only)."""
    return find_spec("cv_bridge") is not None


def by_cv_bridge(message: Any) -> np.ndarray:
    """A sensor_msgs/Image of any encoding cv_bridge knows -> (H, W, 3) uint8, R, G, B. ValueError if it cannot."""
    try:
        from cv_bridge import CvBridge

        image = np.asarray(CvBridge().imgmsg_to_cv2(message, "rgb8"))
    except Exception as error:  # cv_bridge raises its own and OpenCV's types; its import fails on a wrong numpy
        raise ValueError(f"cv_bridge cannot turn it into rgb8 ({type(error).__name__}: {error})") from None
    if image.shape != (message.height, message.width, 3) or image.dtype != np.uint8:
        raise ValueError(f"cv_bridge made {image.shape} {image.dtype} of it; check step and encoding")
    return image
