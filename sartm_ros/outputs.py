"""The node's publishers: masks, their confidence, a picture for people, the class list and the state."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import String

from sartm_core.visualize import overlay, thermal_to_gray
from sartm_ros.images import fill
from sartm_ros.worker import Job

try:
    from vision_msgs.msg import LabelInfo, VisionClass
except ImportError:  # comes with a ROS distro only (not in Humble's vision_msgs before 4.1); `classes` is always there
    LabelInfo = VisionClass = None

FRAMES = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Outputs:
    """Publishers of a lifecycle node. Nothing is computed or sent for a topic without subscribers."""

    def __init__(self, node: Any) -> None:
        self._mask = node.create_lifecycle_publisher(Image, "semantic_mask", FRAMES)
        self._confidence = node.create_lifecycle_publisher(Image, "confidence", FRAMES)
        self._overlay = node.create_lifecycle_publisher(Image, "overlay", FRAMES)
        self._state = node.create_publisher(String, "state", LATCHED)
        self._classes = node.create_publisher(String, "classes", LATCHED)
        self._label_info = node.create_publisher(LabelInfo, "label_info", LATCHED) if LabelInfo else None
        self._node = node
        self.current_state = ""

    def subscribers(self) -> int:
        """Subscriptions on the three image topics."""
        return sum(p.get_subscription_count() for p in (self._mask, self._confidence, self._overlay))

    def state(self, text: str) -> None:
        """Publish the state if it changed."""
        if text != self.current_state:
            self.current_state = text
            self._state.publish(String(data=text))

    def classes(self, segmenter: Any, threshold: float) -> None:
        """Publish the class list: JSON on `classes`, vision_msgs/LabelInfo on `label_info` where that exists."""
        listed = [
            {"id": i, "name": name, "color": [int(c) for c in color]}
            for i, (name, color) in enumerate(zip(segmenter.classes, segmenter.palette, strict=True))
        ]
        self._classes.publish(String(data=json.dumps({"model": segmenter.name, "unlabelled": 255, "classes": listed})))
        self.label_info(segmenter, threshold)

    def label_info(self, segmenter: Any, threshold: float) -> None:
        """Publish class names and confidence threshold (0..1) on `label_info`, where vision_msgs exists."""
        if self._label_info is not None:
            info = LabelInfo(threshold=float(threshold))
            info.header.stamp = self._node.get_clock().now().to_msg()
            info.class_map = [VisionClass(class_id=i, class_name=name) for i, name in enumerate(segmenter.classes)]
            self._label_info.publish(info)

    def publish(
        self, job: Job, rgb: np.ndarray | None, thermal: np.ndarray | None, result: Any, palette: Any, alpha: float
    ) -> None:
        """Send one result (`mask` and `confidence`, (H, W) uint8) under the header of the job's master frame."""
        header = job.master.header
        if self._mask.get_subscription_count():
            self._mask.publish(fill(Image(), result.mask, header))
        if self._confidence.get_subscription_count():
            self._confidence.publish(fill(Image(), result.confidence, header))
        if self._overlay.get_subscription_count():
            base = thermal_to_gray(np.asarray(thermal)) if rgb is None else rgb
            self._overlay.publish(fill(Image(), overlay(base, result.mask, palette, alpha), header))
