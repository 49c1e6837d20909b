"""The policies `approximate` and `exact`: those of message_filters."""

from __future__ import annotations

import logging
from functools import partial
from types import SimpleNamespace
from typing import Any

from sartm_ros.errors import ParameterError
from sartm_ros.installed import distro_package
from sartm_ros.pairing.nearest import NS, OTHER, RGB, STREAMS, THERMAL, Counters, Pair
from sartm_ros.pairing.timeline import Frame, Timeline, Verdict, queue_room

LAST_STAMP_NS = 2**31 * NS - 1
"""The newest time a ROS message can carry (its seconds are an int32)."""
NEVER_NS = -(2**63)
"""Older than any stamp."""
SLOP_MARGIN_S = 2e-9
"""message_filters takes only a skew strictly under its slop; this makes our tolerance inclusive."""
_LOG = logging.getLogger(__name__)


class FilterPairer:
    """message_filters' synchronizers behind our interface: pairs leave after its lock is released, drops are counted.

    Arguments, stamps and counters as in `NearestPairer`, `queue_size` 0 included; policy: "approximate" or "exact" (the
    tolerance is then 0); max_wait means nothing here. message_filters only sees stamps; the frames stay here, so that
    it keeps none alive. A frame counts as superseded when a newer pair has left or message_filters spent it on a frame
    that is gone, and as no_partner when the queue is full. Every backward jump clears everything: there is no suspect
    frame here.
    """

    def __init__(
        self, policy: str, tolerance: float, queue_size: int = 0, rgb_offset: float = 0.0, thermal_offset: float = 0.0,
        max_wait: float = 0.0,
    ) -> None:  # fmt: skip
        try:
            import message_filters
            from builtin_interfaces.msg import Time
        except ImportError:
            raise ParameterError(
                f"sync.policy: got '{policy}', which needs message_filters, and that is not installed; "
                f"use 'nearest'; or {distro_package('message_filters')}"
            ) from None
        self._filters, self._time_message = message_filters, Time
        self.policy = policy
        self._tolerance = tolerance if policy == "approximate" else 0.0
        self._queue_size = queue_size
        self._offset_ns = {RGB: round(rgb_offset * NS), THERMAL: round(thermal_offset * NS)}
        self._shift_ns = -min(0, *self._offset_ns.values())  # keeps what message_filters sees from being negative
        self.counters = Counters()
        self._reset()

    def push(self, stream: str, stamp_ns: int, item: Any, now: float) -> list[Pair]:
        """Hand one frame's stamp to message_filters and return the pairs it made."""
        frame = Frame(stamp_ns, stamp_ns + self._offset_ns[stream], item, now)
        self.counters.received[stream] += 1
        if not self._place(stream, frame):
            self.counters.dropped[stream]["too_old"] += 1
            return []
        key = self._key(frame)
        waiting, room = self._waiting[stream], self._room()
        waiting[key] = frame
        while len(waiting) > room:  # the same frame that message_filters drops
            del waiting[min(waiting)]
            self.counters.dropped[stream]["no_partner"] += 1
        return [pair for r, t in self._signal(stream, key, room) if (pair := self._emit(r, t))]

    def poll(self, now: float) -> list[Pair]:
        """These policies never wait."""
        return []

    def deadline(self) -> float | None:
        """These policies never wait."""
        return None

    def clear(self, reason: str) -> None:
        """Start over with empty queues; see `NearestPairer.clear`."""
        for stream in STREAMS:
            self.counters.dropped[stream][reason] += self.held(stream)
        if reason == "backward_jump":
            self.counters.resets += 1
        self._reset()

    def newest(self, stream: str) -> int | None:
        """Newest stamp (ns, offset added) of a stream."""
        return self._times[stream].newest

    def last(self, stream: str) -> Any:
        """See `NearestPairer.last`."""
        waiting = self._waiting[stream]
        return waiting[max(waiting)].item if waiting else None

    def held(self, stream: str) -> int:
        """Frames of a stream held at the moment."""
        return len(self._waiting[stream])

    def __len__(self) -> int:
        """Frames held at the moment, both streams."""
        return sum(map(self.held, STREAMS))

    def _reset(self) -> None:
        self._inputs = {s: self._filters.SimpleFilter() for s in STREAMS}
        self._times = {s: Timeline() for s in STREAMS}
        self._waiting: dict[str, dict[int, Frame]] = {s: {} for s in STREAMS}
        self._paired = dict.fromkeys(STREAMS, NEVER_NS)
        self._made: list[tuple[int, int]] = []
        inputs = list(self._inputs.values())
        if self.policy == "exact":
            self._sync = self._filters.TimeSynchronizer(inputs, self._room())
        else:
            slop = self._tolerance + SLOP_MARGIN_S
            self._sync = self._filters.ApproximateTimeSynchronizer(inputs, self._room(), slop)
        made = self._made
        self._sync.registerCallback(lambda r, t: made.append((r.key, t.key)))

    def _place(self, stream: str, frame: Frame) -> bool:
        """Note the frame's time, start over if time went back; False when the frame is too old to be of use."""
        time = self._times[stream]
        verdict = time.judge(frame)
        if verdict is Verdict.LATE:
            if frame.aligned_ns > self._paired[stream] and self._key(frame) not in self._waiting[stream]:
                return True
            if not time.restarted(frame.aligned_ns):
                return False
        if time.newest is not None and frame.aligned_ns <= time.newest:
            self.clear("backward_jump")
        if verdict is Verdict.NEXT:
            time.go_on(frame)
        else:
            self._times[stream].restart(frame)  # a new object after `clear`
        return self._key(frame) not in self._waiting[stream]

    def _key(self, frame: Frame) -> int:
        """The stamp that message_filters is shown, within what a message can carry."""
        return min(max(frame.aligned_ns + self._shift_ns, 0), LAST_STAMP_NS)

    def _room(self) -> int:
        if self._queue_size:
            return self._queue_size
        return max(queue_room(self._times[s], self._times[OTHER[s]], self._tolerance) for s in STREAMS)

    def _signal(self, stream: str, key: int, room: int) -> list[tuple[int, int]]:
        """Show one stamp to message_filters and return the stamps it matched."""
        seconds, nanoseconds = divmod(key, NS)
        header = SimpleNamespace(stamp=self._time_message(sec=seconds, nanosec=nanoseconds))
        self._sync.queue_size = room
        try:
            self._inputs[stream].signalMessage(SimpleNamespace(header=header, key=key))
        except Exception:  # its lock stays taken for ever
            _LOG.exception(
                "sync.policy %s: message_filters failed; its queues are dropped, pairing goes on", self.policy
            )
            self.clear("no_partner")
        made = self._made[:]
        self._made.clear()
        return made

    def _emit(self, rgb_key: int, thermal_key: int) -> Pair | None:
        """Make a pair of two matched stamps, unless one frame is gone already or they are not what was asked for."""
        r, t = self._waiting[RGB].pop(rgb_key, None), self._waiting[THERMAL].pop(thermal_key, None)
        skew = t.aligned_ns - r.aligned_ns if r and t else 0
        if r is None or t is None or abs(skew) > round(self._tolerance * NS):
            for stream, frame in ((RGB, r), (THERMAL, t)):
                self.counters.dropped[stream]["superseded"] += frame is not None
            return None
        for stream, used in ((RGB, r), (THERMAL, t)):
            self._paired[stream] = used.aligned_ns
            waiting = self._waiting[stream]
            for key in [k for k, frame in waiting.items() if frame.aligned_ns < used.aligned_ns]:
                del waiting[key]
                self.counters.dropped[stream]["superseded"] += 1
        self.counters.pairs += 1
        self.counters.skews_ns.append(skew)
        return Pair(r.item, t.item, r.stamp_ns, t.stamp_ns, skew)


approximate, exact = (partial(FilterPairer, policy) for policy in ("approximate", "exact"))
