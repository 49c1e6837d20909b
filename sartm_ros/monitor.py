"""What the node says about itself: log lines that do not repeat, the `state` topic, /diagnostics, why nothing pairs.

Threads: the executor's thread calls everything here. `work.done`, `failed` and `refuse` may also be called by the
model's thread; what these share with the others is behind locks, and they never publish.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

from sartm_ros import diagnostics, explain, health
from sartm_ros.images import ImageError, Incoming
from sartm_ros.inputs import Camera
from sartm_ros.outputs import Outputs
from sartm_ros.pairing import STREAMS, Counters
from sartm_ros.vitals import Vitals

NOTHING_PAIRS_S = 1.2
"""Seconds without a pair after which the node says why; with the health timer's period this stays under 2 s."""
REPEAT_S = 5.0
"""The same kind of complaint is logged once in this many seconds."""
CHANGING = re.compile(r"refused: .*|[\d.,]+")
"""What differs from one telling of a cause to the next; another cause is told without waiting for `REPEAT_S`."""
NO_PAIRS = "no masks: frames do not pair"
"""State while both cameras send and nothing comes of it."""
UNEXPLAINED = (
    "rgb and thermal frames come, with stamps that fit, but none pair: see pairing and *.dropped.* in /diagnostics"
)
"""What is said when no cause is found, rather than nothing."""


