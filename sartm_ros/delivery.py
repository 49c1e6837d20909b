"""One node's dealings with the model's thread: frames decoded for it, results published. See `server.Client`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from sartm_ros.health import NS
from sartm_ros.images import ImageError
from sartm_ros.monitor import Monitor
from sartm_ros.outputs import Outputs
from sartm_ros.pairing import RGB, THERMAL
from sartm_ros.server import Job, Request
from sartm_ros.settings import Settings


class Delivery:
    """What the model's thread calls. `settings` is replaced as a whole, so that each frame sees one state of it."""

    def __init__(self, node: Any, outputs: Outputs, monitor: Monitor, settings: Settings) -> None:
        self._node = node
        self._outputs = outputs
        self._monitor = monitor
        self.settings = settings
        self.on_give_up: Callable[[str], None] = lambda reason: None

    def request(self, job: Job) -> Request | None:
        """Decode the frames; None when nobody listens."""
        if not self._outputs.wanted():
            return None
        s = self.settings
        rgb = job.rgb.rgb() if job.rgb else None
        thermal = job.thermal.thermal(s.scale, s.offset) if job.thermal else None
        return Request(rgb, thermal, s.registration, s.thermal_norm, s.threshold)

    def deliver(self, job: Job, request: Request, result: Any, inference_ms: float) -> None:
        """Publish a result under the header of the job's master frame."""
        s = self.settings
        if s.class_map is None:
            return  # cleaned up meanwhile
        self._outputs.publish(job.master.header, request.rgb, request.thermal, result, s.class_map, s.alpha)
        end = time.monotonic()
        age_ms = (self._node.get_clock().now().nanoseconds - job.master.stamp_ns) / NS * 1e3
        self._monitor.work.done(inference_ms, (end - job.received) * 1e3, end, job.one_camera, age_ms)

    def failed(self, job: Job, error: Exception) -> None:
        """There is no mask for this job: say why."""
        if not self._node.context.ok():
            return  # shutting down: the publishers are gone already
        if isinstance(error, ImageError):
            of_rgb = job.rgb is not None and error.topic == job.rgb.topic
            self._monitor.refuse(RGB if of_rgb else THERMAL, error)
        else:
            self._monitor.failed(error)

    def fell_back(self, note: str) -> None:
        """The model goes on with less."""
        self._node.get_logger().warning(f"model: {note}")

    def give_up(self, reason: str) -> None:
        """There will be no more masks."""
        self._node.get_logger().error(f"model: {reason}: no masks any more, the node becomes inactive")
        self.on_give_up(reason)
