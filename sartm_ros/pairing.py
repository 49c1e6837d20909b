"""Pairing rgb with thermal frames by time stamp. Plain Python: stamps in, pairs out.

`NearestPairer` emits a pair (r, t) only when the two are *mutually* nearest: no thermal frame is closer to r and no rgb
frame is closer to t. It waits for a better partner only while one may still come:

    stamps    rgb      |        |        |        |        |        |       30 Hz
              thermal         |                         |                    9 Hz
                              ^ nearest rgb is the one after it: wait for that one, then emit

A later frame of a stream is farther away than the newest one already is, so the wait ends as soon as each side has a
frame at or beyond the other's stamp, or the observed frame period says the next frame cannot be closer, or after
`max_wait`. Each frame is used once at most, pairs leave in order, queues are bounded, every frame not used is counted
with its reason. The object takes no lock: call it from one thread (the executor's) and work with what it returns.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

RGB, THERMAL = STREAMS = ("rgb", "thermal")
OTHER = {RGB: THERMAL, THERMAL: RGB}
REASONS = ("too_old", "no_partner", "superseded", "backward_jump")
"""Why a frame was not used: its stamp is not newer than its stream's last one; nothing within the tolerance; a nearer
frame took the partner, or a pair newer than it has left; time went backwards (bag loop)."""

BACKWARD_JUMP_S = 0.5
"""A stamp this far behind its stream's newest one means that time restarted; less is a late frame."""
BACKWARD_RUN = 3
"""This many late frames in succession, rising among themselves, mean the same (a short bag in a loop)."""
PERIOD_SAMPLES = 8
EARLIEST_NEXT = 0.75
"""The next frame is not expected before this share of the shortest of the last `PERIOD_SAMPLES` periods has passed."""
SKEW_SAMPLES = 200
NS = 1_000_000_000


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame: its own stamp and the stamp with the stream's offset added (both ns), and when it arrived (s)."""

    stamp_ns: int
    aligned_ns: int
    item: Any
    arrived: float


@dataclass(frozen=True)
class Pair:
    """An rgb and a thermal item that belong together; `skew_ns` is thermal minus rgb after the offsets."""

    rgb: Any
    thermal: Any
    rgb_stamp_ns: int
    thermal_stamp_ns: int
    skew_ns: int


@dataclass
class Counters:
    """What happened so far: frames in per stream, pairs out, drops by stream and reason, last pairs' skews (ns)."""

    received: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STREAMS, 0))
    dropped: dict[str, dict[str, int]] = field(default_factory=lambda: {s: dict.fromkeys(REASONS, 0) for s in STREAMS})
    pairs: int = 0
    resets: int = 0
    skews_ns: deque[int] = field(default_factory=lambda: deque(maxlen=SKEW_SAMPLES))


class _Stream:
    """Queue, newest stamp and recent periods of one stream."""

    def __init__(self) -> None:
        self.queue: deque[Frame] = deque()
        self.forget()

    def forget(self) -> None:
        """Back to the state before the first frame."""
        self.queue.clear()
        self.newest: int | None = None  # aligned, ns
        self.periods: deque[int] = deque(maxlen=PERIOD_SAMPLES)
        self.late: list[int] = []

    def went_back(self, aligned_ns: int) -> bool:
        """Whether this stamp, not newer than the newest, shows that time itself restarted."""
        assert self.newest is not None
        self.late = [*self.late, aligned_ns] if self.late and aligned_ns > self.late[-1] else [aligned_ns]
        return self.newest - aligned_ns > BACKWARD_JUMP_S * NS or len(self.late) >= BACKWARD_RUN

    def add(self, frame: Frame) -> None:
        if self.newest is not None:
            self.periods.append(frame.aligned_ns - self.newest)
        self.newest = frame.aligned_ns
        self.late = []
        self.queue.append(frame)

    def earliest_next(self) -> int | None:
        """Earliest aligned stamp (ns) the next frame is expected to carry; None while the period is unknown."""
        if self.newest is None or len(self.periods) < PERIOD_SAMPLES:
            return None
        return self.newest + int(EARLIEST_NEXT * min(self.periods))


