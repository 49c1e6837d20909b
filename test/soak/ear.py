"""Hears what a node says: when each mask came with which stamp, every state, all diagnostics. Keeps no pixels."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import Image
from std_msgs.msg import String

from test.soak.children import Child

RELIABLE = QoSProfile(depth=50)
LATCHED = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
POLL_S = 0.2
NS = 1_000_000_000

Stamp = tuple[int, int]
"""sec and nanosec of a header as they were sent: hostile ones are no time."""


@dataclass(frozen=True)
class Heard:
    """A mask: when it came (time.time()), its stamp, frame_id, width and height."""

    at: float
    stamp: Stamp
    frame_id: str
    size: tuple[int, int]

    @property
    def age(self) -> float:
        """Seconds from the stamp to the arrival here."""
        return self.at - seconds(self.stamp)


@dataclass(frozen=True)
class Report:
    """One message on /diagnostics: when it came (time.time()), its numbers as text by key, its summary."""

    at: float
    values: dict[str, str]
    summary: str

    def number(self, key: str, default: float = 0.0) -> float:
        """A value as a number; `default` when it is missing or '-'."""
        try:
            return float(self.values.get(key, ""))
        except ValueError:
            return default


def seconds(stamp: Stamp) -> float:
    """A stamp in seconds."""
    return stamp[0] + stamp[1] / NS


def stamp_of(message: Any) -> Stamp:
    """The stamp of a message with a header."""
    return message.header.stamp.sec, message.header.stamp.nanosec


class Ear:
    """Subscriptions on a listening node that spins in another thread; `wait` for what is heard."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.masks: list[Heard] = []
        self.answers: dict[Stamp, Heard] = {}
        self.states: list[tuple[float, str]] = []
        self.reports: list[Report] = []
        self.frames: dict[str, list[tuple[float, Stamp]]] = {}
        self._changed = threading.Condition()
        self._subscribe(Image, "/sartm/semantic_mask", RELIABLE, self._on_mask)
        self._subscribe(String, "/sartm/state", LATCHED, lambda m: self.states.append((time.time(), m.data)))
        self._subscribe(DiagnosticArray, "/diagnostics", RELIABLE, self._on_diagnostics)

    def hear_frames(self, stream: str) -> None:
        """Also note the camera frames of "rgb" or "thermal" in `frames`: arrival and stamp."""
        noted = self.frames.setdefault(stream, [])
        topic = f"/sartm/{stream}/image_raw"
        self._subscribe(Image, topic, qos_profile_sensor_data, lambda m: noted.append((time.time(), stamp_of(m))))

    def _subscribe(self, kind: type, topic: str, qos: QoSProfile, note: Callable[[Any], None]) -> None:
        def hear(message: Any) -> None:
            with self._changed:
                note(message)
                self._changed.notify_all()

        self.node.create_subscription(kind, topic, hear, qos)

    def _on_mask(self, message: Image) -> None:
        size = (message.width, message.height)
        heard = Heard(time.time(), stamp_of(message), message.header.frame_id, size)
        self.masks.append(heard)
        self.answers[heard.stamp] = heard

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            values = {v.key: v.value for v in status.values}
            if "state" in values:  # the node's own entry, not one of its cameras'
                self.reports.append(Report(time.time(), values, status.message))

    @property
    def state(self) -> str:
        """The last state; "" before the first one."""
        return self.states[-1][1] if self.states else ""

    def wait(self, condition: Callable[[], Any], timeout: float, *alive: Child) -> bool:
        """Whether `condition()` became true within `timeout` seconds; ends early when a process of `alive` ended."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not condition():
                left = deadline - time.monotonic()
                if left <= 0 or any(process.code is not None for process in alive):
                    return bool(condition())
                self._changed.wait(min(left, POLL_S))
        return True

    def fresh_report(self, timeout: float = 5.0) -> Report | None:
        """A report that comes after this call."""
        count = len(self.reports)
        return self.reports[-1] if self.wait(lambda: len(self.reports) > count, timeout) else None
