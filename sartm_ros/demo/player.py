"""The ROS side of the demo: publishes pairs as two cameras and collects what the segment node answers."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image
from std_msgs.msg import String
from tqdm import tqdm

from sartm_ros.frames.filling import write_pixels
from sartm_ros.replay.sources import Pair, encoding_of
from sartm_ros.replay_node import NAMESPACE

Stamp = tuple[int, int]

MASK_DEADLINE_SECONDS = 3.0
"""Paced mode: when a pair has no mask after this long it counts as dropped and the next one is sent."""
START_DEADLINE_SECONDS = 120.0
"""Start-up: after this long without any progress the demo gives up."""
POLL_SECONDS = 0.1
WARM_UP = -1
"""Index of the pairs sent before the node has answered for the first time; counted nowhere."""
KEEP_SENT = 64
"""Pairs kept in memory while their mask may still come."""


class DemoError(RuntimeError):
    """The demo cannot go on; the message says why and what to do."""


@dataclass(frozen=True)
class Answer:
    """A mask that came back for a pair that was sent."""

    index: int
    pair: Pair
    mask: np.ndarray
    """(H, W) uint8."""
    latency: float
    """Seconds from publishing the rgb frame to holding its mask."""


@dataclass
class Phase:
    """What one run of pairs through the node gave."""

    name: str
    sent: int = 0
    answers: int = 0
    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0


class Cameras(Node):
    """Both cameras and a reader of the node's outputs, in one ROS node."""

    def __init__(self) -> None:
        super().__init__("demo", namespace=NAMESPACE)
        reliable = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
        latched = QoSProfile(
            depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL, reliability=ReliabilityPolicy.RELIABLE
        )
        self._rgb = self.create_publisher(Image, "rgb/image_raw", qos_profile_sensor_data)
        self._thermal = self.create_publisher(Image, "thermal/image_raw", qos_profile_sensor_data)
        self.create_subscription(Image, "semantic_mask", self._on_mask, reliable)
        self.create_subscription(Image, "overlay", self._on_overlay, reliable)
        self.create_subscription(String, "classes", self._on_classes, latched)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        self._lock = threading.Lock()  # send and the callbacks run in different threads
        self._indices: dict[Stamp, int] = {}
        """Number of the pair sent with each stamp, for all stamps ever sent."""
        self._sent: dict[Stamp, tuple[int, Pair, float]] = {}
        self.answers: queue.Queue[Answer] = queue.Queue()
        self.classes: list[dict[str, Any]] = []
        """What the node announced: id, name and color of each class."""
        self.wanted_overlays: set[int] = set()
        self.overlays: dict[int, np.ndarray] = {}
        self.faults: list[str] = []
        """What no correct node does: a mask with a stamp never sent, of a wrong size or encoding."""
        self.diagnostics: dict[str, str] = {}

    def connected(self) -> bool:
        """Whether a node listens to both cameras and somebody publishes masks."""
        listening = self._rgb.get_subscription_count() and self._thermal.get_subscription_count()
        return bool(listening and self.count_publishers("semantic_mask"))

    def send(self, index: int, pair: Pair) -> None:
        """Publish both frames with one stamp, now."""
        rgb = write_pixels(Image(), pair.rgb, "rgb8")
        thermal = write_pixels(Image(), pair.thermal, encoding_of(pair.thermal))
        rgb.header.frame_id, thermal.header.frame_id = "rgb_camera", "thermal_camera"
        rgb.header.stamp = thermal.header.stamp = self.get_clock().now().to_msg()
        stamp = _stamp(rgb)
        with self._lock:
            self._indices[stamp] = index
            if len(self._sent) >= KEEP_SENT:
                self._sent.pop(next(iter(self._sent)))
            self._sent[stamp] = (index, pair, time.perf_counter())
        self._rgb.publish(rgb)
        self._thermal.publish(thermal)

    def _on_mask(self, message: Image) -> None:
        arrived, stamp = time.perf_counter(), _stamp(message)
        with self._lock:
            known, sent = self._indices.get(stamp), self._sent.pop(stamp, None)
        if known is None:
            self.faults.append(f"mask with stamp {stamp[0]}.{stamp[1]:09d}, which no rgb frame had")
            return
        if sent is None:
            self.faults.append(f"mask for pair {known} came twice, or {KEEP_SENT} pairs late")
            return
        index, pair, since = sent
        if message.encoding != "mono8" or (message.height, message.width) != pair.rgb.shape[:2]:
            self.faults.append(
                f"mask is {message.encoding} {message.width}x{message.height}, expected mono8 "
                f"{pair.rgb.shape[1]}x{pair.rgb.shape[0]} (the rgb frame's size)"
            )
            return
        self.answers.put(Answer(index, pair, _pixels(message), arrived - since))

    def _on_overlay(self, message: Image) -> None:
        index = self._indices.get(_stamp(message))
        if index in self.wanted_overlays:
            self.overlays[index] = _pixels(message)

    def _on_classes(self, message: String) -> None:
        self.classes = json.loads(message.data)["classes"]

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self.diagnostics.update({f"{status.name}/{item.key}": item.value for item in status.values})


