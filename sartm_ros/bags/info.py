"""What a recording holds for us: its image topics, and how well two of them pair."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from sartm_ros.bags import topics as topic_choice
from sartm_ros.bags.pairs import Pairing
from sartm_ros.bags.reading import Bag, BagError, Message
from sartm_ros.bags.skew import Offset, fixing_offset
from sartm_ros.bags.topics import Topics
from sartm_ros.node.settings import Settings
from sartm_ros.pairing import stamps
from sartm_ros.pairing.nearest import NS, RGB, STREAMS, THERMAL

WORTH_S = 0.001
"""A smaller offset is not worth a word."""


@dataclass
class Seen:
    """What one image topic carried."""

    kind: str
    looks: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Frames by size and encoding."""
    frames: list[tuple[float, int]] = field(default_factory=list)
    """(Recorded s, stamp ns) of each."""
    unreadable: int = 0
    problem: str = ""
    nbytes: int = 0

    def add(self, message: Message, bag: Bag) -> None:
        try:
            decoded = bag.decode(message)
            seen = topic_choice.look(decoded, self.kind)
        except ValueError as error:
            self.unreadable += 1
            self.problem = self.problem or str(error)
            return
        stamp = decoded.header.stamp
        self.looks[seen.size, seen.encoding] += 1
        self.frames.append((message.logged_ns / NS, stamp.sec * NS + stamp.nanosec))
        self.nbytes += len(message.data)

    def as_dict(self) -> dict[str, Any]:
        times = [recorded for recorded, _ in self.frames]
        span = times[-1] - times[0] if times else 0.0
        return {
            "type": self.kind,
            "frames": len(self.frames),
            "hz": (len(times) - 1) / span if span > 0 else None,
            "looks": [{"size": s, "encoding": e, "frames": count} for (s, e), count in self.looks.most_common()],
            "megabytes_s": self.nbytes / span / 1e6 if span > 0 else None,
            "missing_share": stamps.missing_share([stamp for _, stamp in self.frames]),
            "unreadable": self.unreadable,
            "problem": self.problem,
        }


def inspect(bag: Bag, rgb: str | None, thermal: str | None, values: dict[str, Any]) -> dict[str, Any]:
    """Everything `as_text` and the JSON file tell. BagError when a given topic is not there or the file is broken."""
    from tqdm import tqdm

    try:
        chosen: Topics | None = topic_choice.choose(bag, rgb, thermal)
    except BagError:
        if rgb or thermal or not bag.images:
            raise
        chosen = None
    seen = {topic: Seen(kind) for topic, kind in bag.images.items()}
    pairing = Pairing(bag, chosen, values, Settings.of(values)) if chosen else None
    skews: list[int] = []
    with tqdm(total=sum(bag.counts().values()), desc="info", unit="msg", delay=2.0) as bar:
        for message in bag.messages(seen):
            seen[message.topic].add(message, bag)
            if pairing and message.topic in pairing.topics.both:
                skews += [pair.skew_ns for pair in pairing.push(message)]
            bar.update()
    if pairing:
        skews += [pair.skew_ns for pair in pairing.rest()]
    return {
        "bag": str(bag.path),
        "storage": bag.storage,
        "seconds": bag.seconds,
        "messages": bag.count,
        "topics": {topic: one.as_dict() for topic, one in seen.items()},
        "pairing": pairing_quality(pairing, seen, skews) if pairing else None,
    }


def pairing_quality(pairing: Pairing, seen: dict[str, Seen], skews: list[int]) -> dict[str, Any]:
    """How two topics pair as the node pairs them, and which offset would help."""
    shift = pairing.pairer.offset_ns[RGB]  # the thermal one is what the advice replaces
    rgb = [(recorded, stamp + shift) for recorded, stamp in seen[pairing.topics.rgb].frames]
    streams = [rgb, seen[pairing.topics.thermal].frames]
    offset = fixing_offset(streams[0], streams[1], pairing.tolerance_s)
    fewer = min(map(len, streams))
    apart = np.abs(skews) / NS if skews else None
    counters = pairing.pairer.counters
    return {
        "rgb_topic": pairing.topics.rgb,
        "thermal_topic": pairing.topics.thermal,
        "tolerance_s": pairing.tolerance_s,
        "pairs": len(skews),
        "paired_share": len(skews) / fewer if fewer else None,
        "abs_dt_p50_s": float(np.percentile(apart, 50)) if apart is not None else None,
        "abs_dt_p95_s": float(np.percentile(apart, 95)) if apart is not None else None,
        "median_dt_s": float(np.median(skews)) / NS if skews else None,
        "dropped": {stream: {k: v for k, v in counters.dropped[stream].items() if v} for stream in STREAMS},
        "resets": counters.resets,
        "not_usable": dict(pairing.spoiled),
        "problem": pairing.first_problem,
        "offset": asdict(offset) if offset else None,
        "recorded_later_s": stamps.lag(*streams),
    }