class Monitor:
    """Keeps the node's numbers and turns them into words. `active` says whether masks are expected at all.

    report: called at once whenever the state's text has changed. All `now` are monotonic seconds.
    """

    def __init__(self, node: Any, outputs: Outputs, report: Callable[[], None] = lambda: None) -> None:
        self._node = node
        self._log = node.get_logger()
        self._outputs = outputs
        self._report = report
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._throttle = health.Throttle(REPEAT_S)
        self._refusing = threading.Lock()
        self._warned: set[str] = set()
        self._faults: dict[str, str] = {}
        self._topics = dict.fromkeys(STREAMS, "")
        self._losses = dict.fromkeys(STREAMS, "")
        self._since = time.monotonic()
        self.vitals = {stream: Vitals() for stream in STREAMS}
        self.liveness = health.Liveness(self.vitals)
        self.work = diagnostics.Work()
        self.active = False
        self.mode = health.BOTH
        self.problem = ""
        self.last_pair = 0.0

    def lifecycle(self, state: str, active: bool = False) -> None:
        """The lifecycle state changed; while active, the `state` topic tells about the cameras instead."""
        now = time.monotonic()
        self.active = active
        self.problem = ""
        self._losses = dict.fromkeys(STREAMS, "")
        if active:
            self.mode = health.BOTH
            self.last_pair = now
            self.liveness.start(now, waiting=True)
            self._faults = self.liveness.faults()
            self._warned.clear()
        self._state(state, now)

    def saw(self, stream: str, frame: Incoming, now: float) -> None:
        """A usable frame came."""
        fingerprint = frame.fingerprint() if self.liveness.limits.frozen > 0 else None
        self.liveness.saw(stream, now, frame.stamp_ns, frame.kind, fingerprint, frame.nbytes)
        self.vitals[stream].warning = frame.warning
        self._topics[stream] = frame.topic
        if frame.warning and (text := f"{stream}: {frame.topic}: {frame.warning}") not in self._warned:
            self._warned.add(text)
            self._log.warning(text)

    def refuse(self, stream: str, error: ImageError) -> None:
        """An unusable frame came."""
        now = time.monotonic()
        with self._refusing:
            self.vitals[stream].refused(str(error), now)
        if self._throttle.ready(f"refuse {stream}", now):
            self._log.error(f"{stream}: {error}")

    def failed(self, error: Exception) -> None:
        """The model gave no mask."""
        text = f"{type(error).__name__}: {error}"
        self.work.failed(text)
        if self._throttle.ready("model", time.monotonic()):
            self._log.error(f"no mask: {text}")

    def update_mode(self, values: dict[str, Any], now: float) -> bool:
        """Bring `mode` up to date (see `health.Liveness`); returns whether it changed. values: the parameters."""
        mode = self.liveness.update(now, health.Limits.of(values))
        changed, faults = mode != self.mode, self.liveness.faults()
        if not changed and faults == self._faults:
            return False
        self.mode, self._faults = mode, faults
        text = health.describe_mode(mode, values["degraded.enabled"], faults)
        if changed and mode == health.BOTH:
            self.last_pair = now  # whether anything pairs is asked anew from here
            self.problem = ""
            self._log.info(f"state: {text}")
        elif self._throttle.ready(text, now):
            self._log.warning(f"state: {text}")
        self._state(text, now)
        return changed

    def check(self, cameras: dict[str, Camera], values: dict[str, Any], now: float) -> None:
        """Bring the state up to date; when nothing pairs or frames are lost on the way, find out why and say it."""
        for stream, camera in cameras.items():
            self.vitals[stream].mark_lost(camera.lost)
            self._topics[stream] = camera.topic
        self.problem = ""
        state = health.describe_mode(self.mode, values["degraded.enabled"], self._faults)
        if now - self.last_pair >= max(v.patience(NOTHING_PAIRS_S) for v in self.vitals.values()):
            self.problem = self._why(cameras, values, now)
            if self.mode == health.BOTH:
                state = NO_PAIRS
            if self.problem and self._throttle.ready(f"why {CHANGING.sub('', self.problem)}", now):
                self._log.warning(f"{state}. {self.problem}")
        self._look_for_losses(cameras, now)
        self._state(state, now)

    def publish(self, counters: Counters, dropped_busy: int, model: dict[str, Any], now: float | None = None) -> None:
        """Send /diagnostics. dropped_busy: pairs overwritten because the model was busy; model: the `model.*` keys."""
        now, clock = time.monotonic() if now is None else now, self._node.get_clock().now()
        name, state = self._node.get_fully_qualified_name(), self._outputs.current_state
        cameras = {
            stream: diagnostics.stream_numbers(
                self.vitals[stream],
                self._faults.get(stream, "") if self.active else "",
                counters.dropped.get(stream),
                now,
                clock.nanoseconds,
            )
            for stream in STREAMS
        }
        numbers: dict[str, Any] = {"state": state, "state_s": now - self._since}
        for stream, of_stream in cameras.items():
            numbers |= {f"{stream}.{key}": value for key, value in of_stream.items()}
        numbers |= diagnostics.pairing_numbers(counters) | {"dropped_busy": dropped_busy}
        numbers |= self.work.numbers(now) | {"subscribers": self._outputs.subscribers()}
        numbers |= diagnostics.model_numbers(model)
        doubts = [text for text in (self.problem, *self._losses.values(), model.get("note")) if text]
        level = diagnostics.level(state, bool(doubts))
        hardware = str(model.get("name") or "")
        statuses = [diagnostics.status(f"{name}: segmentation", hardware, level, ". ".join([state, *doubts]), numbers)]
        statuses += [self._camera_status(f"{name}: {stream} camera", stream, cameras[stream]) for stream in STREAMS]
        self._publisher.publish(diagnostics.to_message(clock.to_msg(), statuses))

    def _state(self, text: str, now: float) -> None:
        if text == self._outputs.current_state:
            return
        self._outputs.state(text)
        self._since = now
        self._report()

    def _why(self, cameras: dict[str, Camera], values: dict[str, Any], now: float) -> str:
        reasons = []
        for stream, camera in cameras.items():
            vitals, silent = self.vitals[stream], self.liveness.silent_for(stream, now)
            if silent > vitals.patience(NOTHING_PAIRS_S / 2):
                heard, refusing = self.liveness.heard(stream), self.liveness.refusing(stream, now)
                reasons.append(explain.explain_silence(camera.link(), silent, vitals, heard, refusing))
            elif self.liveness.pulses[stream].frozen:
                same = self.liveness.same_for(stream)
                reasons.append(explain.explain_frozen(stream, camera.topic, same, vitals))
            elif not self.liveness.pulses[stream].alive:
                reasons.append(explain.explain_recovery(stream, camera.topic, values["degraded.recovery"]))
        if reasons or self.mode != health.BOTH:
            return "; ".join(reasons)
        offsets = {stream: values[f"sync.{stream}_offset"] for stream in STREAMS}
        clock_ns = self._node.get_clock().now().nanoseconds
        return (
            explain.explain_stamps(self.vitals)
            or explain.explain_skew(self.vitals, values["sync.tolerance"], offsets, clock_ns)
            or UNEXPLAINED
        )

    def _look_for_losses(self, cameras: dict[str, Camera], now: float) -> None:
        for stream, camera in cameras.items():
            vitals = self.vitals[stream]
            silent = self._faults.get(stream) == health.SILENT  # then `problem` tells of it
            lossy = not silent and explain.loses_frames(vitals)
            self._losses[stream] = explain.explain_loss(camera.link(), vitals) if lossy else ""
            if self._losses[stream] and self._throttle.ready(f"lost {stream}", now):
                self._log.warning(self._losses[stream])

    def _camera_status(self, name: str, stream: str, numbers: dict[str, Any]) -> DiagnosticStatus:
        """One camera's own entry; its level says whether the camera can be used."""
        level, text = diagnostics.camera_verdict(
            self.active, self.liveness.heard(stream), numbers, self._losses[stream]
        )
        return diagnostics.status(name, self._topics[stream], level, text, numbers)
