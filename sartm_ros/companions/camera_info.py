"""What a `sensor_msgs/CameraInfo` says about the pictures beside it. Any object with its fields will do.

`width` and `height` are of the sensor; pictures are of its `roi`, binned: `image_size`. K and P are of the sensor.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sartm_core.preprocess.camera import Camera

K_OF_P = [0, 1, 2, 4, 5, 6, 8, 9, 10]
"""Places of P's left 3x3 block."""
KEPT = ("distortion_model", "d", "r")
"""Fields that a resize does not change."""


def image_size(info: Any) -> tuple[int, int]:
    """(width, height) of the pictures."""
    x, y = binning(info)
    return (info.roi.width or info.width) // x, (info.roi.height or info.height) // y


def binning(info: Any) -> tuple[int, int]:
    """Pixels of the sensor in one of the picture, across and down; 0 stands for 1."""
    return max(1, info.binning_x), max(1, info.binning_y)


def camera(info: Any, rectified: bool) -> Camera:
    """The camera of the pictures; rectified: they went through `image_proc`, so P holds and there is no distortion.

    ValueError: not calibrated, or a lens that `Camera` does not know.
    """
    k = np.array(info.p, np.float64)[K_OF_P] if rectified else np.array(info.k, np.float64)
    k = k * to_pictures(info)
    width, height = image_size(info)
    k[2], k[5] = k[2] - info.roi.x_offset / binning(info)[0], k[5] - info.roi.y_offset / binning(info)[1]
    return Camera.of(width, height, k, () if rectified else info.d, info.distortion_model)


def of_camera(message: Any, camera: Camera) -> Any:
    """Fill a fresh CameraInfo; the header is left out. The other way round of `camera`."""
    (fx, fy), (cx, cy) = camera.focal, camera.centre
    message.width, message.height = camera.size
    message.distortion_model, message.d = "plumb_bob", list(camera.distortion or [0.0] * 5)
    message.k = [fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0]
    message.p = [fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0]
    message.r = np.eye(3).ravel().tolist()
    return message


def to_pictures(info: Any) -> np.ndarray:
    """(9,) factors from K of the sensor to K of the binned picture."""
    x, y = binning(info)
    return np.array([1 / x, 1 / x, 1 / x, 1 / y, 1 / y, 1 / y, 1, 1, 1])


def resized(info: Any, message: Any, size: tuple[int, int]) -> Any:
    """Fill a fresh CameraInfo for the pictures resized to (width, height), edges on edges; the header is left out.

    Integer coordinates are pixel centres, as in `Camera.resized`.
    """
    for name in KEPT:
        setattr(message, name, getattr(info, name))
    message.width, message.height = size
    for name, columns in (("k", 3), ("p", 4)):
        matrix = np.array(getattr(info, name), np.float64).reshape(3, columns)
        offsets = info.roi.x_offset, info.roi.y_offset
        for axis, (bins, offset, now, before) in enumerate(
            zip(binning(info), offsets, size, image_size(info), strict=True)
        ):
            scale = now / before
            matrix[axis, 2] = ((matrix[axis, 2] - offset) / bins + 0.5) * scale - 0.5
            others = [column for column in range(columns) if column != 2]
            matrix[axis, others] *= scale / bins
        setattr(message, name, matrix.ravel())
    return message
