"""The frames a benchmark plays, as messages in memory: made once, only their stamps change."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Picture
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from sartm_core.preprocess.camera import Camera
from sartm_ros.benchmarking.plan import Plan
from sartm_ros.companions.camera_info import of_camera
from sartm_ros.companions.topics import DEPTH, RGB_INFO, THERMAL_INFO
from sartm_ros.frames.filling import write_pixels
from sartm_ros.replay.sources import Pair, encoding_of, folder_pairs, synthetic_pairs

JPEG_QUALITY = 90
SEED = 10
"""Of the synthetic drive; that of the demo."""

NEAR, FAR, CAMERA_HEIGHT = 3000, 30000, 1500
"""Millimetres: of the depth image's pole and wall, and from the camera down to the floor."""

Messages = tuple[Any, Any]
"""One rgb and one thermal message."""


def load(plan: Plan) -> list[Messages]:
    """All pairs of the plan. Raises ValueError naming the folder when there is none."""
    if plan.data:
        pairs = list(folder_pairs(Path(plan.data), plan.frames, plan.thermal_encoding))
    else:
        pairs = list(synthetic_pairs(plan.frames, SEED, encoding=plan.thermal_encoding))
    if not pairs:
        raise ValueError(f"Plan.data: {plan.data} has no pairs")
    return [messages(pair, plan) for pair in pairs]


def messages(pair: Pair, plan: Plan) -> Messages:
    """A pair at the size and in the encodings of the plan."""
    rgb, thermal = resized(pair.rgb, plan.size), resized(pair.thermal, plan.size)
    if plan.transport == "compressed":
        return compressed(rgb, "jpeg", quality=JPEG_QUALITY), compressed(thermal, "png", compress_level=1)
    if plan.rgb_encoding == "bgr8":
        rgb = rgb[..., ::-1]
    out = write_pixels(Image(), rgb, plan.rgb_encoding), write_pixels(Image(), thermal, encoding_of(thermal))
    for message, name in zip(out, ("rgb_camera", "thermal_camera"), strict=True):
        message.header.frame_id = name
    return out


def beside(plan: Plan) -> dict[str, Any]:
    """What some outputs need beside the two cameras, by name: both `camera_info`, and depth aligned to the rgb camera:
    a floor up to `FAR`, a wall of the upper half with a pole before it."""
    height, width = plan.size
    camera = Camera((width, height), (float(width), float(width)), ((width - 1) / 2, (height - 1) / 2))
    depth = np.full((height, width), FAR, np.uint16)  # (H, W) millimetres
    floor = np.arange(height - height // 2) + 1
    depth[height // 2 :] = np.minimum(FAR, CAMERA_HEIGHT * width / floor)[:, None]
    depth[: height // 2, width // 2 : width // 2 + width // 10] = NEAR
    messages = {name: of_camera(CameraInfo(), camera) for name in (RGB_INFO, THERMAL_INFO)}
    messages[DEPTH] = write_pixels(Image(), depth, "16UC1")
    for name, message in messages.items():
        message.header.frame_id = "thermal_camera" if name == THERMAL_INFO else "rgb_camera"
    return messages


def resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(h, w) or (h, w, 3) -> the same at (H, W), nearest pixels."""
    rows, columns = (np.arange(wanted) * have // wanted for wanted, have in zip(size, image.shape, strict=False))
    return image if image.shape[:2] == size else np.ascontiguousarray(image[rows][:, columns])


def compressed(image: np.ndarray, kind: str, **options: Any) -> CompressedImage:
    """A message with the picture as a file of this kind."""
    buffer = io.BytesIO()
    Picture.fromarray(image).save(buffer, kind, **options)
    message = CompressedImage(format=kind)
    message.data.frombytes(buffer.getvalue())
    return message


def digest(pairs: Iterable[Messages]) -> str:
    """sha256 of all image data: equal for equal inputs."""
    found = hashlib.sha256()
    for pair in pairs:
        for message in pair:
            found.update(memoryview(message.data))
    return found.hexdigest()
