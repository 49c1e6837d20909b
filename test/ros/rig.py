"""The segment node in this process, over real DDS, between two cameras and a listener that a test plays."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import Image
from std_msgs.msg import String
from std_srvs.srv import Trigger

from sartm_ros.segment_node import SegmentNode
from test.ros.fake_segmenter import DEADLINE_S, FakeSegmenter
from test.ros.processes import new_domain

H, W = 48, 64
"""Size of the rgb frames; thermal ones have 20x30 pixels."""
RELIABLE = QoSProfile(depth=10)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
FRAME_NS = 50_000_000
"""Time between the stamps of two frames of a camera."""


class Logs:
    """What a node logged, taken at its logger."""

    def __init__(self, node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lines: list[str] = []
        logger = node.get_logger()
        for level in ("info", "warning", "error"):
            monkeypatch.setattr(logger, level, lambda text, _level=level, **_: self.lines.append(f"{_level}: {text}"))

    def having(self, *parts: str) -> list[str]:
        """The lines that contain all `parts`; a line begins with its level."""
        return [line for line in self.lines if all(part in line for part in parts)]


def hears(node: SegmentNode, streams: Iterable[str] = ("rgb", "thermal")) -> bool:
    """Whether the node's subscriptions to these cameras know of a publisher."""
    cameras = node.intake.cameras
    return all(s in cameras and cameras[s]._subscription.get_publisher_count() for s in streams)


class Rig:
    """One domain with the node under test and a node, `peer`, that plays the cameras and listens.

    `load` stands for the loading of weights (default: gives `fake`), `parameters` go to the node. The executor spins
    only in `until` and what is built on it; `masks`, `states` and `diagnostics` fill meanwhile.
    """

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        load: Callable[[dict[str, Any]], Any] | None = None,
        parameters: dict[str, Any] | None = None,
        cameras: Sequence[str] = ("rgb", "thermal"),
    ) -> None:
        self.context = rclpy.Context()
        self.domain = new_domain()
        rclpy.init(context=self.context, domain_id=self.domain)
        self.fake = FakeSegmenter()
        self.executor = SingleThreadedExecutor(context=self.context)
        self.peer = rclpy.create_node("peer", context=self.context)
        self.node: SegmentNode | None = None
        overrides = [Parameter(name, value=value) for name, value in (parameters or {}).items()]
        try:
            self.node = SegmentNode(
                load or (lambda values: self.fake), context=self.context, parameter_overrides=overrides
            )
        except Exception:
            self.close()
            raise
        self.logs = Logs(self.node, monkeypatch)
        self.masks: list[Image] = []
        self.states: list[str] = []
        self.diagnostics: list[DiagnosticArray] = []
        self.mask_reader = self.peer.create_subscription(Image, "/sartm/semantic_mask", self.masks.append, RELIABLE)
        self.peer.create_subscription(String, "/sartm/state", lambda m: self.states.append(m.data), LATCHED)
        self.peer.create_subscription(DiagnosticArray, "/diagnostics", self.diagnostics.append, RELIABLE)
        self.executor.add_node(self.peer)
        self.executor.add_node(self.node)
        self.publishers: dict[str, Any] = {}
        for stream in cameras:
            self.plug(stream)
        self.clock_ns = 1_000_000_000_000

    def plug(self, stream: str, kind: type = Image) -> None:
        """Start a camera."""
        topic = f"/sartm/{stream}/image_raw"
        self.publishers[stream] = self.peer.create_publisher(kind, topic, qos_profile_sensor_data)

    def unplug(self, stream: str) -> None:
        """End a camera."""
        self.peer.destroy_publisher(self.publishers.pop(stream))

    def until(self, condition: Callable[[], Any], what: str, seconds: float = DEADLINE_S) -> None:
        """Spin until `condition()` holds; AssertionError naming `what` after `seconds`."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not within {seconds} s: {what}; log: {self.logs.lines}"
            self.executor.spin_once(timeout_sec=0.01)

    def ready(self) -> None:
        """Wait until everybody knows everybody, both ways: what one side sends before the other knows it is lost."""
        self.until(
            lambda: (
                self.node.outputs.subscribers() >= 1
                and self.mask_reader.get_publisher_count()
                and hears(self.node, self.publishers)
                and all(p.get_subscription_count() for p in self.publishers.values())
            ),
            "discovery",
        )

    def image(self, array: np.ndarray, encoding: str, frame_id: str, stamp_ns: int) -> Image:
        """A message of the pixels (H, W) or (H, W, C)."""
        message = Image(height=array.shape[0], width=array.shape[1], encoding=encoding)
        message.step = array.shape[1] * array.itemsize * (array.shape[2] if array.ndim == 3 else 1)
        message.header.frame_id = frame_id
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 1_000_000_000)
        message.data.frombytes(np.ascontiguousarray(array).tobytes())
        return message

    def rgb(self, skew_ns: int = 0) -> Image:
        """The rgb camera's frame of this moment; its stamp is `skew_ns` late."""
        return self.image(np.full((H, W, 3), 100, np.uint8), "bgr8", "rgb_optical", self.clock_ns + skew_ns)

    def thermal(self, array: np.ndarray | None = None, encoding: str = "16UC1") -> Image:
        """The thermal camera's frame of this moment."""
        array = np.arange(20 * 30, dtype=np.uint16).reshape(20, 30) if array is None else array
        return self.image(array, encoding, "thermal_optical", self.clock_ns)

    def send(self, rgb: bool | Image = True, thermal: bool | Image = True) -> None:
        """Let 50 ms of stamps pass and publish one frame of each plugged camera, or the given messages."""
        self.clock_ns += FRAME_NS
        for stream, what, default in (("rgb", rgb, self.rgb), ("thermal", thermal, self.thermal)):
            if what and stream in self.publishers:
                self.publishers[stream].publish(default() if what is True else what)

    def stream_until(
        self,
        condition: Callable[[], Any],
        what: str,
        seconds: float = DEADLINE_S,
        period: float = 0.05,
        **frames: bool | Image,
    ) -> None:
        """`send(**frames)` every `period` seconds until `condition()` holds."""
        following = time.monotonic()

        def step() -> Any:
            nonlocal following
            if time.monotonic() >= following:
                following = time.monotonic() + period
                self.send(**frames)
            return condition()

        self.until(step, what, seconds)

    def masks_after(self, count: int, what: str = "masks") -> list[Image]:
        """The next `count` masks, or a few more, while both cameras send."""
        start = len(self.masks)
        self.stream_until(lambda: len(self.masks) >= start + count, what)
        return self.masks[start:]

    def reload(self) -> Trigger.Response:
        """Call ~/reload over DDS while both cameras send; its response."""
        client = self.peer.create_client(Trigger, "/sartm/segment/reload")
        self.until(client.service_is_ready, "service")
        future = client.call_async(Trigger.Request())
        self.stream_until(future.done, "reload")
        return future.result()

    def hang_after(self, masks: int) -> None:
        """Start it; after so many masks the model does not come back before `fake.gate` is set."""
        self.fake.gate = threading.Event()
        self.fake.gate.set()
        self.ready()
        self.masks_after(masks)
        self.fake.gate.clear()

    def numbers(self) -> dict[str, str]:
        """The latest diagnostics, by key."""
        return {v.key: v.value for v in self.diagnostics[-1].status[0].values}

    def close(self) -> None:
        """End it; also when the node could not be made."""
        self.executor.shutdown()
        if self.node is not None:
            self.node.close()
            self.node.destroy_node()
        self.peer.destroy_node()
        rclpy.try_shutdown(context=self.context)
