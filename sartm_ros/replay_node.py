"""Publishes recorded or synthetic RGB-thermal pairs as two camera topics.

    sartm replay --ros-args -p source:=DIR -p rate:=10.0

Topics `rgb/image_raw` (rgb8) and `thermal/image_raw` in the namespace `sartm`, sensor-data QoS, stamps are the time of
publishing. Ends by itself after the last pair unless `loop` is set.
"""

from __future__ import annotations

import queue
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import rclpy
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import qos_profile_sensor_data
from rclpy.timer import Timer
from sensor_msgs.msg import Image

from sartm_ros.frames.filling import write_pixels
from sartm_ros.frames.transport import use_shipped_profile
from sartm_ros.node import arguments
from sartm_ros.node.parameters import overrides
from sartm_ros.node.signals import quiet_end
from sartm_ros.replay import sources
from sartm_ros.replay.sources import SYNTHETIC, THERMAL_ENCODINGS, Pair

NAMESPACE = "sartm"
DEFAULT_SYNTHETIC_COUNT = 300
MAX_HZ = 1000.0
MAX_DELAY_SECONDS = 60.0
REPORT_SECONDS = 10.0
SETTLE_SECONDS = 0.25
"""A new subscriber needs a moment to know the publisher too; a message sent before is lost to it."""
GRACE_SECONDS = 0.5
"""Time between the last message and the exit, for readers in other processes to take it."""

PARAMETERS: dict[str, tuple[object, str]] = {
    "source": (SYNTHETIC, "'synthetic', or a directory: rgb/ + thermal/, or MFNet's four-channel images/"),
    "rate": (10.0, "pairs published per second"),
    "loop": (False, "start again at the end instead of exiting"),
    "count": (0, "pairs to publish per round; 0: the whole directory, 300 synthetic scenes"),
    "seed": (0, "seed of the synthetic scenes and of the jitter"),
    "conditions": (list(sources.DEFAULT_CONDITIONS), "synthetic only: conditions driven through, in order"),
    "thermal_encoding": ("auto", "mono8, 16UC1, 32FC1, or auto: the files' own type, 16UC1 for synthetic"),
    "thermal_delay": (0.0, "seconds the thermal frame is stamped and sent after its rgb frame"),
    "thermal_jitter": (0.0, "seconds, upper end of a random delay on top of thermal_delay"),
    "rgb_frame_id": ("rgb_camera", "frame_id of the rgb messages"),
    "thermal_frame_id": ("thermal_camera", "frame_id of the thermal messages"),
    "wait_for_subscribers": (False, "publish nothing before both topics have a subscriber"),
    "read_ahead": (16, "pairs kept ready in memory by the background thread"),
}
RANGES = {
    "rate": (0.01, MAX_HZ),
    "thermal_delay": (0.0, MAX_DELAY_SECONDS),
    "thermal_jitter": (0.0, MAX_DELAY_SECONDS),
    "count": (0, 10_000_000),
    "read_ahead": (1, 10_000),
}


