"""The process that listens to the node: when each mask came, what `~/timing` says, the diagnostics. See `peers`."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import String

from sartm_ros.benchmarking.peers import serve
from sartm_ros.benchmarking.plan import MASK, Plan
from sartm_ros.node.outputs import LATCHED, TIMING, message_type
from sartm_ros.outputs.table import TABLE
from sartm_ros.pairing.stamps import NS
from sartm_ros.replay_node import NAMESPACE

RELIABLE = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
POLL_S = 0.02
LONGEST_S = 30.0
"""Nobody waits longer for the last masks."""


class Monitor:
    """Listens in a thread of its own."""

    def __init__(self, plan: Plan) -> None:
        self._node = rclpy.create_node("monitor", namespace=NAMESPACE)
        self._masks: list[tuple[int, float]] = []
        self._timings: list[str] = []
        self._numbers: dict[str, str] = {}
        self._timing: Any = None
        self._counts: Counter[str] = Counter()
        for output in TABLE:
            if output.name in plan.topics and (kind := message_type(output)):
                self._listen(output.name, kind, LATCHED if output.latched else RELIABLE)
        self._node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, RELIABLE)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()

    def _listen(self, name: str, kind: type, qos: QoSProfile) -> None:
        def heard(message: Any) -> None:
            self._counts[name] += 1
            if name == MASK:
                stamp = message.header.stamp
                self._masks.append((stamp.sec * NS + stamp.nanosec, time.monotonic()))

        self._node.create_subscription(kind, name, heard, qos)

    def connected(self) -> bool:
        """Whether somebody publishes masks."""
        return bool(self._node.count_publishers(MASK))

    def timing(self) -> None:
        """Listen to `~/timing` from now on: it costs the node a message more for each mask."""
        if self._timing is None:
            topic = f"/{NAMESPACE}/segment/timing"
            self._timing = self._node.create_subscription(String, topic, self._on_timing, TIMING)

    def begin(self) -> None:
        """Forget what came."""
        self._masks, self._timings, self._counts = [], [], Counter()

    def count(self) -> int:
        """Masks since `begin`."""
        return len(self._masks)

    def end(self, idle: float) -> dict[str, Any]:
        """Wait until no mask came for `idle` seconds; what came since `begin`."""
        limit = time.monotonic() + LONGEST_S
        quiet = time.monotonic() + idle
        count = len(self._masks)
        while time.monotonic() < min(quiet, limit):
            time.sleep(POLL_S)
            if len(self._masks) > count:
                count, quiet = len(self._masks), time.monotonic() + idle
        return {
            "masks": self._masks,
            "timings": self._timings,
            "messages": dict(self._counts),
            "diagnostics": self._numbers,
        }

    def close(self) -> None:
        """Stop listening."""
        self._executor.shutdown()
        self._thread.join()
        self._node.destroy_node()

    def _on_timing(self, message: String) -> None:
        self._timings.append(message.data)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        self._numbers = {item.key: item.value for item in message.status[0].values}


if __name__ == "__main__":
    sys.exit(serve(Monitor))
