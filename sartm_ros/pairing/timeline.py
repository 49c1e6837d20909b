"""The time of one camera stream: which of its stamps to believe, how often it sends, how late it is. Plain Python.

    100  133  166  3600166  200      one odd stamp (ms): held aside as suspect; 200 goes on from 166, so it is dropped
    100  133  166  10  43            a bag that starts again: 10 is suspect until 43 goes on from it, then both count
    100  166  133  200               133 is late (overtaken on the network), not a jump

A stamp jumps when it lies back by more than `BACKWARD_JUMP_S`, or ahead by much more than the steady clock went on.
The next frame of the stream decides about a suspect frame; the pairing object may believe it earlier, when the other
camera has a frame of the same time.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import Any

NS = 1_000_000_000

BACKWARD_JUMP_S = 0.5
"""A stamp this far behind its stream's newest one (or twice the tolerance, if that is more) jumps; less is late."""
FORWARD_JUMP_S = 1.0
"""A stamp may be this far ahead of the newest one however soon it comes (frames of a network stall come at once),"""
FASTEST_PLAYBACK = 20.0
"""plus this many seconds for every second of the steady clock (bags are played faster than they were recorded)."""
BACKWARD_RUN = 3
"""This many frames refused as too old in succession, rising among themselves, are a short bag in a loop."""
PERIOD_SAMPLES = 8
"""How many of the last periods and latencies are kept."""
EARLIEST_NEXT = 0.75
"""The next frame is not expected before this share of the shortest of the last `PERIOD_SAMPLES` periods has passed."""

QUEUE_MIN, QUEUE_START, QUEUE_MAX = 4, 10, 64
"""Least and largest queue sized by rate, and the one used until the rate is known, frames."""
RATE_SAMPLES = 3
"""Periods needed before the rate counts as known."""
LARGEST_LAG_S = 2.0
"""A larger lag between the streams means that their clocks are apart: keeping more frames would not help."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame: its own stamp and the stamp with the stream's offset added (both ns), and when it arrived (s)."""

    stamp_ns: int
    aligned_ns: int
    item: Any
    arrived: float


class Verdict(Enum):
    """What a new frame is to its stream's timeline."""

    NEXT = "newer than all before, at a believable distance"
    LATE = "not newer, but not far behind"
    JUMP = "far from everything: suspect"
    CONFIRMS = "goes on from the suspect frame: time did jump"


class Timeline:
    """Newest stamp, suspect frame, recent periods and latencies of one stream.

    back_ns: how far behind the newest stamp a frame counts as late and not as a jump, ns. It only judges and remembers:
    the owner calls `go_on` or `restart` with the frames it takes and sets `suspect` (one frame at most).
    """

    def __init__(self, back_ns: int = round(BACKWARD_JUMP_S * NS)) -> None:
        self.back_ns = back_ns
        self.forget()

    def forget(self) -> None:
        """Back to the state before the first frame."""
        self.newest: int | None = None  # aligned, ns
        self.arrived = 0.0  # of the newest, s
        self.suspect: Frame | None = None
        self.periods: deque[int] = deque(maxlen=PERIOD_SAMPLES)  # ns
        self.latencies: deque[int] = deque(maxlen=PERIOD_SAMPLES)  # arrival minus stamp, on two clocks, ns
        self._refused: list[int] = []

    def judge(self, frame: Frame) -> Verdict:
        """What this frame is; changes nothing."""
        if self.newest is None:
            return Verdict.NEXT
        goes_on = _follows(self.newest, self.arrived, frame)
        s = self.suspect
        if s and _follows(s.aligned_ns, s.arrived, frame) and (not goes_on or s.aligned_ns > self.newest):
            return Verdict.CONFIRMS
        if goes_on:
            return Verdict.NEXT
        return Verdict.LATE if 0 <= self.newest - frame.aligned_ns <= self.back_ns else Verdict.JUMP

    def go_on(self, frame: Frame) -> None:
        """The stream's newest frame: its stamp, period and latency are remembered."""
        if self.newest is not None:
            self.periods.append(frame.aligned_ns - self.newest)
        self.latencies.append(round(frame.arrived * NS) - frame.aligned_ns)
        self.newest, self.arrived = frame.aligned_ns, frame.arrived
        self._refused = []

    def restart(self, frame: Frame) -> None:
        """Time jumped to this frame: go on from it; periods and latencies of the old time say nothing any more."""
        self.forget()
        self.go_on(frame)

    def restarted(self, aligned_ns: int) -> bool:
        """Note a late stamp (ns) that is of no use; whether the last ones show that time itself restarted."""
        rising = self._refused and aligned_ns > self._refused[-1]
        self._refused = [*self._refused, aligned_ns] if rising else [aligned_ns]
        return len(self._refused) >= BACKWARD_RUN

    def earliest_next(self) -> int | None:
        """Earliest aligned stamp (ns) the next frame is expected to carry; None while the period is unknown."""
        if self.newest is None or len(self.periods) < PERIOD_SAMPLES:
            return None
        return self.newest + int(EARLIEST_NEXT * min(self.periods))

    def rate(self) -> float | None:
        """Frames per second of the stamps; None while unknown."""
        return len(self.periods) * NS / sum(self.periods) if len(self.periods) >= RATE_SAMPLES else None


def queue_room(own: Timeline, other: Timeline, wait_s: float) -> int:
    """Frames worth keeping of stream `own`: rate x (wait + arrival lag between the streams) + 2, within fixed limits.

    wait_s: how far apart in time partners may be plus how long one may wait for a better one, seconds.
    """
    rate = own.rate()
    if rate is None:
        return QUEUE_START
    return min(max(math.ceil(rate * (wait_s + _lag_s(own, other))) + 2, QUEUE_MIN), QUEUE_MAX)


def _lag_s(a: Timeline, b: Timeline) -> float:
    """By how much one stream's frames come later than the other's of the same stamp, at most and lately, seconds."""
    if not a.latencies or not b.latencies:
        return 0.0
    lag = max(max(a.latencies) - min(b.latencies), max(b.latencies) - min(a.latencies)) / NS
    return lag if lag <= LARGEST_LAG_S else 0.0


def _follows(stamp_ns: int, since: float, frame: Frame) -> bool:
    """Whether `frame` may be the next one after a frame stamped `stamp_ns` that arrived at `since` (s)."""
    limit = FORWARD_JUMP_S + FASTEST_PLAYBACK * max(frame.arrived - since, 0.0)
    return 0 < frame.aligned_ns - stamp_ns <= limit * NS
