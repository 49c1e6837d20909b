"""The pairs of a recording: planned by stamps (`plan`), their pictures read where they are needed."""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from sartm_ros.bags.plan import Plan, make_plan, read_frames
from sartm_ros.bags.reading import Bag, Message
from sartm_ros.bags.skew import WARNED_SHARE, advice
from sartm_ros.bags.storage import BagError, Connection
from sartm_ros.bags.topics import Topics
from sartm_ros.frames.images import Incoming, parse
from sartm_ros.node.settings import Settings
from sartm_ros.pairing.nearest import OTHER, RGB, STREAMS, THERMAL, Counters

log = logging.getLogger(__name__)
HELD = 8
"""The last so many frames stay in memory for a partner that follows; earlier ones are read again."""


@dataclass(frozen=True, eq=False)
class BagPair:
    """An rgb and a thermal frame that belong together."""

    index: int
    """0 for the first pair of the recording."""
    rgb: Incoming
    thermal: Incoming
    skew_ns: int
    """Thermal minus rgb stamp, after the offsets."""
    logged_ns: int
    """When the later one of the two was recorded."""


class Pairing:
    """Messages of both cameras in, in the order they were recorded; pairs out, each with the later of its frames."""

    def __init__(
        self, bag: Bag, topics: Topics, values: dict[str, Any], settings: Settings, plan: Plan | None = None
    ) -> None:
        """plan: made when it is needed, where it is not given."""
        self.bag, self.topics, self._settings, self._values = bag, topics, settings, values
        self.tolerance_s = float(values["sync.tolerance"])
        self.spoiled: Counter[str] = Counter()
        """Frames that could not be used, by topic."""
        self.first_problem = ""
        self.warnings: set[str] = set()
        """What is doubtful about frames that are used all the same."""
        self._next = dict.fromkeys(STREAMS, 0)
        self._seen: dict[str, np.ndarray] = {}
        self._held: OrderedDict[tuple[str, int], tuple[Incoming, int]] = OrderedDict()
        self._kinds: dict[str, Connection] = {}
        if plan is not None:
            self.plan = plan

    @cached_property
    def plan(self) -> Plan:
        """Which frames belong together."""
        return make_plan(read_frames(self.bag, self.topics), self.topics, self._values)

    @cached_property
    def _pair_of(self) -> dict[str, np.ndarray]:
        """Of each frame the number of its pair, -1 where it has none. (N,) int64."""
        numbers = {s: np.full(len(self.plan.frames[s]), -1, np.int64) for s in STREAMS}
        for side, stream in enumerate(STREAMS):
            numbers[stream][self.plan.pairs[:, side]] = np.arange(len(self.plan.pairs))
        return numbers

    @property
    def counters(self) -> Counters:
        """What was paired and what not, as the node's pairer counts."""
        return self.plan.counters

    @property
    def problems(self) -> list[str]:
        """What is wrong with the stamps; the constant offset that would help."""
        offset, used_s = self.plan.offset(self.tolerance_s), self.plan.thermal_offset_s
        if offset is None or abs(offset.seconds - used_s) < WARNED_SHARE * self.tolerance_s:
            return list(self.plan.problems)
        return [*self.plan.problems, advice(offset, self.tolerance_s, used_s)]

    def check(self, message: Message) -> Incoming | None:
        """The frame in a message of one of the two topics; None when it cannot be used, which is counted."""
        try:
            stream = self.topics.stream(message.topic)
            frame = parse(self.bag.decode(message), stream, message.topic, self._settings.crop)
        except ValueError as error:
            self.spoil(message.topic, error)
            return None
        if frame.warning:
            self.warnings.add(f"{message.topic}: {frame.warning}")
        return frame

    def push(self, message: Message) -> list[BagPair]:
        """The pair, if any, whose second frame is in this message of one of the two topics."""
        frame, stream = self.check(message), self.topics.stream(message.topic)
        number = self._number(stream, message)
        if number is None or frame is None:
            return []
        self._kinds[stream] = message.connection
        self._seen.setdefault(stream, np.zeros(len(self._pair_of[stream]), bool))[number] = True
        index = int(self._pair_of[stream][number])
        if index < 0:
            return []
        other = OTHER[stream]
        partner = int(self.plan.pairs[index, STREAMS.index(other)])
        if other not in self._seen or not self._seen[other][partner]:
            self._hold((stream, number), (frame, message.logged_ns))
            return []
        there = self._held.pop((other, partner), None) or self._again(other, partner)
        return [] if there is None else [self._pair(index, {stream: (frame, message.logged_ns), other: there})]

    def at(self, index: int) -> BagPair | None:
        """A pair, its frames read from where they lie; None when one of them cannot be used, which is counted."""
        found = [self._again(s, int(number)) for s, number in zip(STREAMS, self.plan.pairs[index], strict=True)]
        if found[0] is None or found[1] is None:
            return None
        return self._pair(index, {RGB: found[0], THERMAL: found[1]})

    def spoil(self, topic: str, error: Exception) -> None:
        """Count a frame that cannot be used and keep why the first one could not."""
        self.spoiled[topic] += 1
        self.first_problem = self.first_problem or str(error)
        log.debug("%s", error)

    def why_none(self) -> str:
        """Why there is no pair, in one sentence."""
        path, problem = self.bag.path, f"; first problem: {self.first_problem}" if self.first_problem else ""
        problem += "".join(f"; {text}" for text in self.plan.problems)
        problem += "".join(f"; {fault.text}" for fault in self.bag.faults if fault.lost)
        if self.counters.pairs:
            return f"{path}: none of {self.counters.pairs} pairs could be used{problem}"
        received = zip(self.topics.both, (self.counters.received[s] for s in STREAMS), strict=True)
        frames = ", ".join(f"{count - self.spoiled[topic]} usable frames of {topic}" for topic, count in received)
        return (
            f"{path}: no pairs within {self.tolerance_s * 1e3:g} ms: {frames}{problem}; `info` tells how far "
            "the stamps are apart and which --thermal-offset would pair them"
        )

    def _number(self, stream: str, message: Message) -> int | None:
        """Which of the stream's frames it is; they come in the order of the plan unless some could not be read."""
        number, frames = self._next[stream], self.plan.frames[stream]
        if number >= len(frames) or frames.place(number) != message.place:
            same = np.flatnonzero((frames.table[:, 2:] == message.place).all(1))
            if not len(same):
                return None
            number = int(same[0])
        self._next[stream] = number + 1
        return number

    def _hold(self, key: tuple[str, int], frame: tuple[Incoming, int]) -> None:
        self._held[key] = frame
        if len(self._held) > HELD:
            self._held.popitem(last=False)

    def _again(self, stream: str, number: int) -> tuple[Incoming, int] | None:
        """A frame and when it was recorded, from where it lies."""
        frames = self.plan.frames[stream]
        logged_ns, topic = int(frames.logged_ns[number]), self.topics.both[STREAMS.index(stream)]
        if stream not in self._kinds:
            kind = self.bag.images[topic]
            self._kinds[stream] = next(c for c in self.bag.connections if (c.topic, c.msgtype) == (topic, kind))
        try:
            message = self.bag.read(frames.place(number), self._kinds[stream], logged_ns)
        except BagError as error:
            self.spoil(topic, error)
            return None
        frame = self.check(message)
        return None if frame is None else (frame, logged_ns)

    def _pair(self, index: int, frames: dict[str, tuple[Incoming, int]]) -> BagPair:
        (rgb, first_ns), (thermal, second_ns) = frames[RGB], frames[THERMAL]
        return BagPair(index, rgb, thermal, int(self.plan.skew_ns[index]), max(first_ns, second_ns))


def all_pairs(pairing: Pairing, tick: Any = None) -> Iterator[BagPair]:
    """Every pair of the recording by time; `tick` is called once a message where they are read one after the other."""
    if not pairing.plan.in_order:
        yield from filter(None, map(pairing.at, range(len(pairing.plan.pairs))))
        return
    for message in pairing.bag.messages(pairing.topics.both):
        yield from pairing.push(message)
        if tick:
            tick()
