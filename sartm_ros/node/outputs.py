"""The node's publishers: masks, their confidence, a picture for people, the class list and the state."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String

from sartm_core.support.classes import IGNORE
from sartm_core.support.visualize import overlay, thermal_to_gray
from sartm_ros.frames.compressed import fill_png
from sartm_ros.frames.images import fill
from sartm_ros.node.class_map import ClassMap

try:
    from vision_msgs.msg import LabelInfo, VisionClass
except ImportError:  # comes with a ROS distro only, from vision_msgs 4.1 on; `classes` is always there
    LabelInfo = VisionClass = None

FRAMES = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
TIMING = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Outputs:
    """Publishers of a lifecycle node. Nothing is computed or sent for a topic without subscribers."""

    def __init__(self, node: Any) -> None:
        self._mask = node.create_lifecycle_publisher(Image, "semantic_mask", FRAMES)
        self._png = node.create_lifecycle_publisher(CompressedImage, "semantic_mask/compressed", FRAMES)
        self._confidence = node.create_lifecycle_publisher(Image, "confidence", FRAMES)
        self._overlay = node.create_lifecycle_publisher(Image, "overlay", FRAMES)
        self._timing = node.create_lifecycle_publisher(String, "~/timing", TIMING)
        self._state = node.create_publisher(String, "state", LATCHED)
        self._classes = node.create_publisher(String, "classes", LATCHED)
        self._label_info = node.create_publisher(LabelInfo, "label_info", LATCHED) if LabelInfo else None
        self._node = node
        self.current_state = ""

    def subscribers(self) -> int:
        """Subscriptions on the image topics."""
        return sum(p.get_subscription_count() for p in (self._mask, self._png, self._confidence, self._overlay))

    def wanted(self) -> bool:
        """Whether anybody listens to an image topic; without, no frame needs a model."""
        return self.subscribers() > 0

    def confidence_wanted(self) -> bool:
        """Whether anybody listens to `confidence`."""
        return bool(self._confidence.get_subscription_count() > 0)

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

    def publish(
        self, header: Any, rgb: np.ndarray | None, thermal: np.ndarray | None, result: Any, class_map: ClassMap,
        alpha: float,
    ) -> tuple[float, float]:  # fmt: skip
        """Send one result (`mask` and `confidence`, (H, W) uint8) under `header`, that of the frame it is a mask of.

        rgb (H, W, 3) uint8 or None, thermal (h, w) or None: what the overlay, of weight `alpha` (0..1), is drawn on.
        Returns when the mask was built and when it was sent, monotonic s; zeros when nobody listens to it.
        """
        mask_wanted, png_wanted, confidence_wanted, overlay_wanted = (
            publisher.get_subscription_count() > 0
            for publisher in (self._mask, self._png, self._confidence, self._overlay)
        )
        built = sent = 0.0
        if mask_wanted or png_wanted or overlay_wanted:
            mask = class_map.apply(result.mask)
        if mask_wanted:
            message = fill(Image(), mask, header)
            built = time.monotonic()
            self._mask.publish(message)
            sent = time.monotonic()
        if png_wanted:
            self._png.publish(fill_png(CompressedImage(), mask, header))
        if confidence_wanted and (confidence := result.confidence) is not None:  # None: nobody listened a moment ago
            self._confidence.publish(fill(Image(), confidence, header))
        if overlay_wanted:
            base = thermal_to_gray(np.asarray(thermal)) if rgb is None else rgb
            self._overlay.publish(fill(Image(), overlay(base, mask, class_map.palette, alpha), header))
        return built, sent
