"""`registration.mode: depth` for a recording: depth and both `camera_info` from it, found by stamp; without ROS.

beside = Beside(bag, topics, settings, depth_topic=None)
view = beside.registration(pair)                     # of this pair; the homography where something is missing
beside.missing                                       # what was missing, and how often
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from sartm_ros.bags.pairs import BagPair
from sartm_ros.bags.reading import IMAGE, Bag
from sartm_ros.bags.storage import BagError, Connection, Place
from sartm_ros.bags.topics import Topics, words
from sartm_ros.companions.camera_info import image_size
from sartm_ros.companions.missing import Missing
from sartm_ros.companions.registration import through_depth
from sartm_ros.companions.topics import RGB_INFO, THERMAL_INFO
from sartm_ros.frames.images import depth_image
from sartm_ros.node.settings import Settings
from sartm_ros.pairing.stamps import NS

CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
COMPRESSED = "/compressed"


class Beside:
    """Of one recording, as `sartm_ros.companions.companions.Companions` of a node."""

    def __init__(self, bag: Bag, topics: Topics, settings: Settings, depth_topic: str | None = None) -> None:
        """BagError: no extrinsic, no depth topic, or several."""
        assert settings.depth is not None
        if settings.depth.rgb_to_thermal is None:
            raise BagError(
                "registration.extrinsic: got 'tf', which needs the node; give 'parameter' and "
                "registration.rgb_to_thermal"
            )
        self._bag, self._plan, self._fallback = bag, settings.depth, settings.registration
        self.topics = {RGB_INFO: info_topic(topics.rgb), THERMAL_INFO: info_topic(topics.thermal)}
        self.depth_topic = depth_topic_of(bag, depth_topic)
        self.missing: Counter[str] = Counter()
        """Pairs that had to do without depth, by what was missing."""
        self._infos = dict(settings.info_files) | self._recorded_infos(set(self.topics) - set(settings.info_files))
        found = [(stamp_ns, logged_ns, *place) for _, logged_ns, stamp_ns, place in bag.stamps([self.depth_topic])]
        self._depth = np.array(sorted(found), np.int64).reshape(-1, 5)
        """(N, 5): stamp, recorded, part, first, second; by stamp."""
        self._kind = next(c for c in bag.connections if (c.topic, c.msgtype) == (self.depth_topic, IMAGE))

    def registration(self, pair: BagPair) -> Any:
        """The `DepthView` of a pair; where something is missing, the homography or None, which is counted."""
        try:
            return through_depth(self._plan, self, None, pair.rgb, pair.thermal)
        except ValueError as error:
            self.missing[str(error)] += 1
            return self._fallback

    @property
    def warnings(self) -> list[str]:
        """What was missing, for people."""
        if not self.missing:
            return []
        instead = "the homography" if self._fallback else "no registration"
        (first, _), *others = self.missing.items()
        more = f"; and {len(others)} other reasons" if others else ""
        return [f"{self.missing.total()} pairs without depth, {instead} instead: {first}{more}"]

    def info(self, name: str, size: tuple[int, int]) -> Any:
        """The `camera_info` of a camera whose images are (width, height). Raises Missing."""
        info = self._infos.get(name)
        if info is None:
            raise Missing(f"no {self.topics[name]} in the recording; {name.split('/')[0]}_camera_info_url names a file")
        if (found := image_size(info)) != size:
            raise Missing(
                f"the camera_info of {name.split('/')[0]} is of images of {found[0]}x{found[1]}, those recorded are "
                f"{size[0]}x{size[1]}"
            )
        return info

    def depth(self, stamp_ns: int, tolerance: float, wait: float) -> np.ndarray:
        """(H, W) uint16 millimetres or float32 metres, at most `tolerance` seconds off. Raises Missing."""
        if not len(self._depth):
            raise Missing(f"no depth image on {self.depth_topic}")
        nearest = self._depth[np.abs(self._depth[:, 0] - stamp_ns).argmin()]
        off_ns = abs(int(nearest[0]) - stamp_ns)
        if off_ns > tolerance * NS:
            raise Missing(
                f"the depth image nearest to an rgb frame is {off_ns / NS * 1e3:.0f} ms away, depth.tolerance is "
                f"{tolerance * 1e3:g} ms"
            )
        message = self._bag.read(Place(*map(int, nearest[2:])), self._kind, int(nearest[1]))
        return depth_image(self._bag.decode(message), self.depth_topic)  # ImageError is a ValueError

    def _recorded_infos(self, names: set[str]) -> dict[str, Any]:
        """The first `camera_info` of each of these cameras that is in the recording."""
        found: dict[str, Any] = {}
        wanted = {self.topics[name]: name for name in names}
        if any(is_info(connection) and connection.topic in wanted for connection in self._bag.connections):
            for message in self._bag.messages(wanted):
                if is_info(message.connection):
                    found.setdefault(wanted[message.topic], self._bag.decode(message))
                if len(found) == len(wanted):
                    break
        return found


def is_info(connection: Connection) -> bool:
    return connection.msgtype == CAMERA_INFO


def info_topic(images: str) -> str:
    """Beside the images of a camera."""
    return f"{images.removesuffix(COMPRESSED).rpartition('/')[0]}/camera_info"


def depth_topic_of(bag: Bag, given: str | None) -> str:
    """The one asked for, or the only raw image topic with `depth` in its name. BagError lists what there is."""
    raw = [topic for topic, kind in bag.images.items() if kind == IMAGE]
    if given is not None:
        if given not in raw:
            raise BagError(
                f"--depth-topic {given}: no raw image topic of that name in {bag.path}; there are {', '.join(raw)}"
            )
        return given
    found = [topic for topic in raw if "depth" in words(topic)]
    if len(found) != 1:
        there = ", ".join(found) or "none"
        raise BagError(f"{bag.path}: registration.mode depth needs one depth topic; found {there}; give --depth-topic")
    return found[0]
