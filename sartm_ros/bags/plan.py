"""Which frames of a recording belong together: decided by their stamps alone, before any picture is read.

A file is not a live stream. All stamps are known beforehand, so frames go to the node's `NearestPairer` in the order of
their stamps, whatever the order that they were written in: mutually nearest frames within the tolerance pair. What is
kept of a frame are five numbers.

Where time went back in both topics (a bag or simulation that started again while it was recorded) each stretch is
paired for itself.
"""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sartm_ros.bags import skew
from sartm_ros.bags.reading import Bag
from sartm_ros.bags.storage import BagError, Place
from sartm_ros.bags.topics import Topics
from sartm_ros.pairing.nearest import NS, RGB, STREAMS, THERMAL, Counters, NearestPairer
from sartm_ros.pairing.timeline import BACKWARD_JUMP_S

ZERO = "zero_stamp"
"""Why a frame was not paired, beside the node's reasons."""
GAP_S = 0.5
"""Frames farther apart than this, and twice the tolerance, have nothing to do with each other."""
LEAST_STRETCH, RISING = 5, 0.8
"""Between two starts of time are so many frames at least, this share of them in order; else all is disorder."""
STANDING = 0.5
"""Where this share of the stamps is the one of the frame before, they are not those of the frames."""
COLUMNS = 5


@dataclass
class Frames:
    """The frames of a topic, in the order of recording."""

    rows: array[int] = field(default_factory=lambda: array("q"))

    def add(self, logged_ns: int, stamp_ns: int, place: Place) -> None:
        self.rows.extend((logged_ns, stamp_ns, *place))

    @property
    def table(self) -> np.ndarray:
        """(N, 5) int64: recorded, stamp, part, first, second."""
        return np.frombuffer(self.rows, np.int64).reshape(-1, COLUMNS)

    @property
    def logged_ns(self) -> np.ndarray:
        return self.table[:, 0]

    @property
    def stamp_ns(self) -> np.ndarray:
        return self.table[:, 1]

    def __len__(self) -> int:
        return len(self.rows) // COLUMNS

    def place(self, number: int) -> Place:
        return Place(*map(int, self.table[number, 2:]))


@dataclass(frozen=True, eq=False)
class Plan:
    """The pairs of a recording, oldest first."""

    frames: dict[str, Frames]
    """Of both streams."""
    pairs: np.ndarray
    """(P, 2) int64: number of the rgb frame, number of the thermal frame."""
    skew_ns: np.ndarray
    """(P,) int64: thermal minus rgb, after the offsets."""
    counters: Counters
    problems: tuple[str, ...] = ()
    """What is wrong with the stamps."""
    times: tuple[skew.Times, skew.Times] = ((), ())
    """(Recorded s, ns) of both streams' frames that have a stamp to pair by; of rgb its offset is added."""
    thermal_offset_s: float = 0.0
    """The one used."""

    @property
    def in_order(self) -> bool:
        """Whether the pairs are complete one after the other when the recording is read as it is."""
        return all(bool((np.diff(self.pairs[:, side]) > 0).all()) for side in (0, 1))

    def offset(self, tolerance_s: float) -> skew.Offset | None:
        """The constant offset of thermal stamps that brings both streams together; None where none does."""
        return skew.fixing_offset(*self.times, tolerance_s)


def read_frames(bag: Bag, topics: Topics, tick: Any = None) -> dict[str, Frames]:
    """The stamps and places of both topics' frames; of storages that allow it without the pictures."""
    frames = {stream: Frames() for stream in STREAMS}
    for topic, logged_ns, stamp_ns, place in bag.stamps(topics.both):
        frames[topics.stream(topic)].add(logged_ns, stamp_ns, place)
        if tick:
            tick()
    return frames


def make_pairer(values: dict[str, Any]) -> NearestPairer:
    """From the node's parameters `sync.*`; queue and waiting are those of a file. BagError for a value it refuses."""
    try:
        return NearestPairer(
            tolerance=values["sync.tolerance"],
            max_wait=2 * values["sync.tolerance"],
            rgb_offset=values["sync.rgb_offset"],
            thermal_offset=values["sync.thermal_offset"],
            predict=False,
        )
    except ValueError as error:
        raise BagError(f"sync: {error}") from error


