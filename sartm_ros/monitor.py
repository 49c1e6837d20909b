"""What the node says about itself: log lines that do not repeat, the `state` topic, /diagnostics, why nothing pairs."""

from __future__ import annotations

import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

from sartm_ros import diagnostics, health
from sartm_ros.images import ImageError, Incoming
from sartm_ros.inputs import Camera
from sartm_ros.outputs import Outputs
from sartm_ros.pairing import STREAMS, Counters

NOTHING_PAIRS_S = 1.2
"""Seconds without a pair after which the node says why; with the health timer's period this stays under 2 s."""
REPEAT_S = 5.0
"""The same kind of complaint is logged once in this many seconds."""


class Monitor:
    """Keeps the node's numbers and turns them into words. `active` says whether masks are expected at all."""

    def __init__(self, node: Any, outputs: Outputs) -> None:
        self._node = node
        self._log = node.get_logger()
        self._outputs = outputs
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._throttle = health.Throttle(REPEAT_S)
        self.vitals = {stream: health.Vitals() for stream in STREAMS}
        self.liveness = health.Liveness(self.vitals)
        self.work = diagnostics.Work()
        self.active = False
        self.mode = health.BOTH
        self.problem = ""
        self.last_pair = 0.0
        self._waiting = True

    def lifecycle(self, state: str, active: bool = False) -> None:
        """The lifecycle state changed; while active, the `state` topic tells about the cameras instead."""
        now = time.monotonic()
        self.active = active
        self.problem = ""
        if active:
            self.mode = health.BOTH
            self.last_pair = now
            self.liveness.start(now)
            self._waiting = True
        self._outputs.state(state)

    def saw(self, stream: str, frame: Incoming, now: float) -> None:
        """A usable frame came."""
        kind = getattr(frame.message, "encoding", None) or frame.message.format
        self.vitals[stream].saw(now, frame.stamp_ns, f"{frame.width}x{frame.height} {kind}")
        if self._waiting:  # the first camera is there: the other one gets its time from here
            self._waiting = False
            self.liveness.start(now)

    def refuse(self, stream: str, error: ImageError) -> None:
        """An unusable frame came."""
        now = time.monotonic()
        self.vitals[stream].refused(str(error), now)
        if self._throttle.ready(f"refuse {stream}", now):
            self._log.error(f"{stream}: {error}")

    def failed(self, error: Exception) -> None:
        """The model gave no mask."""
        self.work.failures += 1
        self.work.last_failure = f"{type(error).__name__}: {error}"
        if self._throttle.ready("model", time.monotonic()):
            self._log.error(f"no mask: {self.work.last_failure}")

    def update_mode(self, enabled: bool, timeout: float, now: float) -> bool:
        """Bring `mode` up to date (see `health.Liveness`); returns whether it changed."""
        mode = self.liveness.mode(now, timeout)
        if mode == self.mode:
            return False
        self.mode = mode
        text = health.describe_mode(mode, enabled)
        if mode == health.BOTH:
            self.last_pair = now  # whether anything pairs is asked anew from here
            self._log.info(f"state: {text}")
        elif self._throttle.ready(text, now):
            self._log.warning(f"state: {text}")
        self._outputs.state(text)
        return True

    def check(self, cameras: dict[str, Camera], values: dict[str, Any]) -> None:
        """Publish the state; when nothing pairs, find out why and say it."""
        now = time.monotonic()
        self.problem = ""
        state = health.describe_mode(self.mode, values["degraded.enabled"])
        if now - self.last_pair >= max(v.patience(NOTHING_PAIRS_S) for v in self.vitals.values()):
            self.problem = self._why(cameras, values, now)
            if self.mode == health.BOTH:
                state = "no masks: frames do not pair"
            if self.problem and self._throttle.ready("why", now):
                self._log.warning(f"{state}. {self.problem}")
        self._outputs.state(state)

    def _why(self, cameras: dict[str, Camera], values: dict[str, Any], now: float) -> str:
        reasons = []
        for stream, camera in cameras.items():
            silent = self.liveness.silent_for(stream, now)
            if silent > self.vitals[stream].patience(NOTHING_PAIRS_S / 2):
                heard, refusing = self.liveness.heard(stream), self.liveness.refusing(stream, now)
                reasons.append(health.explain_silence(camera.link(), silent, self.vitals[stream], heard, refusing))
        offsets = {stream: values[f"sync.{stream}_offset"] for stream in STREAMS}
        return "; ".join(reasons) or health.explain_skew(self.vitals, values["sync.tolerance"], offsets)

    def publish(self, counters: Counters, dropped_busy: int, model: str) -> None:
        """Send /diagnostics. dropped_busy: pairs overwritten because the model was busy; model: the weights' name."""
        state = self._outputs.current_state
        numbers = diagnostics.collect(state, self.vitals, counters, self.work, dropped_busy, time.monotonic())
        numbers["subscribers"] = self._outputs.subscribers()
        level = DiagnosticStatus.OK if state == "ok" else DiagnosticStatus.WARN
        if state.startswith(("no input", "no masks")):
            level = DiagnosticStatus.ERROR
        summary = f"{state}. {self.problem}" if self.problem else state
        name = f"{self._node.get_fully_qualified_name()}: segmentation"
        stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(diagnostics.to_message(stamp, name, model, level, summary, numbers))
