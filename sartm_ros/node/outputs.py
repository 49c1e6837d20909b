"""The node's publishers: what `sartm_ros.outputs.table` makes of frames, the class list, the alarm and the state."""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Sequence
from typing import Any

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from std_msgs.msg import Bool, String
from std_srvs.srv import Trigger

from sartm_core.support.classes import IGNORE
from sartm_ros.inference.timing import Spans
from sartm_ros.node.class_map import ClassMap
from sartm_ros.outputs.alarm import Alarm
from sartm_ros.outputs.scene import Scene
from sartm_ros.outputs.table import TABLE, Output

try:
    from vision_msgs.msg import LabelInfo, VisionClass
except ImportError:  # comes with a ROS distro only, from vision_msgs 4.1 on; `classes` is always there
    LabelInfo = VisionClass = None

FRAMES = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
TIMING = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
MASK = TABLE[0].name


class Outputs:
    """Publishers of a lifecycle node. Nothing is computed or sent for a topic without subscribers."""

    def __init__(self, node: Any, table: Sequence[Output] = TABLE) -> None:
        self._node = node
        self._frames = [(one, kind, self._publisher(one, kind)) for one in table if (kind := message_type(one))]
        self._timing = node.create_lifecycle_publisher(String, "~/timing", TIMING)
        self._state = node.create_publisher(String, "state", LATCHED)
        self._classes = node.create_publisher(String, "classes", LATCHED)
        self._label_info = node.create_publisher(LabelInfo, "label_info", LATCHED) if LabelInfo else None
        self._alarms = next((publisher for one, _, publisher in self._frames if one.name == "alarm"), None)
        self._alarm_told: bool | None = None
        self._missing: dict[str, str] = {}
        self._refilled: dict[str, Any] = {}
        self.unregistered = ""
        """Why the last pair was registered without depth, in mode depth."""
        self.alarm = Alarm()
        self.current_state = ""

    def _publisher(self, output: Output, kind: type) -> Any:
        if output.latched:  # what is told while the node is inactive must not be lost
            return self._node.create_publisher(kind, output.name, LATCHED)
        return self._node.create_lifecycle_publisher(kind, output.name, FRAMES)

    def subscribers(self) -> int:
        """Subscriptions on the topics that need the model."""
        return sum(publisher.get_subscription_count() for *_, publisher in self._frames)

    def wanted(self) -> bool:
        """Whether anybody listens to one of them; without, no frame needs a model."""
        return any(publisher.get_subscription_count() for *_, publisher in self._frames)

    def wanted_beside(self) -> bool:
        """Whether anybody listens to what is made beside the model's thread."""
        return any(one.beside and publisher.get_subscription_count() for one, _, publisher in self._frames)

    def needs(self) -> set[str]:
        """What the outputs that somebody listens to need (`Output.needs`)."""
        return {need for one, _, publisher in self._frames if publisher.get_subscription_count() for need in one.needs}

    def timing_wanted(self) -> bool:
        """Whether anybody listens to `~/timing`."""
        return bool(self._timing.get_subscription_count() > 0)

    def timing(self, text: str) -> None:
        """Publish when each step of a mask happened (`sartm_ros.inference.timing`)."""
        self._timing.publish(String(data=text))

    def state(self, text: str) -> None:
        """Publish the state if it changed."""
        if text != self.current_state:
            self.current_state = text
            self._state.publish(String(data=text))

    def classes(self, segmenter: Any, threshold: float, class_map: ClassMap) -> None:
        """Publish what the ids mean: JSON on `classes`, vision_msgs/LabelInfo on `label_info` where that exists."""
        listed = [{"id": entry.id, "name": entry.name, "color": list(entry.color)} for entry in class_map.entries]
        text = json.dumps({"model": segmenter.name, "unlabelled": IGNORE, "classes": listed})
        self._classes.publish(String(data=text))
        self.label_info(segmenter, threshold, class_map)

    def label_info(self, segmenter: Any, threshold: float, class_map: ClassMap) -> None:
        """Publish class names and confidence threshold (0..1) on `label_info`, where vision_msgs exists."""
        if self._label_info is not None:
            info = LabelInfo(threshold=float(threshold))
            info.header.stamp = self._node.get_clock().now().to_msg()
            info.class_map = [VisionClass(class_id=entry.id, class_name=entry.name) for entry in class_map.entries]
            self._label_info.publish(info)

    def publish(self, scene: Scene, beside: bool | None = None) -> Spans:
        """Send what is listened to: of the outputs that are made beside the model's thread, of the others, or (None)
        all. Returns when each was made."""
        spans: Spans = {}
        for one, kind, publisher in self._frames:
            if beside is not None and one.beside != beside:
                continue
            self._missing.pop(one.name, None)
            if not publisher.get_subscription_count():
                self._refilled.pop(one.name, None)
                continue
            begun, worked = time.monotonic(), time.thread_time()
            message = self._refilled.setdefault(one.name, kind()) if one.refills else kind()
            try:
                message = one.make(message, scene)
            except ValueError as error:  # costs this output only
                self._missing[one.name] = str(error)
                continue
            if message is None:
                continue
            made = time.monotonic()
            publisher.publish(message)
            spans[one.name] = begun, made, time.monotonic(), time.thread_time() - worked
        self.tell_alarm()
        return spans

    def missing(self) -> dict[str, str]:
        """Which outputs that somebody listens to could not be made of the last frame, and why."""
        heard = {one.name for one, _, publisher in self._frames if publisher.get_subscription_count()}
        found = {name: text for name, text in self._missing.copy().items() if name in heard}
        return found | ({"registration": self.unregistered} if heard and self.unregistered else {})

    def serve_reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """`~/reset_alarm`: somebody has seen the alarm."""
        response.success = True
        response.message = "the alarm was on, now it is off" if self.alarm.reset() else "there was no alarm"
        self.tell_alarm()
        return response

    def tell_alarm(self) -> None:
        """Publish the alarm if it changed; nothing before the first frame was looked at."""
        if self._alarms is not None and self.alarm.watching and self._alarm_told != self.alarm.on:
            self._alarm_told = self.alarm.on
            self._alarms.publish(Bool(data=self.alarm.on))


def message_type(output: Output) -> Any:
    """The message's class; None where its package is not installed."""
    package, _, name = output.type.split("/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name)
    except ImportError:
        if output.package:
            return None
        raise
