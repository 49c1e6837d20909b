"""Which cameras are alive, what the node can do with them, and why nothing pairs. Plain Python.

Silence is measured by the steady clock (when frames arrived), skew by stamps alone; the two never mix.
"""

from __future__ import annotations

import statistics
from collections import deque
from dataclasses import dataclass, field
from itertools import pairwise

from sartm_ros.pairing import OTHER, RGB, STREAMS, THERMAL

NS = 1_000_000_000
RATE_WINDOW_S = 5.0
CLOCKS_APART_S = 10.0
SKEW_SAMPLES = 16
PERIOD_SAMPLES = 8
MISSED_PERIODS = 2.5
BOTH, NONE = "both", "none"


class Throttle:
    """Lets a message of a key through once per `period` seconds."""

    def __init__(self, period: float) -> None:
        self.period = period
        self._last: dict[str, float] = {}

    def ready(self, key: str, now: float) -> bool:
        """Whether `key` may speak at `now` (monotonic seconds); if so, it has spoken."""
        if now - self._last.get(key, -self.period) < self.period:
            return False
        self._last[key] = now
        return True


@dataclass
class Vitals:
    """What arrived on one stream: counts, times (monotonic s), and the header stamps (ns) of the last good frames."""

    good: int = 0
    bad: int = 0
    last_error: str = ""
    last_good: float | None = None
    last_refused: float | None = None
    arrivals: deque[float] = field(default_factory=lambda: deque(maxlen=256))
    stamps_ns: deque[int] = field(default_factory=lambda: deque(maxlen=SKEW_SAMPLES))
    format: str = ""

    def saw(self, now: float, stamp_ns: int, frame_format: str) -> None:
        """Note a usable frame."""
        self.good += 1
        self.last_good = now
        self.arrivals.append(now)
        self.stamps_ns.append(stamp_ns)
        self.format = frame_format

    def refused(self, error: str, now: float) -> None:
        """Note a frame that cannot be used."""
        self.bad += 1
        self.last_refused = now
        self.last_error = error

    def rate(self, now: float) -> float:
        """Usable frames a second over the last `RATE_WINDOW_S`."""
        recent = [a for a in self.arrivals if now - a <= RATE_WINDOW_S]
        return (len(recent) - 1) / (now - recent[0]) if len(recent) > 1 and now > recent[0] else 0.0

    def patience(self, least: float) -> float:
        """Seconds without a frame that mean something: `least`, or `MISSED_PERIODS` of a slow camera's periods."""
        recent = list(self.arrivals)[-PERIOD_SAMPLES:]
        periods = [b - a for a, b in pairwise(recent)]
        return max(least, MISSED_PERIODS * statistics.median(periods or [0.0]))  # the median: a gap is no slow camera


class Liveness:
    """Which streams are alive; one is silent when its last usable frame is older than its `Vitals.patience`."""

    def __init__(self, vitals: dict[str, Vitals]) -> None:
        self.vitals = vitals
        self.started = 0.0

    def start(self, now: float) -> None:
        """Silence counts from here at the earliest."""
        self.started = now

    def silent_for(self, stream: str, now: float) -> float:
        """Seconds since the last usable frame, or since the start."""
        last = self.vitals[stream].last_good
        return now - max(self.started, last if last is not None else self.started)

    def mode(self, now: float, timeout: float) -> str:
        """`both`, `rgb` or `thermal` (the only one alive), or `none`. A camera slower than `timeout` gets more time."""
        alive = [s for s in STREAMS if self.silent_for(s, now) <= self.vitals[s].patience(timeout)]
        return BOTH if len(alive) == 2 else alive[0] if alive else NONE

    def heard(self, stream: str) -> bool:
        """Whether the stream has delivered a usable frame since the start."""
        last = self.vitals[stream].last_good
        return last is not None and last >= self.started

    def refusing(self, stream: str, now: float) -> bool:
        """Whether what the stream sent since its last usable frame (or since the start) was refused."""
        last = self.vitals[stream].last_refused
        return last is not None and now - last < self.silent_for(stream, now)


