"""Pairing rgb with thermal frames by time stamp. Plain Python: stamps in, pairs out.

`NearestPairer` emits a pair (r, t) only when the two are *mutually* nearest: no thermal frame is closer to r and no rgb
frame is closer to t. It waits for a better partner only while one may still come:

    stamps    rgb      |        |        |        |        |        |       30 Hz
              thermal         |                         |                    9 Hz
                              ^ nearest rgb is the one after it: wait for that one, then emit

A later frame of a stream is farther away than the newest one already is, so the wait ends as soon as each side has a
frame at or beyond the other's stamp, or the observed frame period says the next frame cannot be closer, or after
`max_wait`. Each frame is used once at most, pairs leave in order, queues are bounded, every frame not used is counted
with its reason. A frame without a partner stays until a newer pair leaves or its queue is full, so that a late partner
still finds it.

Stamps are not trusted blindly (see `timeline`): a frame far from the time of its stream is held aside as *suspect*

    rgb       |    |    |                     ?        <- one hour ahead: believed only if
    thermal   |    |    |    |                !        <- this frame is there, too, or rgb goes on from ?

and dropped if the stream goes on where it was. If it is believed the stream's time moves, and the suspect frame counts;
when time went back, the frames left behind are dropped and pairing starts over (`Counters.resets`). So one odd stamp
costs nothing but its own frame, and the first pair after a bag has looped is already made. The object takes no lock:
call it from one thread (the executor's) and work with what it returns.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from sartm_ros.pairing.timeline import BACKWARD_JUMP_S, NS, Frame, Timeline, Verdict, queue_room

RGB, THERMAL = STREAMS = ("rgb", "thermal")
OTHER = {RGB: THERMAL, THERMAL: RGB}
REASONS = ("too_old", "no_partner", "superseded", "backward_jump")
"""Why a frame was not used: a pair at least as new has left, or its stream had this stamp before; nothing within the
tolerance; a nearer frame took the partner, or a pair newer than it has left; its time is not that of its stream: an odd
stamp that nothing confirmed, or a frame left behind when time went back (bag loop)."""
SKEW_SAMPLES = 200


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
    """What happened so far: frames in per stream, pairs out, drops by stream and reason, last pairs' skews (ns).

    resets: how often time went back. A stream that follows the other one back is not counted again. Pairs leave in
    order between two resets.
    """

    received: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STREAMS, 0))
    dropped: dict[str, dict[str, int]] = field(default_factory=lambda: {s: dict.fromkeys(REASONS, 0) for s in STREAMS})
    pairs: int = 0
    resets: int = 0
    skews_ns: deque[int] = field(default_factory=lambda: deque(maxlen=SKEW_SAMPLES))


class _Stream:
    """One stream: its time, its waiting frames in the order of their stamps, and the stamp last paired (ns)."""

    def __init__(self, back_ns: int) -> None:
        self.time = Timeline(back_ns)
        self.frames: list[Frame] = []
        self.stamps: list[int] = []  # aligned, of the frames: what is searched
        self.paired: int | None = None

    def add(self, frame: Frame) -> None:
        at = bisect_left(self.stamps, frame.aligned_ns)
        self.frames.insert(at, frame)
        self.stamps.insert(at, frame.aligned_ns)

    def remove(self, count: int) -> list[Frame]:
        """Take out the `count` oldest frames."""
        gone = self.frames[:count]
        del self.frames[:count], self.stamps[:count]
        return gone

    def refuses(self, aligned_ns: int) -> bool:
        """Whether a late frame is of no use: a pair as new has left, or the same stamp is here."""
        at = bisect_left(self.stamps, aligned_ns)
        present = at < len(self.stamps) and self.stamps[at] == aligned_ns
        return present or (self.paired is not None and aligned_ns <= self.paired)

    def nearest(self, aligned_ns: int, tolerance_ns: int) -> Frame | None:
        """The frame nearest to a stamp and within the tolerance; of two equally near, the older."""
        at = bisect_left(self.stamps, aligned_ns)
        after = self.stamps[at] - aligned_ns if at < len(self.stamps) else tolerance_ns + 1
        if at > 0 and aligned_ns - self.stamps[at - 1] <= min(after, tolerance_ns):
            return self.frames[at - 1]
        return self.frames[at] if after <= tolerance_ns else None


class NearestPairer:
    """Pairs mutually nearest frames of the streams "rgb" and "thermal".

    tolerance: largest |skew| of a pair, seconds. max_wait: longest wait for a better partner once a pair within the
    tolerance exists, seconds. queue_size: frames kept per stream; 0: as many as the observed rate, the tolerance,
    max_wait and the lag between the streams call for (`timeline.queue_room`). A suspect frame per stream comes on top.
    rgb_offset, thermal_offset: seconds added to a stream's stamps before they are compared. predict: end the wait early
    when the observed period says that nothing closer can come. Raises ValueError for a negative value.
    """

    policy = "nearest"

    def __init__(
        self,
        tolerance: float = 0.05,
        max_wait: float = 0.05,
        queue_size: int = 0,
        rgb_offset: float = 0.0,
        thermal_offset: float = 0.0,
        predict: bool = True,
    ) -> None:
        if tolerance < 0 or max_wait < 0 or queue_size < 0:
            raise ValueError(
                f"NearestPairer: tolerance={tolerance} s, max_wait={max_wait} s, queue_size={queue_size}; "
                "expected 0 or more of each (queue_size 0: sized by the cameras' rates)"
            )
        self.tolerance_ns = round(tolerance * NS)
        self.max_wait = max_wait
        self.queue_size = queue_size
        self.offset_ns = {RGB: round(rgb_offset * NS), THERMAL: round(thermal_offset * NS)}
        self.predict = predict
        self.back_ns = max(round(BACKWARD_JUMP_S * NS), 2 * self.tolerance_ns)
        self.counters = Counters()
        self._streams = {s: _Stream(self.back_ns) for s in STREAMS}

    def push(self, stream: str, stamp_ns: int, item: Any, now: float) -> list[Pair]:
        """Store one frame (stamp in ns, `now` in monotonic s) and return the pairs this completes, oldest first."""
        frame = Frame(stamp_ns, stamp_ns + self.offset_ns[stream], item, now)
        self.counters.received[stream] += 1
        self._place(stream, frame)
        for name in STREAMS:
            self._believe_if_partnered(name)
        return self._advance(now) + self._shorten(stream)

    def poll(self, now: float) -> list[Pair]:
        """Return the pairs whose wait for a better partner is over at `now` (monotonic seconds)."""
        return self._advance(now)

    def deadline(self) -> float | None:
        """When `poll` has something to emit if no frame comes (monotonic seconds); None when nothing waits."""
        best = self._first_mutual()
        return self._wait_over(*best) if best else None

    def clear(self, reason: str) -> None:
        """Drop every frame held, counted as `reason`, and forget what stamps and periods were.

        Call it with "backward_jump" when the clock itself jumped (`use_sim_time`): that counts as a reset.
        """
        for name in STREAMS:
            self.counters.dropped[name][reason] += self.held(name)
            self._streams[name] = _Stream(self.back_ns)
        if reason == "backward_jump":
            self.counters.resets += 1

    def newest(self, stream: str) -> int | None:
        """Newest believed stamp (ns, offset added) of a stream."""
        return self._streams[stream].time.newest

    def last(self, stream: str) -> Any:
        """The item of the newest frame of a stream that waits, newer than any pair that left; None: none waits."""
        frames = self._streams[stream].frames
        return frames[-1].item if frames else None

    def held(self, stream: str) -> int:
        """Frames of a stream held at the moment, a suspect one included."""
        own = self._streams[stream]
        return len(own.frames) + (own.time.suspect is not None)

    def room(self, stream: str) -> int:
        """Frames of a stream that may wait at the moment."""
        wait_s = self.tolerance_ns / NS + self.max_wait
        return self.queue_size or queue_room(self._streams[stream].time, self._streams[OTHER[stream]].time, wait_s)

    def __len__(self) -> int:
        """Frames held at the moment, both streams."""
        return sum(map(self.held, STREAMS))

    # Where a new frame belongs

    def _place(self, stream: str, frame: Frame) -> None:
        """Queue a frame, hold it aside, or refuse it; a suspect frame before it is now believed or dropped."""
        own = self._streams[stream]
        verdict, suspect = own.time.judge(frame), own.time.suspect
        if suspect is not None and verdict is Verdict.CONFIRMS:
            self._move(stream, suspect, follows=False)
        elif suspect is not None:
            self._count(stream, "backward_jump")
            own.time.suspect = None
        if verdict is Verdict.JUMP:
            own.time.suspect = frame
        elif verdict is not Verdict.LATE:
            own.time.go_on(frame)
            own.add(frame)
        elif not own.refuses(frame.aligned_ns):
            own.add(frame)
        elif own.time.restarted(frame.aligned_ns):
            self._move(stream, frame, follows=False)
        else:
            self._count(stream, "too_old")

    def _believe_if_partnered(self, stream: str) -> None:
        """Believe a stream's suspect frame when the other stream, too, has a frame of that time."""
        suspect, other = self._streams[stream].time.suspect, self._streams[OTHER[stream]]
        if suspect is None:
            return
        queued, same = other.nearest(suspect.aligned_ns, self.tolerance_ns), other.time.suspect
        if queued or (same is not None and abs(same.aligned_ns - suspect.aligned_ns) <= self.tolerance_ns):
            self._move(stream, suspect, follows=queued is not None)

    def _move(self, stream: str, frame: Frame, follows: bool) -> None:
        """The stream's time is now that of `frame`. follows: the other stream is there already."""
        own = self._streams[stream]
        if own.time.newest is not None and frame.aligned_ns <= own.time.newest:
            self.counters.dropped[stream]["backward_jump"] += len(own.remove(len(own.frames)))
            if not follows or (own.paired is not None and frame.aligned_ns <= own.paired):
                self.counters.resets += 1
                for each in self._streams.values():
                    each.paired = None
        own.time.restart(frame)
        own.add(frame)

    # Which pairs leave

    def _advance(self, now: float) -> list[Pair]:
        pairs = []
        while best := self._first_mutual():
            if not self._settled(*best) and now < self._wait_over(*best):
                break
            pairs.append(self._take(*best))
        return pairs

    def _shorten(self, stream: str) -> list[Pair]:
        """Make the queue fit its room: its oldest frame leaves, in its pair if it has one (no room to wait longer)."""
        own, pairs = self._streams[stream], []
        while len(own.frames) > self.room(stream):
            best = self._first_mutual()
            if best and own.frames[0] in best:
                pairs.append(self._take(*best))
            else:
                self._drop(stream, 1)
        return pairs

    def _take(self, r: Frame, t: Frame) -> Pair:
        """Remove a pair from the queues, and with it every frame older than its own."""
        for name, used in ((RGB, r), (THERMAL, t)):
            self._drop(name, bisect_left(self._streams[name].stamps, used.aligned_ns))
        for name in STREAMS:
            own = self._streams[name]
            own.paired = own.remove(1)[0].aligned_ns
        skew = t.aligned_ns - r.aligned_ns
        self.counters.pairs += 1
        self.counters.skews_ns.append(skew)
        return Pair(r.item, t.item, r.stamp_ns, t.stamp_ns, skew)

    def _first_mutual(self) -> tuple[Frame, Frame] | None:
        """The oldest pair within the tolerance whose two frames are each other's nearest."""
        rgb, thermal = self._streams[RGB], self._streams[THERMAL]
        for r in rgb.frames:
            t = thermal.nearest(r.aligned_ns, self.tolerance_ns)
            if t is not None and rgb.nearest(t.aligned_ns, self.tolerance_ns) is r:
                return r, t
        return None

    def _wait_over(self, r: Frame, t: Frame) -> float:
        return max(r.arrived, t.arrived) + self.max_wait

    def _settled(self, r: Frame, t: Frame) -> bool:
        """Whether no frame still to come can be nearer to either one."""
        return self._closed(r, t, THERMAL) and self._closed(t, r, RGB)

    def _closed(self, frame: Frame, partner: Frame, stream: str) -> bool:
        """Whether no later frame of `stream` can be nearer to `frame` than `partner`, which is of that stream."""
        own = self._streams[stream]
        if partner.aligned_ns >= frame.aligned_ns or own.frames[-1] is not partner:
            return True
        following = own.time.earliest_next() if self.predict else None
        return following is not None and following - frame.aligned_ns >= frame.aligned_ns - partner.aligned_ns

    def _drop(self, stream: str, count: int) -> None:
        """Drop the `count` oldest frames of a stream."""
        for frame in self._streams[stream].remove(count):
            near = self._streams[OTHER[stream]].nearest(frame.aligned_ns, self.tolerance_ns)
            self._count(stream, "superseded" if near else "no_partner")

    def _count(self, stream: str, reason: str) -> None:
        self.counters.dropped[stream][reason] += 1
