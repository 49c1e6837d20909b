"""Which cameras are alive and what the node can do with them. Plain Python.

Silence is measured by the steady clock (when frames arrived), never by stamps. A stream is lost at once when it is
silent or frozen, and it is back only after `Limits.recovery` seconds of frames without a gap:

    alive --silent or frozen--> lost --good frames for `recovery` s--> alive
                                     --both were lost and both send: at once-----> alive
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from typing import Any

from sartm_ros.health.vitals import Vitals
from sartm_ros.pairing.nearest import OTHER, STREAMS

REPEAT_S = 5.0
"""The same kind of complaint is logged once in this many seconds."""
CHANGING = re.compile(r"refused: .*|[\d.,]+")
"""What differs from one telling of a cause to the next; another cause is told without waiting for `REPEAT_S`."""
OK, NO_INPUT = "ok", "no input"
"""State when all is well; beginning of the state when no camera can be used."""
NO_PAIRS = "no masks: frames do not pair"
"""State while both cameras send and nothing comes of it."""
FROZEN_FRAMES = 3
"""Equal pictures in a row, at least, before a stream counts as frozen."""
BOTH, NONE = "both", "none"
SILENT, FROZEN, UNUSABLE = "silent", "frozen", "unusable"
"""What can be wrong with a stream. Unusable: its frames come, but their content cannot be converted."""


class Throttle:
    """Lets a message of a key through once per `period` seconds. Safe to use from several threads."""

    def __init__(self, period: float) -> None:
        self.period = period
        self._last: dict[str, float] = {}
        self._lock = threading.Lock()

    def ready(self, key: str, now: float) -> bool:
        """Whether `key` may speak at `now` (monotonic seconds); if so, it has spoken."""
        with self._lock:
            self._last = {known: spoke for known, spoke in self._last.items() if now - spoke < self.period}
            if key in self._last:
                return False
            self._last[key] = now
            return True


@dataclass(frozen=True)
class Limits:
    """When a stream counts as lost and as back, seconds: the parameters `degraded.*` and `frozen_timeout`."""

    timeout: float = 1.0
    recovery: float = 0.5
    frozen: float = 0.5
    """0: never frozen."""

    @classmethod
    def of(cls, values: dict[str, Any]) -> Limits:
        """From the node's parameters."""
        return cls(values["degraded.timeout"], values["degraded.recovery"], values["frozen_timeout"])


@dataclass
class Pulse:
    """State of one stream in `Liveness`; times in monotonic seconds."""

    alive: bool = True
    fault: str = ""
    """`SILENT` or `FROZEN` while not alive (the last one of them while it recovers)."""
    frozen: bool = False
    run: float | None = None
    """Since when it has sent without a gap or a fault."""
    other_moving: float | None = None
    """Since when the other stream's picture has kept changing while this one's has not."""


