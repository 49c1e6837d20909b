"""What comes beside the two cameras: `camera_info` of both and depth. Listened to only while an output needs it.

The executor's thread subscribes and fills, the model's threads ask. Whatever is not there, too old or of another size
is a `Missing` that says so: no output is made of it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image

from sartm_ros.companions.camera_info import image_size
from sartm_ros.companions.info_file import InfoFile
from sartm_ros.companions.missing import Missing
from sartm_ros.companions.recent import Recent
from sartm_ros.companions.topics import DEPTH, RGB_INFO, THERMAL_INFO
from sartm_ros.frames.images import depth_image
from sartm_ros.pairing.stamps import NS

QOS = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
TYPES = {RGB_INFO: CameraInfo, THERMAL_INFO: CameraInfo, DEPTH: Image}
COMPRESSED = "/compressed"


class Companions:
    """Of one node. A camera's info is looked for beside its images, wherever these are remapped to."""

    def __init__(self, node: Any) -> None:
        self._node = node
        self.topics = {name: self._topic(name) for name in TYPES}
        """By name, the topics after remapping."""
        self._files: dict[str, tuple[InfoFile, CameraInfo]] = {}
        self._subscriptions: dict[str, Any] = {}
        self._recent: dict[str, Recent] = {}

    def use_files(self, files: dict[str, InfoFile]) -> None:
        """What stands in for the topics of these names."""
        if {name: file for name, (file, _) in self._files.items()} != files:
            self._files = {name: (file, to_message(file)) for name, file in files.items()}

    def want(self, names: Collection[str]) -> None:
        """Listen to these and no others; not to what is in a file."""
        names = set(names) - set(self._files)
        for name in set(self._subscriptions) - set(names):
            self._node.destroy_subscription(self._subscriptions.pop(name))
            self._recent.pop(name)
        for name in set(names) - set(self._subscriptions):
            recent = self._recent[name] = Recent()
            self._subscriptions[name] = self._node.create_subscription(TYPES[name], self.topics[name], recent.put, QOS)

    def info(self, name: str, size: tuple[int, int]) -> CameraInfo:
        """The newest `camera_info` of a camera whose images are (width, height)."""
        file, info = self._files.get(name, (None, None))
        if file is None:
            recent = self._recent.get(name)
            info = recent.latest() if recent else None
        if info is None:
            raise Missing(f"no camera_info so far on {self._listening(name)}")
        if (found := image_size(info)) != size:
            source = file.url if file else self.topics[name]
            raise Missing(
                f"{source} is of images of {found[0]}x{found[1]}, those that come are {size[0]}x{size[1]}: "
                "take the camera_info of the same driver and mode"
            )
        return info

    def depth(self, stamp_ns: int, tolerance: float, wait: float) -> np.ndarray:
        """(H, W) uint16 millimetres or float32 metres, of the time `stamp_ns` give or take `tolerance` seconds.

        wait: for one that is on its way, seconds at most.
        """
        recent = self._recent.get(DEPTH)
        found = recent.nearest(stamp_ns, wait) if recent else None
        if found is None:
            raise Missing(f"no depth image so far on {self._listening(DEPTH)}")
        off, message = found
        if abs(off) > tolerance * NS:
            raise Missing(
                f"the depth image nearest to the rgb frame is {abs(off) / NS * 1e3:.0f} ms "
                f"{'older' if off < 0 else 'newer'}, depth.tolerance is {tolerance * 1e3:g} ms: {self.topics[DEPTH]} "
                "is slower, later or of another clock"
            )
        return depth_image(message, self.topics[DEPTH])  # ImageError is a ValueError

    def _topic(self, name: str) -> str:
        """The topic of a name; a `camera_info` that is not remapped itself goes with its camera's images."""
        resolve = self._node.resolve_topic_name
        own, stream = str(resolve(name)), name.split("/")[0]
        if TYPES[name] is not CameraInfo or own != f"{self._node.get_namespace().rstrip('/')}/{name}":
            return own
        images = str(resolve(f"{stream}/image_raw")).removesuffix(COMPRESSED)
        return f"{images.rpartition('/')[0]}/camera_info"

    def _listening(self, name: str) -> str:
        """The topic, and who publishes there."""
        topic = self.topics[name]
        publishers = self._node.count_publishers(topic)
        return f"{topic} ({publishers or 'no'} publisher{'' if publishers == 1 else 's'})"


def to_message(file: InfoFile) -> CameraInfo:
    """The same as a message, without header."""
    message = CameraInfo(width=file.width, height=file.height, distortion_model=file.distortion_model)
    message.d, message.k, message.r, message.p = (list(numbers) for numbers in (file.d, file.k, file.r, file.p))
    return message