def make_plan(frames: dict[str, Frames], topics: Topics, values: dict[str, Any]) -> Plan:
    """Pair the frames by their stamps, or by their time of recording where `values` say `log_time`."""
    pairer, by_log = make_pairer(values), bool(values.get("log_time"))
    times = {s: frames[s].logged_ns if by_log else frames[s].stamp_ns for s in STREAMS}
    usable = {s: np.ones(len(frames[s]), bool) for s in STREAMS}
    problems = []
    if not by_log:
        for stream, topic in zip(STREAMS, topics.both, strict=True):
            usable[stream], problem = check_stamps(topic, times[stream])
            problems += [problem] if problem else []
    numbers = {s: np.flatnonzero(usable[s]) for s in STREAMS}
    stretches = in_stretches(*(times[s][numbers[s]] for s in STREAMS))
    found: list[Any] = []
    for parts in stretches:
        chosen = {s: numbers[s][part] for s, part in zip(STREAMS, parts, strict=True)}
        found += pair_sorted(pairer, {s: (chosen[s], times[s][chosen[s]]) for s in STREAMS})
    for stream in STREAMS:
        unusable = int(len(frames[stream]) - len(numbers[stream]))
        pairer.counters.received[stream] += unusable
        if unusable:
            pairer.counters.dropped[stream][ZERO] = unusable
    pairer.counters.resets = len(stretches) - 1
    pairs = np.array([(p.rgb, p.thermal) for p in found], np.int64).reshape(-1, 2)
    skews = np.array([p.skew_ns for p in found], np.int64)
    seen = [
        skew.timed(frames[s].logged_ns[numbers[s]], times[s][numbers[s]] + (pairer.offset_ns[RGB] if s == RGB else 0))
        for s in STREAMS
    ]
    offset_s = pairer.offset_ns[THERMAL] / NS
    return Plan(frames, pairs, skews, pairer.counters, tuple(problems), (seen[0], seen[1]), offset_s)


def check_stamps(topic: str, stamps_ns: np.ndarray) -> tuple[np.ndarray, str]:
    """Which frames have a stamp to pair by, (N,) bool, and what is wrong with the others. One zero may be real."""
    zero = stamps_ns == 0
    usable = ~zero if zero.sum() > 1 or zero.all() else np.ones(len(zero), bool)
    cure = "--log-time pairs by the time of recording"
    if not usable.all():
        return usable, f"{topic}: header stamps are zero in {int(zero.sum())} of {len(zero)} frames; {cure}"
    if len(stamps_ns) > 2 and (np.diff(stamps_ns) == 0).mean() >= STANDING:
        different = len(np.unique(stamps_ns))
        return usable, f"{topic}: header stamps stand still, {different} different in {len(stamps_ns)} frames; {cure}"
    return usable, ""


def in_stretches(rgb_ns: np.ndarray, thermal_ns: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Numbers of the frames of each stretch between two starts of time; one stretch where the topics do not agree."""
    cuts = [restarts(times) for times in (rgb_ns, thermal_ns)]
    if len(cuts[0]) != len(cuts[1]):
        cuts = [[], []]
    parts = [np.split(np.arange(len(times)), at) for times, at in zip((rgb_ns, thermal_ns), cuts, strict=True)]
    return list(zip(*parts, strict=True))


def restarts(times_ns: np.ndarray) -> list[int]:
    """Numbers of the frames at which time starts from an earlier point and goes on from there.

    One odd stamp is no restart (the next one goes on from before), nor is disorder.
    """
    back = round(BACKWARD_JUMP_S * NS)
    jumps = np.flatnonzero(np.diff(times_ns) < -back) + 1
    found = [
        int(k)
        for k in jumps
        if (k + 1 == len(times_ns) or times_ns[k + 1] < times_ns[k - 1] - back)
        and (k < 2 or times_ns[k - 2] > times_ns[k])
    ]
    stretches = np.split(times_ns, found)
    sound = all(len(s) >= LEAST_STRETCH and (np.diff(s) >= 0).mean() >= RISING for s in stretches)
    return found if found and sound else []


def pair_sorted(pairer: NearestPairer, streams: dict[str, tuple[np.ndarray, np.ndarray]]) -> list[Any]:
    """The pairs of one stretch. streams: numbers and times (N,) int64 ns of the frames, in any order."""
    numbers = np.concatenate([streams[s][0] for s in STREAMS])
    times = np.concatenate([streams[s][1] for s in STREAMS])
    aligned = np.concatenate([streams[s][1] + pairer.offset_ns[s] for s in STREAMS])
    thermal = np.arange(len(numbers)) >= len(streams[RGB][0])
    gap = max(round(GAP_S * NS), 2 * pairer.tolerance_ns)
    pairs: list[Any] = []
    last = None
    for k in np.argsort(aligned, kind="stable"):
        now = int(aligned[k])
        if last is not None and now - last > gap:
            pairs += rest(pairer)
        pairs += pairer.poll(now / NS)
        pairs += pairer.push(THERMAL if thermal[k] else RGB, int(times[k]), int(numbers[k]), now / NS)
        last = now
    return pairs + rest(pairer)


def rest(pairer: NearestPairer) -> list[Any]:
    """What may still pair when no more frames come near; then forget these times."""
    pairs = pairer.poll(math.inf)
    pairer.clear("no_partner")
    return pairs
