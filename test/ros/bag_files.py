"""Recordings for the tests, written by rosbags; no ROS needed."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PilImage

pytest.importorskip("rosbags")
from rosbags.highlevel import AnyReader
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

TYPES = get_typestore(Stores.LATEST)
RGB, THERMAL, CHATTER = "/cam/color/image_raw", "/flir/image_raw", "/chatter"
IMAGE, COMPRESSED, STRING = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage", "std_msgs/msg/String"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
START_NS = 1_700_000_000_000_000_000
NS = 1_000_000_000
PERIOD_S = 0.1
HEIGHT, WIDTH = 64, 96
ENCODINGS = {np.dtype(np.uint8): "mono8", np.dtype(np.uint16): "mono16", np.dtype(np.float32): "32FC1"}
OWN_TYPE = "uint8 one\nown_msgs/Inner[] more\n" + "=" * 80 + "\nMSG: own_msgs/Inner\nfloat32 value\n"
OWN_BYTES = b"\0\1\0\0" + b"\7\0\0\0" + b"\0\0\0\0"
"""one: 7, more: nothing."""
QOS = Qos(
    QosHistory.KEEP_LAST, 5, QosReliability.BEST_EFFORT, QosDurability.VOLATILE, QosTime(0, 0), QosTime(0, 0),
    QosLiveliness.AUTOMATIC, QosTime(0, 0), False,
)  # fmt: skip


@dataclass(frozen=True)
class Camera:
    """A `camera_info` of images of (width, height), without distortion."""

    size: tuple[int, int]
    focal: float = 80.0


@dataclass(frozen=True)
class Frame:
    """One image message: a raw image, or the bytes of a JPEG or PNG."""

    topic: str
    stamp_s: float
    """After `START_NS`, as `logged_s`."""
    logged_s: float
    content: np.ndarray | bytes | Camera


def serialized(frame: Frame) -> tuple[str, bytes]:
    """Type and bytes of the message."""
    stamp = START_NS + round(frame.stamp_s * NS)
    time = TYPES.types["builtin_interfaces/msg/Time"](stamp // NS, stamp % NS)
    header = TYPES.types["std_msgs/msg/Header"](time, frame.topic.split("/")[1])
    if isinstance(frame.content, Camera):
        return CAMERA_INFO, bytes(TYPES.serialize_cdr(camera_info(header, frame.content), CAMERA_INFO))
    if isinstance(frame.content, bytes):
        kind = "jpeg" if frame.content.startswith(b"\xff\xd8") else "png"
        data = np.frombuffer(frame.content, np.uint8)
        return COMPRESSED, bytes(TYPES.serialize_cdr(TYPES.types[COMPRESSED](header, kind, data), COMPRESSED))
    image = np.ascontiguousarray(frame.content)
    encoding = "rgb8" if image.ndim == 3 else ENCODINGS[image.dtype]
    flat = image.reshape(-1).view(np.uint8)
    message = TYPES.types[IMAGE](header, *image.shape[:2], encoding, 0, image.strides[0], flat)
    return IMAGE, bytes(TYPES.serialize_cdr(message, IMAGE))


def camera_info(header: object, camera: Camera) -> object:
    (width, height), f = camera.size, camera.focal
    k = np.array([f, 0, width / 2, 0, f, height / 2, 0, 0, 1], np.float64)
    p = np.array([f, 0, width / 2, 0, 0, f, height / 2, 0, 0, 0, 1, 0], np.float64)
    roi = TYPES.types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
    d, r = np.zeros(5), np.eye(3).ravel()
    return TYPES.types[CAMERA_INFO](header, height, width, "plumb_bob", d, k, r, p, 0, 0, roi)


def record(path: Path, frames: Sequence[Frame], storage: str = "mcap", own: bool = False) -> Path:
    """Write the frames, a text between every two of them, in the order they were recorded.

    own: before them, on `/own`, a message of a type that no library knows.
    """
    with Writer(path, version=9, storage_plugin=StoragePlugin[storage.upper()]) as writer:
        if own:
            topic = writer.add_connection("/own", "own_msgs/msg/Outer", msgdef=OWN_TYPE, rihs01="RIHS01_unknown")
            writer.write(topic, START_NS, OWN_BYTES)
        chatter = writer.add_connection(CHATTER, STRING, typestore=TYPES)
        connections = {}
        for index, frame in enumerate(sorted(frames, key=lambda f: f.logged_s)):
            kind, data = serialized(frame)
            if frame.topic not in connections:
                connections[frame.topic] = writer.add_connection(
                    frame.topic, kind, typestore=TYPES, offered_qos_profiles=[QOS]
                )
            logged = START_NS + round(frame.logged_s * NS)
            writer.write(connections[frame.topic], logged, data)
            text = TYPES.types[STRING](f"text {index}")
            writer.write(chatter, logged + 1, TYPES.serialize_cdr(text, STRING))
    return path


def scene(index: int, height: int = HEIGHT, width: int = WIDTH) -> tuple[np.ndarray, np.ndarray]:
    """A smooth colour picture and 16-bit thermal counts with a warm spot that moves."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    base = 60 + 120 * x / width + 10 * np.sin(y / 5 + index)
    rgb = np.clip(np.stack([base, base * 0.8, 255 - base], -1), 0, 255).astype(np.uint8)
    spot = np.exp(-((x - 10 - 8 * index) ** 2 + (y - 30) ** 2) / 100)
    return rgb, (29000 + 5 * y + 1500 * spot).astype(np.uint16)


def drive(count: int = 4, skew_s: float = 0.004, compressed: bool = False, latency_s: float = 0.005) -> list[Frame]:
    """Pairs at 10 Hz; thermal stamps are `skew_s` later than rgb stamps, both are recorded `latency_s` after."""
    frames = []
    for index in range(count):
        rgb, thermal = scene(index)
        at = index * PERIOD_S
        frames.append(Frame(RGB, at, at + latency_s, picture(rgb, "jpeg") if compressed else rgb))
        content = picture(thermal, "png") if compressed else thermal
        frames.append(Frame(THERMAL, at + skew_s, at + skew_s + latency_s, content))
    return frames


def picture(image: np.ndarray, kind: str) -> bytes:
    buffer = io.BytesIO()
    PilImage.fromarray(image).save(buffer, kind)
    return buffer.getvalue()


def messages(path: Path) -> list[tuple[str, int, bytes]]:
    """(topic, recorded ns, bytes) of everything in a recording; AnyReader also checks every type's hash."""
    with AnyReader([path]) as reader:
        return [(connection.topic, logged, bytes(data)) for connection, logged, data in reader.messages()]


def images(path: Path, topic: str) -> list[tuple[object, np.ndarray]]:
    """(header, (H, W) or (H, W, C) uint8) of a topic's raw 8-bit images."""
    with AnyReader([path]) as reader:
        wanted = [c for c in reader.connections if c.topic == topic]
        decoded = [reader.deserialize(data, c.msgtype) for c, _, data in reader.messages(wanted)]
    return [(m.header, m.data.reshape(m.height, m.width, -1).squeeze()) for m in decoded]


def write_params(path: Path, **values: object) -> Path:
    """A parameter file of the node that makes the shipped weights fast: a small input, plain torch."""
    import yaml

    fast = {"input_size": f"{HEIGHT}x{WIDTH}", "engine": "torch", "precision": "fp32", "device": "cpu"}
    path.write_text(yaml.safe_dump({"/**/segment": {"ros__parameters": fast | values}}))
    return path