class Liveness:
    """Which streams are alive. Tell it every usable frame by `saw`, ask by `update`."""

    def __init__(self, vitals: dict[str, Vitals]) -> None:
        self.vitals = vitals
        self.limits = Limits()
        self.started = 0.0
        self.pulses = {stream: Pulse() for stream in vitals}
        self._waiting = True

    def start(self, now: float, waiting: bool = False) -> None:
        """Silence counts from here at the earliest, and both count as alive.

        waiting: the first frame starts anew, so that cameras which start late get the same time from each other.
        """
        self.started = now
        self.pulses = {stream: Pulse() for stream in self.vitals}
        self._waiting = waiting
        for vitals in self.vitals.values():
            vitals.restart()

    def saw(
        self, stream: str, now: float, stamp_ns: int, kind: str = "", fingerprint: int | None = None, nbytes: int = 0
    ) -> None:
        """A usable frame came. fingerprint: a number that is equal for equal pictures; None: it shows nothing."""
        if self._waiting:
            self.start(now)
        vitals, pulse, other = self.vitals[stream], self.pulses[stream], self.pulses[OTHER[stream]]
        gap = not self.heard(stream) or self.silent_for(stream, now) > vitals.patience(self.limits.timeout)
        moving, thawed = self._moving(stream, now), False
        if vitals.saw(now, stamp_ns, kind, fingerprint, nbytes):
            thawed, pulse.frozen, pulse.other_moving = pulse.frozen, False, None
            if fingerprint is not None and (other.other_moving is None or not moving):
                other.other_moving = now
        if gap or thawed or pulse.run is None:
            pulse.run = now

    def update(self, now: float, limits: Limits) -> str:
        """The mode at `now`: `both`, `rgb` or `thermal` (the only one alive), or `none`.

        A camera slower than `limits.timeout` gets more time, see `Vitals.patience`.
        """
        self.limits = limits
        for stream, pulse in self.pulses.items():
            fault = self._fault(stream, now)
            if fault:
                pulse.alive, pulse.fault, pulse.run = False, fault, None
            elif not pulse.alive and self._run_length(stream, now) >= limits.recovery:
                pulse.alive, pulse.fault = True, ""
        alive = [stream for stream in STREAMS if self.pulses[stream].alive]
        if not alive:
            sending = [s for s in STREAMS if self.pulses[s].run is not None]
            if len(sending) == 2:  # there is no mask to protect from a change
                alive = sending
                for stream in alive:
                    self.pulses[stream].alive, self.pulses[stream].fault = True, ""
        return BOTH if len(alive) == 2 else alive[0] if alive else NONE

    def faults(self) -> dict[str, str]:
        """`SILENT` or `FROZEN` for each stream that is not alive, "" for the others."""
        return {stream: pulse.fault for stream, pulse in self.pulses.items()}

    def silent_for(self, stream: str, now: float) -> float:
        """Seconds since the last usable frame, or since the start."""
        last = self.vitals[stream].last_good
        return now - max(self.started, last if last is not None else self.started)

    def same_for(self, stream: str) -> float:
        """Seconds over which the stream sent the same picture."""
        vitals = self.vitals[stream]
        return vitals.last_good - vitals.changes[-1] if vitals.changes and vitals.last_good is not None else 0.0

    def heard(self, stream: str) -> bool:
        """Whether the stream has delivered a usable frame since the start."""
        last = self.vitals[stream].last_good
        return last is not None and last >= self.started

    def refusing(self, stream: str, now: float) -> bool:
        """Whether what the stream sent since its last usable frame (or since the start) was refused."""
        last = self.vitals[stream].last_refused
        return last is not None and now - last < self.silent_for(stream, now)

    def _fault(self, stream: str, now: float) -> str:
        if self.silent_for(stream, now) > self.vitals[stream].patience(self.limits.timeout):
            return SILENT
        self.pulses[stream].frozen = self.limits.frozen > 0 and (self.pulses[stream].frozen or self._stands(stream))
        return FROZEN if self.pulses[stream].frozen else ""

    def _stands(self, stream: str) -> bool:
        """Whether its picture has not changed for too long while the other one's kept changing."""
        own, moving = self.vitals[stream], self.pulses[stream].other_moving
        if own.same_frames < FROZEN_FRAMES or moving is None:
            return False  # a simulated scene without noise can stand still for both cameras: no fault
        needed = own.picture_patience(self.limits.frozen)
        return self.same_for(stream) >= needed and self.vitals[OTHER[stream]].changes[-1] - moving >= needed

    def _moving(self, stream: str, now: float) -> bool:
        """Whether its picture has changed lately."""
        vitals = self.vitals[stream]
        return bool(vitals.changes) and now - vitals.changes[-1] <= vitals.picture_patience(self.limits.frozen)

    def _run_length(self, stream: str, now: float) -> float:
        """Seconds of good frames in a row; a picture that stands while the other one changes adds nothing."""
        vitals, pulse = self.vitals[stream], self.pulses[stream]
        if pulse.run is None or vitals.last_good is None:
            return -1.0
        doubtful = vitals.same_frames > 1 and pulse.other_moving is not None and self._moving(OTHER[stream], now)
        return (vitals.changes[-1] if doubtful else vitals.last_good) - pulse.run


def usable(mode: str, faults: dict[str, str]) -> str:
    """What is left of a mode without the streams whose frames cannot be converted."""
    left = [stream for stream in STREAMS if mode in (BOTH, stream) and faults.get(stream) != UNUSABLE]
    return BOTH if len(left) == 2 else left[0] if left else NONE


def describe_mode(mode: str, degraded_enabled: bool, faults: dict[str, str] | None = None) -> str:
    """The text of the `state` topic for a mode; faults: see `Liveness.faults`, or `UNUSABLE`."""
    if mode == BOTH:
        return "ok"
    why = {stream: (faults or {}).get(stream) or SILENT for stream in STREAMS}
    if mode == NONE:
        first, second = (why[stream] for stream in STREAMS)
        same = first == second
        return f"no input: rgb and thermal {first}" if same else f"no input: rgb {first}, thermal {second}"
    return f"{'degraded' if degraded_enabled else 'no masks'}: {OTHER[mode]} {why[OTHER[mode]]}"
