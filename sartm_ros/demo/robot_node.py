"""The ROS side of `demo.robot`: three cameras, and ears for every output of the node."""

from __future__ import annotations

import json
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, qos_profile_sensor_data
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CameraInfo, Image

from sartm_ros.companions.camera_info import of_camera
from sartm_ros.companions.companions import TYPES
from sartm_ros.companions.topics import DEPTH, RGB_INFO, THERMAL_INFO
from sartm_ros.frames.filling import write_pixels
from sartm_ros.node.outputs import LATCHED, message_type
from sartm_ros.outputs.table import TABLE
from sartm_ros.pairing.stamps import NS
from sartm_ros.replay_node import NAMESPACE

RGB, THERMAL = "rgb/image_raw", "thermal/image_raw"
RELIABLE = QoSProfile(depth=10)
POLL_S = 0.05
AGAIN_S, FRAME_S = 1.0, 5.0
"""How often it is asked whether the node still runs, and the longest wait for the outputs of one frame."""


class Robot(Node):
    """Sends a scene's frames with one stamp, and keeps what comes back by that stamp."""

    def __init__(self) -> None:
        super().__init__("demo_robot", namespace=NAMESPACE)
        kinds = {RGB: Image, THERMAL: Image, **TYPES}
        self._senders = {
            name: self.create_publisher(kind, name, qos_profile_sensor_data) for name, kind in kinds.items()
        }
        self.heard: dict[int, dict[str, Any]] = defaultdict(dict)
        """By stamp, ns: the messages by output."""
        self.counts: dict[str, int] = {}
        self.bytes: dict[str, int] = {}
        self.alarm, self.reason = False, ""
        for output in TABLE:
            if kind := message_type(output):
                self.counts[output.name] = 0
                self.create_subscription(
                    kind, output.name, lambda message, name=output.name: self._take(name, message),
                    LATCHED if output.latched else RELIABLE,
                )  # fmt: skip
        self.create_subscription(DiagnosticArray, "/diagnostics", self._diagnostics, RELIABLE)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self)
        self._stamp = 0

    def _take(self, name: str, message: Any) -> None:
        self.counts[name] += 1
        if name == "alarm":
            self.alarm = message.data
            return
        self.bytes[name] = len(message.data) if hasattr(message, "data") else 0
        if hasattr(message, "header"):
            stamp = message.header.stamp.sec * NS + message.header.stamp.nanosec
        else:
            told = json.loads(message.data)["stamp"]
            stamp = told["sec"] * NS + told["nanosec"]
        self.heard[stamp][name] = message

    def _diagnostics(self, message: DiagnosticArray) -> None:
        self.reason = message.status[0].message

    def send(self, scene: Any, counts: np.ndarray) -> None:
        """All messages of a scene, now."""
        self._stamp = self.get_clock().now().nanoseconds
        depth = np.nan_to_num(scene.depth * 1000).clip(0, 65535).astype(np.uint16)
        messages = {
            RGB_INFO: of_camera(CameraInfo(), scene.camera), THERMAL_INFO: of_camera(CameraInfo(), scene.camera),
            DEPTH: write_pixels(Image(), depth, "16UC1"), THERMAL: write_pixels(Image(), counts, "16UC1"),
            RGB: write_pixels(Image(), scene.rgb, "rgb8"),
        }  # fmt: skip
        for name, message in messages.items():
            message.header.stamp.sec, message.header.stamp.nanosec = divmod(self._stamp, NS)
            message.header.frame_id = "thermal_camera" if name in (THERMAL, THERMAL_INFO) else "rgb_camera"
            self._senders[name].publish(message)

    def start(self, scene: Any, counts: np.ndarray, process: subprocess.Popen, seconds: float) -> None:
        """Send the first scene again and again until every output of it comes. RuntimeError: none does."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise RuntimeError(f"the segment node ended with exit code {process.returncode}")
            if not self.spin_until(self.connected, AGAIN_S):
                continue
            self.send(scene, counts)
            if self.spin_until(self.whole, FRAME_S):
                return
        raise RuntimeError(f"not every output came within {seconds:.0f} s: {self.reason or 'no diagnostics'}")

    def play(self, scene: Any, counts: np.ndarray) -> dict[str, Any]:
        """What came back for a scene."""
        self.send(scene, counts)
        self.spin_until(self.whole, FRAME_S)
        found = self.heard[self._stamp]
        self.heard.clear()
        return found

    def connected(self) -> bool:
        """Whether the node listens to both cameras."""
        return all(self._senders[name].get_subscription_count() for name in (RGB, THERMAL))

    def whole(self) -> bool:
        """Whether every output of the frame just sent is there."""
        return len(self.heard[self._stamp]) == len(self.counts) - 1  # the alarm only when it changes

    def spin_until(self, condition: Any, seconds: float) -> bool:
        """Whether the condition held in time."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            self._executor.spin_once(timeout_sec=POLL_S)
        return True

    def absent(self) -> list[str]:
        """Outputs that never came."""
        return [name for name, count in self.counts.items() if not count]

    def table(self) -> str:
        """Messages and bytes of each output."""
        lines = [f"{'output':<28}{'messages':>9}{'bytes':>10}"]
        rows = ((name, count, self.bytes.get(name, 0)) for name, count in self.counts.items())
        return "\n".join([*lines, *(f"{name:<28}{count:>9}{size:>10}" for name, count, size in rows)])


@contextmanager
def open_robot() -> Iterator[Robot]:
    """The node, ended on leaving. Ctrl-C stays a KeyboardInterrupt."""
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    robot = Robot()
    try:
        yield robot
    finally:
        robot.destroy_node()
        rclpy.try_shutdown()
