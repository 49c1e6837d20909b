"""The frames of a recording paired as the node does it: same checks, same `NearestPairer`, time of recording as now."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sartm_ros.bags.reading import Bag, BagError, Message
from sartm_ros.bags.topics import Topics
from sartm_ros.frames.images import Incoming, parse
from sartm_ros.node.settings import Settings
from sartm_ros.pairing.nearest import NS, STREAMS, NearestPairer

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class BagPair:
    """An rgb and a thermal frame that belong together."""

    index: int
    """0 for the first pair of the recording."""
    rgb: Incoming
    thermal: Incoming
    skew_ns: int
    """Thermal minus rgb stamp, after the offsets."""
    recorded_ns: tuple[int, int]
    """When the two were recorded."""

    @property
    def logged_ns(self) -> int:
        """When the later one of the two was recorded."""
        return max(self.recorded_ns)


def make_pairer(values: dict[str, Any]) -> NearestPairer:
    """From the node's parameters `sync.*`. BagError for a value it refuses."""
    try:
        return NearestPairer(
            tolerance=values["sync.tolerance"],
            max_wait=values["sync.max_wait"],
            queue_size=values["sync.queue_size"],
            rgb_offset=values["sync.rgb_offset"],
            thermal_offset=values["sync.thermal_offset"],
        )
    except ValueError as error:
        raise BagError(f"sync: {error}") from error


class Pairing:
    """Messages of both cameras in, in the order they were recorded; pairs out."""

    def __init__(self, bag: Bag, topics: Topics, values: dict[str, Any], settings: Settings) -> None:
        self._bag, self.topics, self._settings = bag, topics, settings
        self.tolerance_s = float(values["sync.tolerance"])
        self.pairer = make_pairer(values)
        self.spoiled: Counter[str] = Counter()
        """Frames that could not be used, by topic."""
        self.first_problem = ""

    def push(self, message: Message) -> list[BagPair]:
        """The pairs that leave before or with this message of one of the two topics, oldest first."""
        now = message.logged_ns / NS
        pairs = self.pairer.poll(now)
        stream = self.topics.stream(message.topic)
        try:
            frame = parse(self._bag.decode(message), stream, message.topic, self._settings.crop)
        except ValueError as error:
            self.spoil(message.topic, error)
        else:
            pairs += self.pairer.push(stream, frame.stamp_ns, (frame, message.logged_ns), now)
        return self._made(pairs)

    def rest(self) -> list[BagPair]:
        """The recording is over: no better partner will come."""
        return self._made(self.pairer.poll(math.inf))

    def spoil(self, topic: str, error: Exception) -> None:
        """Count a frame that cannot be used and keep why the first one could not."""
        self.spoiled[topic] += 1
        self.first_problem = self.first_problem or str(error)
        log.debug("%s", error)

    def why_none(self) -> str:
        """Why there is no pair, in one sentence."""
        received = dict(zip(self.topics.both, (self.pairer.counters.received[s] for s in STREAMS), strict=True))
        frames = ", ".join(f"{count} usable frames of {topic}" for topic, count in received.items())
        problem = f"; first problem: {self.first_problem}" if self.first_problem else ""
        if self.pairer.counters.pairs:
            return f"{self._bag.path}: none of {self.pairer.counters.pairs} pairs could be used{problem}"
        return (
            f"{self._bag.path}: no pairs within {self.tolerance_s * 1e3:g} ms: {frames}{problem}; `info` tells how far "
            "the stamps are apart and which --thermal-offset would pair them"
        )

    def _made(self, pairs: list[Any]) -> list[BagPair]:
        made = []
        for place, pair in enumerate(pairs, start=self.pairer.counters.pairs - len(pairs)):
            (rgb, first_ns), (thermal, second_ns) = pair.rgb, pair.thermal
            made.append(BagPair(place, rgb, thermal, pair.skew_ns, (first_ns, second_ns)))
        return made


def all_pairs(bag: Bag, pairing: Pairing, tick: Any = None) -> Iterator[BagPair]:
    """Every pair of the recording; `tick` is called once a message of the two topics."""
    for message in bag.messages(pairing.topics.both):
        yield from pairing.push(message)
        if tick:
            tick()
    yield from pairing.rest()
