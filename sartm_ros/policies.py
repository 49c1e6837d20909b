"""`sync.policy` made into an object: `nearest` is ours, `approximate` and `exact` are those of message_filters."""

from __future__ import annotations

from collections import OrderedDict
from types import SimpleNamespace
from typing import Any, Protocol

from sartm_ros.pairing import BACKWARD_JUMP_S, NS, RGB, STREAMS, THERMAL, Counters, NearestPairer, Pair
from sartm_ros.parameters import ParameterError


class Pairer(Protocol):
    """What the node needs of a policy; see `NearestPairer` for the meaning."""

    policy: str
    counters: Counters

    def push(self, stream: str, stamp_ns: int, item: Any, now: float) -> list[Pair]: ...
    def poll(self, now: float) -> list[Pair]: ...
    def deadline(self) -> float | None: ...
    def clear(self, reason: str) -> None: ...


def make_pairer(values: dict[str, Any]) -> Pairer:
    """Build the pairing object from the node's parameters. Raises ParameterError when message_filters is missing."""
    policy = values["sync.policy"]
    arguments = {k: values[f"sync.{k}"] for k in ("tolerance", "queue_size", "rgb_offset", "thermal_offset")}
    if policy == "nearest":
        return NearestPairer(max_wait=values["sync.max_wait"], **arguments)
    return FilterPairer(policy, **arguments)


class FilterPairer:
    """message_filters' synchronizers behind our interface: pairs leave after its lock is released, drops are counted.

    Stamps (ns) and tolerance (s) as in `NearestPairer`. A frame counts as superseded when a newer pair has left and as
    no_partner when the queue overflows.
    """

    def __init__(
        self, policy: str, tolerance: float, queue_size: int, rgb_offset: float = 0.0, thermal_offset: float = 0.0
    ) -> None:
        try:
            import message_filters
        except ImportError:
            raise ParameterError(
                f"sync.policy: got '{policy}', which needs message_filters, and that is not installed; "
                "use 'nearest', or apt install ros-$ROS_DISTRO-message-filters"
            ) from None
        self._filters = message_filters
        self.policy = policy
        self._tolerance = tolerance
        self._queue_size = queue_size
        self._offset_ns = {RGB: round(rgb_offset * NS), THERMAL: round(thermal_offset * NS)}
        self.counters = Counters()
        self._made: list[tuple[Any, Any]] = []
        self._reset()

    def push(self, stream: str, stamp_ns: int, item: Any, now: float) -> list[Pair]:
        """Hand one frame to message_filters and return the pairs it made."""
        from rclpy.time import Time

        aligned = stamp_ns + self._offset_ns[stream]
        self.counters.received[stream] += 1
        if aligned < self._newest.get(stream, aligned):
            if self._newest[stream] - aligned <= BACKWARD_JUMP_S * NS:
                self.counters.dropped[stream]["too_old"] += 1
                return []
            self.clear("backward_jump")
            self.counters.resets += 1
        self._newest[stream] = aligned
        waiting = self._waiting[stream]
        waiting[stamp_ns] = None
        if len(waiting) > self._queue_size:
            waiting.popitem(last=False)
            self.counters.dropped[stream]["no_partner"] += 1
        header = SimpleNamespace(stamp=Time(nanoseconds=max(aligned, 0)).to_msg())
        self._inputs[stream].signalMessage(SimpleNamespace(header=header, item=item, stamp_ns=stamp_ns))
        made, self._made = self._made, []
        return [pair for r, t in made if (pair := self._emit(r, t))]

    def poll(self, now: float) -> list[Pair]:
        """These policies never wait."""
        return []

    def deadline(self) -> float | None:
        """These policies never wait."""
        return None

    def clear(self, reason: str) -> None:
        """Start over with empty queues."""
        for stream in STREAMS:
            self.counters.dropped[stream][reason] += len(self._waiting[stream])
        self._reset()

    def _reset(self) -> None:
        self._inputs = {s: self._filters.SimpleFilter() for s in STREAMS}
        self._newest: dict[str, int] = {}
        self._waiting: dict[str, OrderedDict[int, None]] = {s: OrderedDict() for s in STREAMS}
        self._made.clear()
        self._emitted = -(2**63)  # no stamp is older
        inputs = list(self._inputs.values())
        if self.policy == "exact":
            self._sync = self._filters.TimeSynchronizer(inputs, self._queue_size)
        else:
            self._sync = self._filters.ApproximateTimeSynchronizer(inputs, self._queue_size, self._tolerance)
        self._sync.registerCallback(lambda r, t: self._made.append((r, t)))

    def _emit(self, r: Any, t: Any) -> Pair | None:
        if r.stamp_ns <= self._emitted:  # message_filters may find an older pair after a newer one
            for stream in STREAMS:
                self.counters.dropped[stream]["superseded"] += 1
            return None
        self._emitted = r.stamp_ns
        for stream, used in ((RGB, r), (THERMAL, t)):
            waiting = self._waiting[stream]
            waiting.pop(used.stamp_ns, None)
            for stamp in [s for s in waiting if s < used.stamp_ns]:
                del waiting[stamp]
                self.counters.dropped[stream]["superseded"] += 1
        skew = t.stamp_ns + self._offset_ns[THERMAL] - r.stamp_ns - self._offset_ns[RGB]
        self.counters.pairs += 1
        self.counters.skews_ns.append(skew)
        return Pair(r.item, t.item, r.stamp_ns, t.stamp_ns, skew)
