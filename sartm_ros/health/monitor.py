"""What the node says about itself: log lines that do not repeat, the `state` topic, /diagnostics, why nothing pairs.

Threads: the executor's thread calls everything here. `work.taken`, `work.done`, `failed`, `spoiled`, `used`,
`unusable`, `internal` and `refuse` may also be called by the model's thread; what these share with the others is
behind locks, and they never publish.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray

from sartm_core.support.text import plain
from sartm_ros.frames.images import ImageError, Incoming
from sartm_ros.health import diagnostics, explain, health
from sartm_ros.health.absent import Absent, words
from sartm_ros.health.beat import Beat
from sartm_ros.health.health import CHANGING, NO_INPUT, NO_PAIRS, OK, REPEAT_S
from sartm_ros.health.leftover import Leftover
from sartm_ros.health.losses import Losses
from sartm_ros.health.mistakes import Mistakes
from sartm_ros.health.rest import Rest
from sartm_ros.health.seams import Camera, Outputs
from sartm_ros.health.swapped import Swapped
from sartm_ros.health.vitals import Vitals
from sartm_ros.health.watchdog import RELOADING, Watchdog
from sartm_ros.health.why import NOTHING_PAIRS_S, why_nothing_pairs
from sartm_ros.health.work import Work
from sartm_ros.pairing.nearest import STREAMS, Counters


class Monitor:
    """Keeps the node's numbers and turns them into words. `active` says whether masks are expected at all.

    report: called at once whenever the state's text has changed. All `now` are monotonic seconds.
    """

    def __init__(self, node: Any, outputs: Outputs, report: Callable[[], None] = lambda: None) -> None:
        self._node, self._log = node, node.get_logger()
        self._outputs, self._report = outputs, report
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._throttle = health.Throttle(REPEAT_S)
        self._refusing = threading.Lock()
        self._warned: set[str] = set()
        self._faults: dict[str, str] = {}
        self._topics = dict.fromkeys(STREAMS, "")
        self._on_the_way = dict.fromkeys(STREAMS, "")
        self._since = time.monotonic()
        self.vitals = {stream: Vitals() for stream in STREAMS}
        self.liveness = health.Liveness(self.vitals)
        self.work = Work()
        self._watchdog = Watchdog(self.work)
        self._rest, self._swapped, self._absent = Rest(), Swapped(), Absent()
        self.losses, self._lossy = Losses(self.work), ""
        self._namesakes = self._trouble = ""
        self.beat, self.leftover = Beat(), Leftover()
        self._mistakes = Mistakes(self._log, self._throttle)
        self.active, self.mode, self.problem = False, health.BOTH, ""
        self.last_pair = self._anew = 0.0

    def lifecycle(self, state: str, active: bool = False) -> None:
        """The lifecycle state changed; while active, the `state` topic tells about the cameras instead."""
        now = time.monotonic()
        self.active = active
        self.problem = self._trouble = ""
        self._on_the_way = dict.fromkeys(STREAMS, "")
        self._watchdog.restart()
        if active:
            self._rest, self._swapped, self._absent, self._lossy = Rest(), Swapped(), Absent(), ""
            self.losses.activate(now)
            self.mode = health.BOTH
            self.last_pair = self._anew = now
            self.liveness.start(now, waiting=True)
            self._faults = self.liveness.faults()
            self._warned.clear()
        self._state(state, now)

    def tick(self, now: float) -> None:
        """The executor runs. If it stood still, what was before does not count."""
        stood = self.beat.tick(now, self.vitals)
        if stood and self.active:
            self._log.warning(
                f"nothing ran here for {stood:.1f} s (stopped, or too busy): what waited is dropped once newer comes"
            )
            self.last_pair = self._anew = self.liveness.started = now
            self.losses.restart(now)
            self._watchdog.restart()

    def saw(self, stream: str, frame: Incoming, now: float) -> None:
        """A usable frame came."""
        self.losses.arrived(stream, frame.stamp_ns, now)
        fingerprint = frame.fingerprint() if self.liveness.limits.frozen > 0 else None
        self.liveness.saw(stream, now, frame.stamp_ns, frame.kind, fingerprint, frame.nbytes)
        self.vitals[stream].warning = frame.warning
        self._topics[stream] = frame.topic
        if frame.warning and (text := f"{stream}: {frame.topic}: {frame.warning}") not in self._warned:
            self._warned.add(text)
            self._log.warning(text)

    def look_for_swapped(self, rgb: Incoming, thermal: Incoming) -> None:
        """Show a pair to what tells cameras that are swapped."""
        if found := self._swapped.look(rgb, thermal):
            self._log.warning(found)

    def refuse(self, stream: str, error: ImageError, now: float | None = None) -> None:
        """An unusable frame came."""
        now = time.monotonic() if now is None else now
        self.losses.turned_away(stream, error.text, now)
        with self._refusing:
            self.vitals[stream].refused(str(error), now)
        if self._throttle.ready(f"refuse {stream}", now):
            self._log.error(f"{stream}: {error}")

    def spoiled(self, stream: str, error: ImageError, now: float | None = None) -> None:
        """A frame that looked good when it came could not be converted."""
        now = time.monotonic() if now is None else now
        with self._refusing:
            self.vitals[stream].spoil(str(error), now, self.liveness.limits.timeout)
        self.work.spoiled(now)
        self.losses.spoiled(stream, error.text, now)
        if self._throttle.ready(f"refuse {stream}", now):
            self._log.error(f"{stream}: {error}")

    def used(self, stream: str, now: float | None = None) -> None:
        """A frame was converted."""
        self.losses.converted(stream, time.monotonic() if now is None else now)
        if self.vitals[stream].spoiled_since is not None:
            with self._refusing:
                self.vitals[stream].spoiled_since = None

    def unusable(self, stream: str, now: float | None = None) -> bool:
        """Whether no frame of the stream could be converted for `degraded.timeout`, or some still fail now and then."""
        now = time.monotonic() if now is None else now
        with self._refusing:
            return self.vitals[stream].unusable(now, self.liveness.limits.recovery)

    def failed(self, error: Exception, now: float | None = None) -> None:
        """The model gave no mask."""
        now = time.monotonic() if now is None else now
        text = f"{type(error).__name__}: {error}"
        self.work.failed(text, now)
        if self._throttle.ready("model", now):
            self._log.error(f"no mask: {text}")

    def internal(self, where: str, error: Exception, now: float | None = None) -> None:
        """A guard around the callback `where` caught an error in the node's own code."""
        self._mistakes.note(where, error, time.monotonic() if now is None else now)

    def update_mode(self, values: dict[str, Any], now: float) -> bool:
        """Bring `mode` up to date (see `health.Liveness`); returns whether it changed. values: the parameters."""
        mode = self.liveness.update(now, health.Limits.of(values))
        faults = self.liveness.faults()
        faults |= {s: health.UNUSABLE for s in STREAMS if not faults[s] and self.unusable(s, now)}
        changed = mode != self.mode
        if not changed and faults == self._faults:
            return False
        self.losses.mended(self._faults, faults)
        self.mode, self._faults = mode, faults
        text = self._cameras_state(values, now)
        if changed and mode == health.BOTH:
            self.last_pair = self._anew = now  # whether anything pairs is asked anew from here
            self.problem = ""
        if text == OK:
            self._log.info(f"state: {text}")
        elif self._throttle.ready(text, now):
            self._log.warning(f"state: {text}")
        self._state(self._trouble or (self.losses.state() if text == OK else text) or text, now)
        return changed

    def check(
        self, cameras: dict[str, Camera], values: dict[str, Any], now: float, counters: Counters | None = None,
        sharers: int = 1, compiling: str = "", reloading: bool = False,
    ) -> None:  # fmt: skip
        """Bring the state up to date; when nothing pairs or frames are lost on the way, find out why and say it.

        counters: the pairing's. sharers: nodes that take turns with the model. compiling, reloading: see `Watchdog`.
        """
        for stream, camera in cameras.items():
            self.vitals[stream].mark_lost(camera.lost)
            self._topics[stream] = camera.topic
        state, reasons = self._cameras_state(values, now), []
        if now - self.last_pair >= max(v.patience(NOTHING_PAIRS_S) for v in self.vitals.values()):
            clock_ns = self._node.get_clock().now().nanoseconds
            reasons.append(why_nothing_pairs(self.liveness, self.mode, cameras, values, clock_ns, now))
            if self.mode == health.BOTH and not state.startswith(NO_INPUT):
                state = NO_PAIRS
        self._look_for_losses(cameras, now)
        self._look_at_the_pace(now)
        if compiling:  # which takes the executor's time, too
            self.losses.restart(now)
        else:
            state = self._look_at_the_shares(state, counters, sharers, now)
        reasons += [explain.explain_unusable(s, self.vitals[s]) for s in STREAMS if self._faults[s] == health.UNUSABLE]
        reasons.append(RELOADING if reloading and self.losses.too_few else self.losses.too_few)
        self.problem = "; ".join(filter(None, reasons))
        if self.problem and self._throttle.ready(f"why {CHANGING.sub('', self.problem)}", now):
            self._log.warning(f"{state}. {self.problem}")
        self._look_at_the_model(values, compiling, reloading, now)
        self._state(state if state.startswith(NO_INPUT) else self._trouble or state, now)

    def look_for_namesakes(self) -> None:
        """Whether the ROS graph has this node's name more than once: said once, and in the diagnostics while it has."""
        own, before = (self._node.get_name(), self._node.get_namespace()), self._namesakes
        self._namesakes = explain.explain_namesakes(own, self._node.get_node_names_and_namespaces())
        if self._namesakes and not before:
            self._log.warning(self._namesakes)

    def publish(self, counters: Counters, dropped: dict[str, int], model: dict[str, Any], now: float = 0.0) -> None:
        """Send /diagnostics. dropped: the `dropped_*` keys; model: the `model.*` keys."""
        now, clock = now or time.monotonic(), self._node.get_clock().now()
        name, state = self._node.get_fully_qualified_name(), self._outputs.current_state
        cameras = {
            stream: diagnostics.stream_numbers(
                self.vitals[stream],
                self._faults.get(stream, "") if self.active else "",
                counters.dropped[stream] | {"standstill": self.leftover.dropped[stream]},
                now,
                clock.nanoseconds,
                self.losses.refused[stream],
            )
            for stream in STREAMS
        }
        own: dict[str, Any] = {"subscribers": self._outputs.subscribers(), "internal_errors": self._mistakes.count}
        own |= {"swapped": self._swapped.verdict}
        own |= dropped | {"state_s": now - self._since, "missing": words(self._outputs.missing())}
        told = (self.problem, self._namesakes, self._swapped.verdict, *self._on_the_way.values(), own["missing"])
        doubts = [text for text in (*told, self._mistakes.lately(now), str(model.get("note") or "")) if text]
        numbers = diagnostics.node_numbers(state, cameras, counters, self.work.numbers(now) | own, model)
        level, hardware = diagnostics.level(state, bool(doubts)), str(model.get("name") or "")
        statuses = [diagnostics.status(f"{name}: segmentation", hardware, level, ". ".join([state, *doubts]), numbers)]
        for stream in STREAMS:
            seen, loss = (self.active, self.liveness.heard(stream)), self._on_the_way[stream]
            verdict = diagnostics.camera_verdict(*seen, cameras[stream], loss, self.losses.refused[stream])
            where = f"{name}: {stream} camera", self._topics[stream]
            statuses.append(diagnostics.status(*where, *verdict, cameras[stream]))
        self._publisher.publish(diagnostics.to_message(clock.to_msg(), statuses))

    def _cameras_state(self, values: dict[str, Any], now: float) -> str:
        """The state by what can be used of the cameras."""
        mode = health.usable(self.mode, self._faults)
        words = self.losses.words(self._faults, self.liveness, now)
        return health.describe_mode(mode, values["degraded.enabled"], words)

    def _look_at_the_model(self, values: dict[str, Any], compiling: str, reloading: bool, now: float) -> None:
        """Whether masks come of the frames that go to the model; the reason goes to `problem`, and once to the log."""
        fed = self.last_pair if self.last_pair > self._anew else 0.0
        if self.mode in STREAMS and values["degraded.enabled"]:
            fed = self.vitals[self.mode].last_good or 0.0
        before = self._trouble
        served = self._outputs.subscribers() > 0
        self._trouble, why = self._watchdog.verdict(fed, served, now, compiling, reloading)
        if self._trouble:
            self.problem = "; ".join(dict.fromkeys(text for text in (why, self.problem) if text))
            if self._trouble != before and self._throttle.ready(self._trouble, now):
                (self._log.info if compiling or why == RELOADING else self._log.error)(f"{self._trouble}. {why}")
        elif before:
            self._log.info("masks come again")

    def _look_at_the_pace(self, now: float) -> None:
        """Say that the model rests or works again, and once how fast masks come."""
        masks, model_s, _ = self.work.times()
        what = ", ".join(f"{s} {self.vitals[s].format}" for s in STREAMS if self.liveness.heard(s))
        for said in (self._rest.update(self._outputs.subscribers(), now), self.losses.pace.first(masks, model_s, what)):
            if said:
                self._log.info(said)
        self._absent.tell(self._log, self._outputs.missing())
        if self._rest.resting:
            self.losses.pace.restart(now)

    def _look_at_the_shares(self, state: str, counters: Counters | None, sharers: int, now: float) -> str:
        """The state with what is lost though masks come; the log tells when that begins and ends."""
        paired = counters if self.mode == health.BOTH else None
        expected = self._outputs.subscribers() > 0 and not self._trouble and state == OK
        self.losses.look(paired, expected, sharers, now)
        before, self._lossy = self._lossy, self.losses.state() if state == OK else ""
        if self._lossy and self._throttle.ready(CHANGING.sub("", self._lossy), now):
            self._log.warning(f"state: {self._lossy}")
        elif before and state == OK and not self._lossy:
            self._log.info(f"state: {OK}")
        return self._lossy or state

    def _state(self, text: str, now: float) -> None:
        text = plain(text)
        if text != self._outputs.current_state:
            self._outputs.state(text)
            self._since = now
            self._report()

    def _look_for_losses(self, cameras: dict[str, Camera], now: float) -> None:
        for stream, camera in cameras.items():
            vitals = self.vitals[stream]
            silent = self._faults.get(stream) == health.SILENT  # then `problem` tells of it
            lossy = not silent and explain.loses_frames(vitals)
            self._on_the_way[stream] = explain.explain_loss(camera.link(), vitals) if lossy else ""
            if self._on_the_way[stream] and self._throttle.ready(f"lost {stream}", now):
                self._log.warning(self._on_the_way[stream])
