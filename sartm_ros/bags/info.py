"""What a recording holds for us: its image topics, and how well two of them pair."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from sartm_core.support.files import LONGEST_NAME
from sartm_core.support.text import plain
from sartm_ros.bags import topics as topic_choice
from sartm_ros.bags.pairs import Pairing
from sartm_ros.bags.plan import Frames, make_plan
from sartm_ros.bags.reading import Bag, Message
from sartm_ros.bags.skew import Offset, advice, recorded_later
from sartm_ros.bags.storage import BagError
from sartm_ros.bags.topics import Topics
from sartm_ros.node.settings import Settings
from sartm_ros.pairing import stamps
from sartm_ros.pairing.nearest import NS, RGB, STREAMS, THERMAL


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
    frames = {stream: Frames() for stream in STREAMS}
    with tqdm(total=sum(bag.counts().values()), desc="info", unit="msg", delay=2.0) as bar:
        for message in bag.messages(seen):
            seen[message.topic].add(message, bag)
            if pairing and message.topic in pairing.topics.both:
                frame = pairing.check(message)
                if frame is not None:
                    frames[pairing.topics.stream(message.topic)].add(message.logged_ns, frame.stamp_ns, message.place)
            bar.update()
    if pairing:
        pairing.plan = make_plan(frames, pairing.topics, values)
    return {
        "bag": str(bag.path),
        "storage": bag.storage,
        "seconds": bag.seconds,
        "messages": bag.count,
        "faults": [asdict(fault) for fault in bag.faults],
        "topics": {topic: one.as_dict() for topic, one in seen.items()},
        "pairing": pairing_quality(pairing, values) if pairing else None,
    }


def pairing_quality(pairing: Pairing, values: dict[str, Any]) -> dict[str, Any]:
    """How two topics pair, and which offset would help."""
    plan, counters = pairing.plan, pairing.counters
    offset = plan.offset(pairing.tolerance_s)
    fewer = min(map(len, plan.frames.values()))
    apart = np.abs(plan.skew_ns) / NS if len(plan.pairs) else None
    return {
        "rgb_topic": pairing.topics.rgb,
        "thermal_topic": pairing.topics.thermal,
        "by": "time of recording" if values.get("log_time") else "header stamp",
        "tolerance_s": pairing.tolerance_s,
        "pairs": len(plan.pairs),
        "paired_share": len(plan.pairs) / fewer if fewer else None,
        "abs_dt_p50_s": float(np.percentile(apart, 50)) if apart is not None else None,
        "abs_dt_p95_s": float(np.percentile(apart, 95)) if apart is not None else None,
        "median_dt_s": float(np.median(plan.skew_ns)) / NS if apart is not None else None,
        "dropped": {stream: {k: v for k, v in counters.dropped[stream].items() if v} for stream in STREAMS},
        "resets": counters.resets,
        "not_usable": dict(pairing.spoiled),
        "problem": pairing.first_problem,
        "stamps": list(plan.problems),
        "thermal_offset_s": plan.thermal_offset_s,
        "offset": asdict(offset) if offset else None,
        "recorded_later_s": recorded_later(*plan.times, pairing.tolerance_s),
    }


def as_text(found: dict[str, Any]) -> str:
    """The tables for the screen."""
    lines = [f"{plain(found['bag'])}: {found['storage']}, {found['seconds']:.1f} s, {found['messages']} messages"]
    lines += [f"  {plain(fault['text'])}" for fault in found["faults"]] + [""]
    shown = {topic: plain(topic, LONGEST_NAME) for topic in found["topics"]}
    width = max(map(len, shown.values()), default=0)
    lines.append(f"{'image topic':{width}}  {'frames':>7}  {'Hz':>6}  {'MB/s':>6}  {'missing':>7}  size and encoding")
    for topic, one in found["topics"].items():
        looks = ", ".join(
            f"{look['size']} {plain(look['encoding'], LONGEST_NAME)}"
            + (f" ({look['frames']})" if len(one["looks"]) > 1 else "")
            for look in one["looks"]
        )
        lines.append(
            f"{shown[topic]:{width}}  {one['frames']:7d}  "
            f"{number(one['hz'], 2):>6}  {number(one['megabytes_s'], 2):>6}  "
            f"{share(one['missing_share']):>7}  {looks or '-'}"
        )
        if one["unreadable"]:
            lines.append(f"  {one['unreadable']} unreadable; the first: {plain(one['problem'])}")
    lines += ["", *(pairing_lines(found["pairing"]) if found["pairing"] else [NO_PAIR])]
    return "\n".join(lines) + "\n"


NO_PAIR = "Which two are the cameras cannot be told; --rgb-topic and --thermal-topic show how they pair."


def pairing_lines(quality: dict[str, Any]) -> list[str]:
    """How the two topics pair, in words."""
    rgb, thermal = (plain(quality[key], LONGEST_NAME) for key in ("rgb_topic", "thermal_topic"))
    lines = [
        f"rgb {rgb} with thermal {thermal}, tolerance {ms(quality['tolerance_s'])}, by {quality['by']}:",
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
            f"  frames that the node would refuse: {sum(quality['not_usable'].values())}; {plain(quality['problem'])}"
        )
    lines += [f"  {plain(problem)}" for problem in quality["stamps"]]
    if quality["offset"]:
        lines.append(f"  {advice(Offset(**quality['offset']), quality['tolerance_s'], quality['thermal_offset_s'])}")
    elif not quality["stamps"]:
        lines.append("  no constant offset would bring these frames together")
    lag = quality["recorded_later_s"]
    if lag is not None and abs(lag) > quality["tolerance_s"]:
        late, early = (THERMAL, RGB) if lag > 0 else (RGB, THERMAL)
        lines.append(
            f"  {late} frames were recorded {ms(abs(lag))} after {early} frames of the same stamp: a slow camera (then "
            "all is well), or its clock is off"
        )
    return lines


def number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def ms(seconds: float) -> str:
    return f"{seconds * 1e3:.1f} ms"