class Player:
    """Runs `Cameras` beside the caller's thread and plays pairs through the node. A context manager."""

    def __init__(self, process: subprocess.Popen) -> None:
        self._process = process
        self._next_index = 0

    def __enter__(self) -> Player:
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)  # Ctrl-C stays ours: KeyboardInterrupt
        self.cameras = Cameras()
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.cameras)
        self._thread = threading.Thread(target=self._executor.spin, name="demo-spin", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown()
        self._thread.join()
        self.cameras.destroy_node()
        rclpy.try_shutdown()

    def wait_until(self, ready: Callable[[], bool], progress: Callable[[], int]) -> None:
        """Return when `ready()`; `progress` is called now and then and gives the number of pairs that are ready.

        Raises DemoError when the node ends, or when this number has not grown for `START_DEADLINE_SECONDS`.
        """
        most, since = -1, time.monotonic()
        while not ready():
            self._check_alive()
            if (count := progress()) > most:
                most, since = count, time.monotonic()
            if time.monotonic() - since > START_DEADLINE_SECONDS:
                what = f"no pair was ready after the first {most}"
                if not self.cameras.connected():
                    what = "the node does not listen to both cameras"
                raise DemoError(f"{what}: gave up after {START_DEADLINE_SECONDS:.0f} s without progress")
            time.sleep(POLL_SECONDS)

    def warm_up(self, first: Pair) -> None:
        """Send `first` once a second until its mask comes back, which is counted nowhere; DemoError as above."""
        deadline = time.monotonic() + START_DEADLINE_SECONDS
        while time.monotonic() < deadline:
            self._check_alive()
            self.cameras.send(WARM_UP, first)
            try:
                self.cameras.answers.get(timeout=1.0)
                return
            except queue.Empty:
                continue
        raise DemoError(f"no mask within {START_DEADLINE_SECONDS:.0f} s, though the node listens to both cameras")

    def wait_for_classes(self) -> list[str]:
        """The class names the node has announced, in id order."""
        deadline = time.monotonic() + MASK_DEADLINE_SECONDS
        while not self.cameras.classes and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        if not self.cameras.classes:
            raise DemoError("masks come, but the node announced no class names on 'classes'")
        return [entry["name"] for entry in self.cameras.classes]

    def play(self, pairs: Iterable[Pair], rate: float | None, phase: Phase, progress: tqdm) -> Iterator[Answer]:
        """Play pairs at `rate` Hz, or (None) as fast as the node answers; yields the masks as they come."""
        return self._paced(pairs, phase, progress) if rate is None else self._at_rate(pairs, rate, phase, progress)

    def _paced(self, pairs: Iterable[Pair], phase: Phase, progress: tqdm) -> Iterator[Answer]:
        """Send the next pair when the mask of the last one has arrived: as fast as the node can, nothing queues."""
        start = time.monotonic()
        misses = 0
        for pair in pairs:
            self._send(pair, phase, progress)
            answer = self._answer_to(self._next_index - 1, phase)
            misses = 0 if answer else misses + 1
            if misses >= 5:
                raise DemoError(f"5 pairs in a row got no mask within {MASK_DEADLINE_SECONDS:g} s each")
            if answer:
                yield answer
        phase.seconds = time.monotonic() - start

    def _answer_to(self, index: int, phase: Phase) -> Answer | None:
        deadline = time.monotonic() + MASK_DEADLINE_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            self._check_alive()
            try:
                answer = self.cameras.answers.get(timeout=min(left, 0.5))
            except queue.Empty:
                continue
            if answer.index != WARM_UP:
                _count(phase, answer)
            if answer.index == index:
                return answer
        return None

    def _at_rate(self, pairs: Iterable[Pair], rate: float, phase: Phase, progress: tqdm) -> Iterator[Answer]:
        """Send pairs at a fixed rate whatever the node does, as cameras do; then wait for the last masks."""
        start = time.monotonic()
        due = start
        for pair in pairs:
            yield from self._answers_until(due, phase)
            self._send(pair, phase, progress)
            due = max(due + 1.0 / rate, time.monotonic() - 1.0)  # after a stall do not fire a salvo
        phase.seconds = time.monotonic() - start + 1.0 / rate  # the last frame lasts a period too
        yield from self._answers_until(time.monotonic() + MASK_DEADLINE_SECONDS, phase, idle=1.0)

    def _answers_until(self, due: float, phase: Phase, idle: float | None = None) -> Iterator[Answer]:
        """Answers that come before `due`; with `idle`, stops after that many seconds without one."""
        self._check_alive()
        while (left := due - time.monotonic()) > 0:
            try:
                answer = self.cameras.answers.get(timeout=left if idle is None else min(left, idle))
            except queue.Empty:
                return
            if answer.index != WARM_UP:
                _count(phase, answer)
                yield answer

    def _send(self, pair: Pair, phase: Phase, progress: tqdm) -> None:
        self.cameras.send(self._next_index, pair)
        self._next_index += 1
        phase.sent += 1
        progress.set_postfix_str(f"{phase.answers} masks", refresh=False)
        progress.update()

    def _check_alive(self) -> None:
        code = self._process.poll()
        if code is not None:
            raise DemoError(f"the segment node ended with exit code {code}")


def _count(phase: Phase, answer: Answer) -> None:
    phase.answers += 1
    phase.latencies.append(answer.latency)


def _stamp(message: Image) -> Stamp:
    return message.header.stamp.sec, message.header.stamp.nanosec


def _pixels(message: Image) -> np.ndarray:
    """(H, W) or (H, W, 3) uint8 copy of an 8-bit image message."""
    rows = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
    channels = 3 if message.encoding == "rgb8" else 1
    pixels = rows[:, : message.width * channels].reshape(message.height, message.width, channels)
    return (pixels if channels == 3 else pixels[..., 0]).copy()
