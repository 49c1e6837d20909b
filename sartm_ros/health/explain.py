"""Why nothing pairs, and what to do, as one sentence for each cause. Plain Python: numbers in, words out."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from sartm_ros.frames.transport import DEFAULT_SEGMENT_BYTES, variable
from sartm_ros.health.vitals import Vitals
from sartm_ros.pairing import stamps
from sartm_ros.pairing.nearest import OTHER, RGB, STREAMS, THERMAL
from sartm_ros.pairing.stamps import NS

CLOCKS_APART_S = 10.0
"""Stamps that differ by more come from clocks that nobody synchronised."""
JUMP_S = 1.0
"""The difference of the stamps changes by more only where a clock was set; no tolerance is the remedy."""
STAMPS_OFF_S = 5.0
"""Stamps this far from the node's clock are worth a word, where something is wrong anyway."""
LATE_S = 0.25
"""Frames of one camera that arrive so much later than the other one's of the same stamp may miss each other."""
LOSS_SHARE = 0.1
"""Less loss than this share of the frames is left to the diagnostics."""
LOSS_LEAST = 3
"""So many lost messages at least are worth a word."""


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
    candidates: tuple[str, ...] = ()
    """Other topics of the wanted type that somebody publishes."""

    @property
    def start_with_profile(self) -> str:
        """What to do about a camera that sends without the Fast DDS profile."""
        return f"start the camera with {variable()}={self.profile_hint or 'config/fastdds.xml of sartm_ros'}"


def explain_silence(link: Link, silent_s: float, vitals: Vitals, heard: bool, refusing: bool) -> str:
    """Why no usable frame comes from one stream, and what to do; `heard` and `refusing` as `Liveness` tells."""
    head = f"{link.stream}: nothing usable on {link.topic} for {silent_s:.1f} s: "
    if link.publishers == 0:
        if heard:
            return head + "its publisher has gone: the camera's driver, or what replayed a recording, has ended"
        known = ", ".join(link.candidates)
        there = f"such images are on {known}" if known else "nobody publishes such images"
        return head + f"no publisher; start the camera or remap the topic; {there}"
    if link.other_types and link.wanted_type not in link.other_types:
        return head + (
            f"it carries {', '.join(link.other_types)}, this node expects {link.wanted_type}; "
            f"set {link.stream}_transport to raw or compressed accordingly"
        )
    if link.incompatible:
        set_it = f"set qos.{link.stream}.reliability to match" if "reliability" in link.incompatible else ""
        return head + f"{link.incompatible}; {set_it or 'change it at the publisher'}"
    if refusing:
        return head + f"it sends, but every message is refused: {vitals.last_error}"
    lost, received = vitals.recent_loss()
    if lost >= LOSS_LEAST:
        return head + f"{_lost_on_the_way(lost, received)}{_remedy(link, vitals)}"
    if heard:
        return head + f"{link.publishers} publisher(s) present but stopped sending"
    return head + f"{link.publishers} publisher(s) present but no message arrives{_maybe_too_large(link, vitals)}"


def _maybe_too_large(link: Link, vitals: Vitals) -> str:
    """For a camera of which nothing ever came, where the middleware does not count what it loses.

    Where it does, a camera that lost nothing sends nothing, and what is lost is told for sure.
    """
    if vitals.lost is not None or not (link.best_effort and link.fastdds):
        return ""
    return (
        "; if its images are above 0.5 MB, Fast DDS's default shared memory loses them silently: "
        f"{link.start_with_profile}"
    )


def _lost_on_the_way(lost: int, received: int) -> str:
    return f"the middleware lost {lost} of its last {lost + received} messages on the way"


def _remedy(link: Link, vitals: Vitals) -> str:
    size = f", images of {vitals.nbytes:,} bytes" if vitals.nbytes else ""
    if link.fastdds and (not vitals.nbytes or vitals.nbytes > DEFAULT_SEGMENT_BYTES):
        return (
            f"{size}; the publisher probably runs without the Fast DDS profile for images above "
            f"{DEFAULT_SEGMENT_BYTES:,} bytes: {link.start_with_profile}"
        )
    return f"{size}; look at the network, or set reliable QoS at the camera and qos.{link.stream}.reliability: reliable"


def loses_frames(vitals: Vitals) -> bool:
    """Whether enough is lost on the way to say so: by the middleware's own count, where it has one, else by stamps.

    Gaps between stamps alone can also come from the camera or from a busy machine, so they count for large images only.
    """
    if vitals.lost is not None:
        lost, received = vitals.recent_loss()
        return lost >= LOSS_LEAST and lost >= LOSS_SHARE * (lost + received)
    share = stamps.missing_share(list(vitals.stamps_ns))
    return vitals.nbytes > DEFAULT_SEGMENT_BYTES and share is not None and share >= LOSS_SHARE


def explain_loss(link: Link, vitals: Vitals) -> str:
    """That part of a living stream's frames is lost on the way, and what to do; empty when it is not."""
    if not loses_frames(vitals):
        return ""
    if vitals.lost is not None:
        return f"{link.stream}: {_lost_on_the_way(*vitals.recent_loss())} to {link.topic}{_remedy(link, vitals)}"
    share = stamps.missing_share(list(vitals.stamps_ns))
    if share is None or not (link.best_effort and link.fastdds):
        return ""
    return f"about {share:.0%} of {link.stream} frames ({link.topic}) are lost on the way{_remedy(link, vitals)}"


