"""What comes beside the cameras of a `Rig`: camera_info of both, depth; and ears for any topic of the node."""

from __future__ import annotations

from typing import Any

import numpy as np
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image

from sartm_ros.companions.companions import TYPES
from sartm_ros.companions.topics import DEPTH, RGB_INFO, THERMAL_INFO
from test.ros.rig import LATCHED, RELIABLE, H, Rig, W

FOCAL = 60.0
SIZES = {RGB_INFO: (W, H), THERMAL_INFO: (30, 20)}
"""(width, height) of the images of a `Rig`."""
METRES = 2.0


def camera_info(size: tuple[int, int], focal: float = FOCAL) -> CameraInfo:
    """Of a camera without distortion whose axis goes through the middle."""
    width, height = size
    info = CameraInfo(width=width, height=height, distortion_model="plumb_bob", d=[0.0] * 5)
    cx, cy = (width - 1) / 2, (height - 1) / 2
    info.k = [focal, 0.0, cx, 0.0, focal, cy, 0.0, 0.0, 1.0]
    info.p = [focal, 0.0, cx, 0.0, 0.0, focal, cy, 0.0, 0.0, 0.0, 1.0, 0.0]
    info.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    return info


class Beside:
    """Publishes what is in `sent` with every pair of frames of the rig, before them and under their stamps."""

    def __init__(self, rig: Rig, *names: str) -> None:
        self.rig = rig
        self.publishers = {
            name: rig.peer.create_publisher(TYPES[name], f"/sartm/{name}", qos_profile_sensor_data) for name in TYPES
        }
        self.off_ns = 0
        """Added to the stamps of depth."""
        self.sent: dict[str, Any] = {}
        for name in names:
            self.sent[name] = self.plain_depth() if name == DEPTH else camera_info(SIZES[name])
        self._send, rig.send = rig.send, self.send

    def plain_depth(self, encoding: str = "16UC1", size: tuple[int, int] = (W, H)) -> Image:
        """`METRES` everywhere, without depth in the first column."""
        depth = np.full(size[::-1], METRES, np.float32)
        depth[:, 0] = np.nan
        if encoding == "16UC1":
            depth = (np.nan_to_num(depth) * 1000).astype(np.uint16)
        return self.rig.image(depth, encoding, "rgb_optical", 0)

    def send(self, **frames: Any) -> None:
        """One of each, then the rig's own frames of the same moment."""
        stamp = self.rig.clock_ns + 50_000_000
        for name, message in self.sent.items():
            shift = self.off_ns if name == DEPTH else 0
            message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp + shift, 1_000_000_000)
            self.publishers[name].publish(message)
        self._send(**frames)

    def hear(self, topic: str, kind: type, latched: bool = False) -> list[Any]:
        """A list that fills with the messages of an output."""
        heard: list[Any] = []
        self.rig.peer.create_subscription(kind, f"/sartm/{topic}", heard.append, LATCHED if latched else RELIABLE)
        return heard

    def next(self, heard: list[Any], what: str = "a message") -> Any:
        """The next message while both cameras send."""
        count = len(heard)
        self.rig.stream_until(lambda: len(heard) > count, what)
        return heard[-1]

    def missing(self, *parts: str) -> str:
        """What the diagnostics say is missing, once that has all parts."""
        rig = self.rig
        rig.stream_until(
            lambda: rig.diagnostics and all(part in rig.numbers().get("missing", "") for part in parts), f"{parts}"
        )
        return rig.numbers()["missing"]

    def complete(self) -> None:
        """Wait until nothing is missing any more."""
        rig = self.rig
        rig.diagnostics.clear()
        rig.stream_until(lambda: rig.diagnostics and rig.numbers().get("missing") == "", "nothing missing")