def describe_mode(mode: str, degraded_enabled: bool) -> str:
    """The text of the `state` topic for a mode."""
    if mode == BOTH:
        return "ok"
    if mode == NONE:
        return "no input: rgb and thermal silent"
    return f"{'degraded' if degraded_enabled else 'no masks'}: {OTHER[mode]} silent"


@dataclass(frozen=True)
class Link:
    """What the ROS graph says about one input topic."""

    stream: str
    topic: str
    publishers: int
    wanted_type: str
    other_types: tuple[str, ...] = ()
    incompatible: str = ""
    """Both sides' QoS policies, when they do not match."""
    best_effort: bool = False
    """Some publisher offers best effort only."""
    fastdds: bool = False
    profile_hint: str = ""
    """Path of the shipped Fast DDS profile."""


def explain_silence(link: Link, silent_s: float, vitals: Vitals, heard: bool, refusing: bool) -> str:
    """Why no usable frame comes from one stream, and what to do; `heard` and `refusing` as `Liveness` tells."""
    head = f"{link.stream}: nothing usable on {link.topic} for {silent_s:.1f} s: "
    if link.publishers == 0:
        return head + "no publisher; start the camera or remap the topic (ros2 topic list)"
    if link.other_types and link.wanted_type not in link.other_types:
        return head + (
            f"it carries {', '.join(link.other_types)}, this node expects {link.wanted_type}; "
            f"set {link.stream}_transport to raw or compressed accordingly"
        )
    if link.incompatible:
        return head + f"{link.incompatible}; set qos.{link.stream}.reliability to match"
    if refusing:
        return head + f"it sends, but every message is refused: {vitals.last_error}"
    if heard or vitals.good:
        return head + f"{link.publishers} publisher(s) present but stopped sending"
    text = head + f"{link.publishers} publisher(s) present but no message arrives"
    if link.best_effort and link.fastdds:
        text += (
            "; if its images are above 0.5 MB, Fast DDS's default shared memory loses them silently: start "
            f"the camera with FASTDDS_DEFAULT_PROFILES_FILE={link.profile_hint or 'config/fastdds.xml of sartm_ros'}"
        )
    return text


def skews(rgb_ns: deque[int], thermal_ns: deque[int]) -> list[int]:
    """Signed time from each recent frame of the slower list to its nearest one of the other, thermal minus rgb, ns."""
    if not rgb_ns or not thermal_ns:
        return []
    if len(thermal_ns) <= len(rgb_ns):
        return [min((t - r for r in rgb_ns), key=abs) for t in thermal_ns]
    return [min((t - r for t in thermal_ns), key=abs) for r in rgb_ns]


def explain_skew(vitals: dict[str, Vitals], tolerance_s: float, offsets_s: dict[str, float]) -> str:
    """Why two living streams give no pair: their stamps; empty when the stamps do not explain it.

    offsets_s: the configured `sync.*_offset` by stream, seconds; the new one that is advised replaces thermal's.
    """
    aligned = {s: deque(stamp + round(offsets_s[s] * NS) for stamp in vitals[s].stamps_ns) for s in STREAMS}
    found = skews(aligned[RGB], aligned[THERMAL])
    if not found:
        return ""
    least = min(map(abs, found)) / NS
    median = statistics.median(found) / NS
    if least <= tolerance_s:
        return ""
    text = (
        f"rgb and thermal stamps differ by {least * 1e3:.1f} ms at least, {abs(median) * 1e3:.1f} ms in the median"
        f"{' after the configured offsets' if any(offsets_s.values()) else ''}; "
        f"sync.tolerance is {tolerance_s * 1e3:.1f} ms"
    )
    if abs(median) > CLOCKS_APART_S:
        zero = [s for s in STREAMS if vitals[s].stamps_ns[-1] == 0]
        cause = f"{zero[0]} stamps are zero" if zero else "the cameras' clocks are apart"
        return f"{text}: {cause}; synchronise them (NTP, PTP, driver option)"
    spread = (max(found) - min(found)) / NS
    if spread <= tolerance_s:
        advised = offsets_s[THERMAL] - median
        return f"{text}: the difference is constant, sync.thermal_offset: {advised:.3f} would remove it"
    return f"{text}: raise sync.tolerance or synchronise the cameras"