def explain_frozen(stream: str, topic: str, same_s: float, vitals: Vitals) -> str:
    """That a camera repeats one picture."""
    stuck = "" if stamps.advance(list(vitals.stamps_ns)) else ", and its stamps do not advance either"
    return (
        f"{stream}: {topic} sends the same picture for {same_s:.1f} s while the {OTHER[stream]} camera's changes{stuck}"
        "; a shutter (FFC) ends by itself, else restart the camera; frozen_timeout: 0.0 turns this check off"
    )


def explain_unusable(stream: str, vitals: Vitals) -> str:
    """That a camera's frames come, but their content cannot be converted."""
    return f"{stream}: its frames come, but cannot be converted; the last one: {vitals.last_error}"


def explain_recovery(stream: str, topic: str, recovery_s: float) -> str:
    """That a camera which was lost sends again, but is not used yet."""
    return (
        f"{stream}: {topic} sends again; it is used once its pictures come for {recovery_s:g} s without a gap "
        "(degraded.recovery)"
    )


def explain_stamps(vitals: dict[str, Vitals]) -> str:
    """Streams whose own stamps keep them from pairing: zero, or not advancing; empty when there is none."""
    found = []
    for stream in STREAMS:
        latest = list(vitals[stream].stamps_ns)
        if stamps.advance(latest):
            continue
        if latest[-1] == 0:
            found.append(f"{stream} stamps are zero: the camera driver has to fill header.stamp")
        else:
            found.append(
                f"{stream} stamps do not advance (the last is {latest[-1] / NS:.3f} s): the camera driver repeats "
                "frames or fills header.stamp wrongly"
            )
    return "; ".join(found)


def explain_skew(
    vitals: dict[str, Vitals], tolerance_s: float, offsets_s: dict[str, float], clock_ns: int | None = None
) -> str:
    """Why two living streams give no pair: their stamps; empty when the stamps do not explain it.

    offsets_s: the configured `sync.*_offset` by stream, seconds; the new one that is advised replaces thermal's.
    clock_ns: the node's clock, to tell which camera's clock is off.
    """
    rgb, thermal = stamps.same_time(*(_aligned(vitals[s], offsets_s[s]) for s in STREAMS))
    found = stamps.skews([stamp for _, stamp in rgb], [stamp for _, stamp in thermal])
    if not found:
        return ""
    least, median = min(map(abs, found)) / NS, statistics.median(found) / NS
    if least <= tolerance_s:
        return _explain_lag(stamps.lag(rgb, thermal), offsets_s[THERMAL])
    text = (
        f"rgb and thermal stamps differ by {least * 1e3:.1f} ms at least, {abs(median) * 1e3:.1f} ms in the median"
        f"{' after the configured offsets' if any(offsets_s.values()) else ''}; "
        f"sync.tolerance is {tolerance_s * 1e3:.1f} ms"
    )
    if abs(median) > CLOCKS_APART_S:
        zero = [s for s in STREAMS if vitals[s].stamps_ns[-1] == 0]
        cause = f"{zero[0]} stamps are zero" if zero else f"the cameras' clocks are apart{_off(vitals, clock_ns)}"
        return f"{text}: {cause}; synchronise them (NTP, PTP, driver option)"
    spread = (max(found) - min(found)) / NS
    if spread <= tolerance_s:
        advised = offsets_s[THERMAL] - median
        return f"{text}: the difference is constant, sync.thermal_offset: {advised:.3f} would remove it"
    if spread > max(JUMP_S, 2 * stamps.period(rgb), 2 * stamps.period(thermal)):
        return f"{text}: the stamps of a camera jumped by {spread:.1f} s lately; if this stays, synchronise the cameras"
    return f"{text}: raise sync.tolerance or synchronise the cameras"


def _aligned(vitals: Vitals, offset_s: float) -> list[tuple[float, int]]:
    return [(arrived, stamp + round(offset_s * NS)) for arrived, stamp in vitals.frames()]


def _explain_lag(lag_s: float, thermal_offset_s: float) -> str:
    if abs(lag_s) < LATE_S:
        return ""
    late = THERMAL if lag_s > 0 else RGB
    return (
        f"{late} frames arrive {abs(lag_s):.2f} s later than {OTHER[late]} frames of the same stamp, too late to meet "
        f"them: if that camera's clock is off, set sync.thermal_offset: {thermal_offset_s + lag_s:.3f}; if its images "
        "are really that late, raise sync.queue_size"
    )


def stamp_age_s(vitals: Vitals, clock_ns: int | None) -> float | None:
    """The node's clock minus the newest stamp, s; None without a frame or when the clock stands at zero (no /clock)."""
    return (clock_ns - vitals.stamps_ns[-1]) / NS if clock_ns and vitals.stamps_ns else None


def _off(vitals: dict[str, Vitals], clock_ns: int | None) -> str:
    ages = {stream: stamp_age_s(vitals[stream], clock_ns) for stream in STREAMS}
    off = [
        f"{stream} stamps are {abs(age):.1f} s {'behind' if age > 0 else 'ahead of'} this node's clock"
        for stream, age in ages.items()
        if age is not None and abs(age) > STAMPS_OFF_S
    ]
    return f" ({', '.join(off)})" if off else ""


def explain_namesakes(own: tuple[str, str], graph: Sequence[tuple[str, str]]) -> str:
    """What is wrong when the graph has (name, namespace) of a node more than once; empty otherwise."""
    others = list(graph).count(own) - 1
    if others < 1:
        return ""
    name = f"{own[1].rstrip('/')}/{own[0]}"
    return (
        f"{others} other node{'s are' if others > 1 else ' is'} called {name} too: masks of all go out on the same "
        "topics, and parameters and ~/reload reach any of them. Start each in a namespace of its own (-r "
        "__ns:=/other); one that was killed counts for some 20 s more"
    )