def as_text(found: dict[str, Any]) -> str:
    """The tables for the screen."""
    lines = [f"{found['bag']}: {found['storage']}, {found['seconds']:.1f} s, {found['messages']} messages", ""]
    width = max((len(topic) for topic in found["topics"]), default=0)
    lines.append(f"{'image topic':{width}}  {'frames':>7}  {'Hz':>6}  {'MB/s':>6}  {'missing':>7}  size and encoding")
    for topic, one in found["topics"].items():
        looks = ", ".join(
            f"{look['size']} {look['encoding']}" + (f" ({look['frames']})" if len(one["looks"]) > 1 else "")
            for look in one["looks"]
        )
        lines.append(
            f"{topic:{width}}  {one['frames']:7d}  {number(one['hz'], 2):>6}  {number(one['megabytes_s'], 2):>6}  "
            f"{share(one['missing_share']):>7}  {looks or '-'}"
        )
        if one["unreadable"]:
            lines.append(f"  {one['unreadable']} unreadable; the first: {one['problem']}")
    lines += ["", *(pairing_lines(found["pairing"]) if found["pairing"] else [NO_PAIR])]
    return "\n".join(lines) + "\n"


NO_PAIR = "Which two are the cameras cannot be told; --rgb-topic and --thermal-topic show how they pair."


def pairing_lines(quality: dict[str, Any]) -> list[str]:
    """How the two topics pair, in words."""
    lines = [
        f"rgb {quality['rgb_topic']} with thermal {quality['thermal_topic']}, tolerance {ms(quality['tolerance_s'])}:",
        f"  {quality['pairs']} pairs, {share(quality['paired_share'])} of the slower camera's frames"
        + (f"; |dt| p50 {ms(quality['abs_dt_p50_s'])}, p95 {ms(quality['abs_dt_p95_s'])}" if quality["pairs"] else ""),
    ]
    dropped = [
        f"{stream} {', '.join(f'{reason} {count}' for reason, count in reasons.items())}"
        for stream, reasons in quality["dropped"].items()
        if reasons
    ]
    if dropped:
        lines.append(f"  not paired: {'; '.join(dropped)}")
    if quality["not_usable"]:
        lines.append(
            f"  frames that the node would refuse: {sum(quality['not_usable'].values())}; {quality['problem']}"
        )
    if quality["offset"]:
        lines.append(f"  {advice(Offset(**quality['offset']), quality)}")
    lag = quality["recorded_later_s"]
    if abs(lag) > quality["tolerance_s"]:
        late, early = (THERMAL, RGB) if lag > 0 else (RGB, THERMAL)
        lines.append(
            f"  {late} frames were recorded {ms(abs(lag))} after {early} frames of the same stamp: a slow camera, or "
            f"its clock is off; then sync.thermal_offset {lag:+.3f}"
        )
    return lines


def advice(offset: Offset, quality: dict[str, Any]) -> str:
    """What the offset would do, in one sentence."""
    if abs(offset.seconds) < WORTH_S:
        return f"no constant skew: an offset would change nothing (|dt| p95 to the nearest frame {ms(offset.spread_s)})"
    found = " (found by the times of recording)" if offset.by_arrival else ""
    return (
        f"sync.thermal_offset {offset.seconds:+.4f} would take out the constant skew{found}: then "
        f"{share(offset.within)} have a partner within {ms(quality['tolerance_s'])}, |dt| p95 {ms(offset.spread_s)}"
    )


def number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def ms(seconds: float) -> str:
    return f"{seconds * 1e3:.1f} ms"
