"""Frames to calibrate on from the cameras of a running robot."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from sartm_ros.calibration.needs import CalibrationError
from sartm_ros.calibration.sources import FramePair

LOOK_SECONDS = 0.2
"""How often the ROS graph is asked who publishes, until both cameras are found."""
SPACING = 0.5
"""Seconds between two pairs: the scene should have moved on."""
MAX_WAIT = 0.2
"""Seconds to wait for a better partner."""
STREAMS = ("rgb", "thermal")


def from_topics(
    namespace: str, count: int, tolerance: float, timeout: float, ros_args: Sequence[str], tick: Callable[[], None]
) -> list[FramePair]:
    """`count` pairs of `rgb/image_raw` and `thermal/image_raw` in the namespace, remapped by `ros_args`.

    Images or compressed images, whichever is published there or below `/compressed`. `tolerance`: largest time between
    the stamps of a pair, s. After `timeout` s it goes on with what there is, or CalibrationError says why.
    """
    try:
        import rclpy
        from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
    except ImportError as error:
        raise CalibrationError(f"--topics needs ROS 2 ({error}); source a distro, or pip install '.[ros]'") from error
    from sartm_ros.frames.transport import use_shipped_profile
    from sartm_ros.node.signals import quiet_end

    use_shipped_profile()
    try:
        rclpy.init(args=["--ros-args", *ros_args] if ros_args else [])
    except Exception as error:  # an unknown flag, a bad remap: rclpy has many types
        raise CalibrationError(f"--ros-args: {error}") from error
    node = rclpy.create_node("calibrate", namespace=namespace)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        collector = Collector(node, count, tolerance, tick)
        deadline = time.monotonic() + timeout
        while len(collector.pairs) < count and time.monotonic() < deadline:
            executor.spin_once(timeout_sec=LOOK_SECONDS)
            collector.look()
        if not collector.pairs:
            raise CalibrationError(f"no pair of frames in {timeout:g} s: {collector.reason()}")
        return [_frame(index, *pair) for index, pair in enumerate(collector.pairs)]
    except ExternalShutdownException:
        raise KeyboardInterrupt from None
    finally:
        with quiet_end():
            executor.shutdown()
            node.destroy_node()
            rclpy.try_shutdown()


def _frame(index: int, rgb: Any, thermal: Any) -> FramePair:
    """The pixels of two parsed messages. CalibrationError names the topic."""
    try:
        return FramePair(f"pair_{index}", rgb.rgb(), thermal.thermal())
    except ValueError as error:
        raise CalibrationError(str(error)) from error


class Collector:
    """Subscribes to both cameras as soon as somebody publishes, and keeps pairs `SPACING` apart."""

    def __init__(self, node: Any, count: int, tolerance: float, tick: Callable[[], None]) -> None:
        from sartm_ros.pairing.nearest import NearestPairer

        self.node, self.count, self.tolerance, self.tick = node, count, tolerance, tick
        self.pairer = NearestPairer(tolerance=tolerance, max_wait=MAX_WAIT)
        self.topics = {stream: node.resolve_topic_name(f"{stream}/image_raw") for stream in STREAMS}
        self.subscribed: dict[str, Any] = {}
        self.received = dict.fromkeys(STREAMS, 0)
        self.newest: dict[str, int] = {}
        self.skews: list[float] = []
        self.errors: dict[str, str] = {}
        self.pairs: list[tuple[Any, Any]] = []
        self._last = float("-inf")

    def look(self) -> None:
        """Subscribe to the cameras found since; let waiting pairs go."""
        for stream in STREAMS:
            if stream not in self.subscribed:
                self._subscribe(stream)
        self._keep(self.pairer.poll(time.monotonic()))

    def _subscribe(self, stream: str) -> None:
        from rclpy.qos import qos_profile_sensor_data
        from sensor_msgs.msg import CompressedImage, Image

        kinds = {"sensor_msgs/msg/Image": Image, "sensor_msgs/msg/CompressedImage": CompressedImage}
        for topic in (self.topics[stream], f"{self.topics[stream]}/compressed"):
            offered = [info.topic_type for info in self.node.get_publishers_info_by_topic(topic)]
            kind = next((kinds[name] for name in offered if name in kinds), None)
            if kind is not None:
                self.topics[stream] = topic
                self.subscribed[stream] = self.node.create_subscription(
                    kind, topic, lambda message: self._on_message(stream, message), qos_profile_sensor_data
                )
                return
            if offered:
                self.errors[stream] = f"{topic} carries {offered[0]}, expected one of {', '.join(kinds)}"

    def _on_message(self, stream: str, message: Any) -> None:
        from sartm_ros.frames.images import parse

        self.received[stream] += 1
        try:
            frame = parse(message, stream, self.topics[stream])
        except ValueError as error:
            self.errors[stream] = str(error)
            return
        self.newest[stream] = frame.stamp_ns
        if len(self.newest) == len(STREAMS):
            self.skews.append(abs(self.newest["rgb"] - self.newest["thermal"]) / 1e9)
        self._keep(self.pairer.push(stream, frame.stamp_ns, frame, time.monotonic()))

    def _keep(self, pairs: Sequence[Any]) -> None:
        for pair in pairs:
            now = time.monotonic()
            if now - self._last >= SPACING and len(self.pairs) < self.count:
                self._last = now
                self.pairs.append((pair.rgb, pair.thermal))
                self.tick()

    def reason(self) -> str:
        """Why there is no pair."""
        missing = [self.topics[s] for s in STREAMS if s not in self.subscribed and s not in self.errors]
        if self.errors:
            return "; ".join(self.errors.values())
        if missing:
            return f"nobody publishes on {' and '.join(missing)}; remap with --ros-args -r rgb/image_raw:=/camera/..."
        silent = [self.topics[s] for s in STREAMS if not self.received[s]]
        if silent:
            return (
                f"{' and '.join(silent)} has a publisher but nothing arrives; large images need a transport that "
                "carries them (docs/node.md, config/fastdds.xml)"
            )
        return (
            f"{self.received['rgb']} rgb and {self.received['thermal']} thermal frames came, but no two stamps are "
            f"within {self.tolerance:g} s (nearest {min(self.skews):.3f} s); raise --tolerance"
        )