class NearestPairer:
    """Pairs mutually nearest frames of the streams "rgb" and "thermal".

    tolerance: largest |skew| of a pair, seconds. max_wait: longest wait for a better partner once a pair within the
    tolerance exists, seconds. queue_size: frames kept per stream. rgb_offset, thermal_offset: seconds added to a
    stream's stamps before they are compared. predict: end the wait early when the observed period says that nothing
    closer can come.
    """

    policy = "nearest"

    def __init__(
        self,
        tolerance: float = 0.05,
        max_wait: float = 0.05,
        queue_size: int = 10,
        rgb_offset: float = 0.0,
        thermal_offset: float = 0.0,
        predict: bool = True,
    ) -> None:
        if tolerance < 0 or max_wait < 0 or queue_size < 1:
            raise ValueError(
                f"NearestPairer: tolerance={tolerance} s, max_wait={max_wait} s, queue_size={queue_size}; "
                "expected tolerance and max_wait of 0 or more and a queue of at least 1"
            )
        self.tolerance_ns = round(tolerance * NS)
        self.max_wait = max_wait
        self.queue_size = queue_size
        self.offset_ns = {RGB: round(rgb_offset * NS), THERMAL: round(thermal_offset * NS)}
        self.predict = predict
        self.counters = Counters()
        self._streams = {s: _Stream() for s in STREAMS}

    def push(self, stream: str, stamp_ns: int, item: Any, now: float) -> list[Pair]:
        """Store one frame (stamp in ns, `now` in monotonic s) and return the pairs this completes, oldest first."""
        own = self._streams[stream]
        frame = Frame(stamp_ns, stamp_ns + self.offset_ns[stream], item, now)
        self.counters.received[stream] += 1
        if own.newest is not None and frame.aligned_ns <= own.newest:
            if not own.went_back(frame.aligned_ns):
                self._count(stream, "too_old")
                return self._advance(now)
            self.clear("backward_jump")
            self.counters.resets += 1
        own.add(frame)
        pairs = self._advance(now)
        while len(own.queue) > self.queue_size:
            best = self._first_mutual()
            if best and own.queue[0] in best:
                pairs.append(self._take(*best))  # no room to wait any longer
            else:
                self._drop(stream, [own.queue[0]])
        return pairs

    def poll(self, now: float) -> list[Pair]:
        """Return the pairs whose wait for a better partner is over at `now` (monotonic seconds)."""
        return self._advance(now)

    def deadline(self) -> float | None:
        """When `poll` has something to emit if no frame comes (monotonic seconds); None when nothing waits."""
        best = self._first_mutual()
        return max(best[0].arrived, best[1].arrived) + self.max_wait if best else None

    def clear(self, reason: str) -> None:
        """Drop every queued frame, counted as `reason`, and forget what stamps and periods were."""
        for name, stream in self._streams.items():
            self.counters.dropped[name][reason] += len(stream.queue)
            stream.forget()

    def newest(self, stream: str) -> int | None:
        """Newest stamp (ns, offset added) of a stream."""
        return self._streams[stream].newest

    def __len__(self) -> int:
        """Frames held at the moment, both streams."""
        return sum(len(s.queue) for s in self._streams.values())

    def _advance(self, now: float) -> list[Pair]:
        pairs = []
        while best := self._first_mutual():
            r, t = best
            if not self._settled(r, t) and now < max(r.arrived, t.arrived) + self.max_wait:
                break
            pairs.append(self._take(r, t))
        for name in STREAMS:
            self._drop(name, [f for f in self._streams[name].queue if self._hopeless(f, OTHER[name])])
        return pairs

    def _take(self, r: Frame, t: Frame) -> Pair:
        """Remove a pair from the queues, and with it every frame older than its own."""
        for name, used in ((RGB, r), (THERMAL, t)):
            self._drop(name, [f for f in self._streams[name].queue if f.aligned_ns < used.aligned_ns])
        for name in STREAMS:
            self._streams[name].queue.popleft()
        skew = t.aligned_ns - r.aligned_ns
        self.counters.pairs += 1
        self.counters.skews_ns.append(skew)
        return Pair(r.item, t.item, r.stamp_ns, t.stamp_ns, skew)

    def _first_mutual(self) -> tuple[Frame, Frame] | None:
        """The oldest pair within the tolerance whose two frames are each other's nearest."""
        for r in self._streams[RGB].queue:
            t = self._nearest(r, THERMAL)
            if t is not None and self._nearest(t, RGB) is r:
                return r, t
        return None

    def _nearest(self, frame: Frame, stream: str) -> Frame | None:
        """The queued frame of `stream` nearest to `frame` and within the tolerance; of two equally near, the older."""
        best = min(self._streams[stream].queue, key=lambda f: abs(f.aligned_ns - frame.aligned_ns), default=None)
        near = best is not None and abs(best.aligned_ns - frame.aligned_ns) <= self.tolerance_ns
        return best if near else None

    def _settled(self, r: Frame, t: Frame) -> bool:
        """Whether no frame still to come can be nearer to either one."""
        return self._closed(r, t, THERMAL) and self._closed(t, r, RGB)

    def _closed(self, frame: Frame, partner: Frame, stream: str) -> bool:
        """Whether no later frame of `stream` can be nearer to `frame` than `partner`, which is of that stream."""
        own = self._streams[stream]
        if partner.aligned_ns >= frame.aligned_ns or own.queue[-1] is not partner:
            return True
        following = own.earliest_next() if self.predict else None
        return following is not None and following - frame.aligned_ns >= frame.aligned_ns - partner.aligned_ns

    def _hopeless(self, frame: Frame, other: str) -> bool:
        """Whether the other stream has gone past this frame without leaving anything within the tolerance."""
        newest = self._streams[other].newest
        return newest is not None and newest > frame.aligned_ns + self.tolerance_ns and not self._nearest(frame, other)

    def _drop(self, stream: str, frames: list[Frame]) -> None:
        for frame in frames:
            self._count(stream, "superseded" if self._nearest(frame, OTHER[stream]) else "no_partner")
            self._streams[stream].queue.remove(frame)

    def _count(self, stream: str, reason: str) -> None:
        self.counters.dropped[stream][reason] += 1