class ReplayNode(Node):
    """Publishes pairs at a set rate; `done` becomes true after the last one."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("replay", **{"namespace": NAMESPACE, **kwargs})
        self._declare()
        self._frame_ids = (self._get("rgb_frame_id"), self._get("thermal_frame_id"))
        self._delay, self._jitter = self._get("thermal_delay"), self._get("thermal_jitter")
        self._random = random.Random(self._get("seed"))
        self._rgb = self.create_publisher(Image, "rgb/image_raw", qos_profile_sensor_data)
        self._thermal = self.create_publisher(Image, "thermal/image_raw", qos_profile_sensor_data)
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)  # use_sim_time must not stop the one who publishes
        self._pairs = sources.ReadAhead(self._factory(), depth=self._get("read_ahead"), loop=self._get("loop"))
        self._waiting = self._get("wait_for_subscribers")
        self._matched_ns: int | None = None
        self._pending: list[Timer] = []
        self.done = False
        self.published = 0
        self._late = 0
        self._tick_timer = self._every(1.0 / self._get("rate"), self._tick)
        self._report_timer = self._every(REPORT_SECONDS, self._report)
        self.get_logger().info(
            f"replaying {self._get('source')} at {self._get('rate'):g} Hz on {self._rgb.topic_name} and "
            f"{self._thermal.topic_name}"
        )

    def _declare(self) -> None:
        given = overrides(self)
        for name, (default, text) in PARAMETERS.items():
            descriptor = ParameterDescriptor(description=text, read_only=True)
            if name in RANGES:
                low, high = RANGES[name]
                if isinstance(default, float):
                    descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
                else:
                    descriptor.integer_range = [IntegerRange(from_value=int(low), to_value=int(high), step=1)]
            value = given.get(name)
            if isinstance(default, float) and type(value) is int:  # rate:=10 means 10.0
                self.declare_parameter(name, float(value), descriptor, ignore_override=True)
            else:
                self.declare_parameter(name, default, descriptor)

    def _get(self, name: str) -> Any:
        return self.get_parameter(name).value

    def _factory(self) -> Callable[[], Iterator[Pair]]:
        source, count, encoding = self._get("source"), self._get("count"), self._get("thermal_encoding")
        if encoding not in THERMAL_ENCODINGS:
            raise ValueError(f"parameter thermal_encoding: got {encoding!r}, expected one of {THERMAL_ENCODINGS}")
        if source == SYNTHETIC:
            conditions, seed = tuple(self._get("conditions")), self._get("seed")
            return lambda: sources.synthetic_pairs(count or DEFAULT_SYNTHETIC_COUNT, seed, conditions, encoding)
        root = Path(source).expanduser()
        if not root.is_dir():
            raise ValueError(f"parameter source: {source!r} is no directory; give one, or '{SYNTHETIC}'")
        return lambda: sources.folder_pairs(root, count, encoding)

    def _every(self, seconds: float, callback: Callable[[], None]) -> Timer:
        return self.create_timer(seconds, callback, clock=self._steady)

    def _tick(self) -> None:
        if self._waiting and not self._heard():
            return
        try:
            pair = self._pairs.take(timeout=0)
        except queue.Empty:  # the source is slower than the rate; the next tick tries again
            self._late += self.published > 0
            return
        if pair is None:
            self._finish()
            return
        self._send(self._rgb, write_pixels(Image(), pair.rgb, "rgb8"), self._frame_ids[0])
        thermal = write_pixels(Image(), pair.thermal, sources.encoding_of(pair.thermal))
        delay = self._delay + self._random.uniform(0.0, self._jitter)
        if delay > 0:
            self._later(delay, lambda: self._send(self._thermal, thermal, self._frame_ids[1]))
        else:
            self._send(self._thermal, thermal, self._frame_ids[1], self._last_stamp)
        self.published += 1

    def _heard(self) -> bool:
        """Whether both topics have had a subscriber for `SETTLE_SECONDS`; asked until it is true once."""
        if not (self._rgb.get_subscription_count() and self._thermal.get_subscription_count()):
            self._matched_ns = None
            return False
        now_ns = self._steady.now().nanoseconds
        self._matched_ns = now_ns if self._matched_ns is None else self._matched_ns
        self._waiting = now_ns - self._matched_ns < SETTLE_SECONDS * 1e9
        return not self._waiting

    def _send(self, publisher: Publisher, message: Image, frame_id: str, stamp: object = None) -> None:
        message.header.frame_id = frame_id
        message.header.stamp = self.get_clock().now().to_msg() if stamp is None else stamp
        self._last_stamp = message.header.stamp
        publisher.publish(message)

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        def fire() -> None:
            self._pending.remove(timer)
            self.destroy_timer(timer)
            action()

        timer = self._every(seconds, fire)
        self._pending.append(timer)

    def _report(self) -> None:
        log = self.get_logger()
        if self._waiting:
            log.info(f"waiting for a subscriber on both {self._rgb.topic_name} and {self._thermal.topic_name}")
            return
        log.info(f"{self.published} pairs published")
        if self._late:
            log.warning(
                f"{self._late} ticks had no pair ready: the source is slower than rate {self._get('rate'):g} Hz; "
                "lower rate, or raise read_ahead"
            )
            self._late = 0

    def _finish(self) -> None:
        self.destroy_timer(self._tick_timer)
        self.get_logger().info(f"all {self.published} pairs published")
        self._later(self._delay + self._jitter + GRACE_SECONDS, lambda: setattr(self, "done", True))

    def destroy_node(self) -> None:
        """Stop the reading thread, then the node."""
        self._pairs.close()
        super().destroy_node()


def main(args: list[str] | None = None, make: Callable[[], ReplayNode] = ReplayNode) -> int:
    """Run until the last pair or Ctrl-C; exit 0, or 1 when the source or a parameter is wrong. make: the node."""
    known = [(name, default, meaning) for name, (default, meaning) in PARAMETERS.items()]
    return arguments.main(args, __doc__, known, lambda given: play(given, make))


def play(args: list[str], make: Callable[[], ReplayNode]) -> int:
    """One replay, with arguments of ROS."""
    use_shipped_profile()
    try:
        rclpy.init(args=args)
    except Exception as error:  # a params file that is not there or not YAML, an unknown --ros-args flag
        rclpy.logging.get_logger("replay").fatal(f"cannot start: {error}")
        return 1
    node = None
    try:
        node = make()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        while rclpy.ok() and not node.done:
            executor.spin_once(timeout_sec=1.0)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except (ValueError, OSError, ParameterException) as error:
        rclpy.logging.get_logger("replay").fatal(str(error))
        return 1
    finally:
        with quiet_end():
            if node is not None:
                node.destroy_node()
            rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
