"""Part "fuzz": hostile messages on both topics, and in between good pairs that must all be answered.

One good pair follows every `every` hostile messages. Nothing else is sent until its mask is there: with a reader queue
deeper than `every`, all hostile messages have then been through the node, best effort or not, and the pair cannot be
pushed out of a queue by what comes after it. Each good pair is sent once, but the first ones, sent until a mask shows
that DDS has matched. Message `i` is made from (seed, i) alone.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image

from test.soak import fuzz_compressed, fuzz_raw, fuzz_stamps
from test.soak.children import NODE, SLOW_NODE, THREADS, Child, child, isolate, node_arguments
from test.soak.ear import Ear, Stamp
from test.soak.outcome import Outcome, percentile, rounded
from test.soak.progress import bar

STREAMS = ("rgb", "thermal")
MAKERS: dict[str, tuple[ModuleType, type]] = {
    "raw": (fuzz_raw, Image),
    "compressed": (fuzz_compressed, CompressedImage),
}
TRANSPORTS = {
    "raw": ("raw", "raw"),
    "compressed": ("compressed", "compressed"),
    "mixed": ("compressed", "raw"),
}
"""For each choice of `Barrage.transport` that of each of `STREAMS`."""
DEPTH = 100
START_S = ANSWER_S = 120.0
"""An answer waits for the engine where a hostile frame has an aspect that is new: a minute on a busy machine."""
GAP_S = 0.001
BYTES_PER_S = 200e6
"""Pause after a message: `GAP_S` and its size over this, so that shared memory keeps up."""
FIRST_S = 1.0
"""Between two first pairs: those before DDS has matched both ways are lost, and nobody here can see that it has."""
GIVE_UP = 5
"""So many pairs unanswered, and the rest is left out."""
EXAMPLES = 5


@dataclass(frozen=True)
class Barrage:
    """How many messages of which transport; `large` real 8K ones among them; from `first` on (to repeat a failure).

    reached: share of the messages that must have reached the node, else the run proves nothing.
    """

    messages: int = 20_000
    transport: str = "raw"
    seed: int = 0
    every: int = 50
    large: int = 6
    first: int = 0
    input_size: str = "checkpoint"
    reached: float = 0.99


@dataclass
class Sent:
    """What went out: counts by kind, all messages by stream, the sizes a mask of each stamp may have, last stamps."""

    kinds: Counter[str] = field(default_factory=Counter)
    hostile: int = 0
    per_stream: Counter[str] = field(default_factory=Counter)
    sizes: dict[Stamp, set[tuple[int, int] | None]] = field(default_factory=dict)
    last: dict[str, Stamp] = field(default_factory=lambda: dict.fromkeys(STREAMS, (0, 0)))


class Sender:
    """The two cameras, at the listening node of this process; the shipped Fast DDS profile is in force."""

    def __init__(self, node: Any, barrage: Barrage) -> None:
        self.barrage = barrage
        made = {s: MAKERS[t] for s, t in zip(STREAMS, TRANSPORTS[barrage.transport], strict=True)}
        self.makers = {s: maker for s, (maker, _) in made.items()}
        qos = QoSProfile(depth=DEPTH, reliability=ReliabilityPolicy.BEST_EFFORT)
        self._publishers = {s: node.create_publisher(made[s][1], f"/sartm/{s}/image_raw", qos) for s in STREAMS}
        self.sent = Sent()

    @property
    def connected(self) -> bool:
        """Whether the node listens to both."""
        return all(publisher.get_subscription_count() for publisher in self._publishers.values())

    def hostile(self, index: int, large: bool) -> None:
        """Make message `index` and send it."""
        rng = np.random.default_rng([self.barrage.seed, index])
        stream = STREAMS[index % 2] if large else STREAMS[rng.integers(2)]
        maker = self.makers[stream]
        family, message = ("real 8K", maker.large(rng, stream)) if large else maker.hostile(rng, stream)
        kind, stamp = fuzz_stamps.pick(rng, time.time_ns(), self.sent.last[stream])
        self.sent.kinds.update([f"what: {family}", f"stamp: {kind}"])
        self.sent.hostile += 1
        self._send(stream, message, stamp)

    def good_pair(self, index: int) -> Stamp:
        """Send a good pair, both frames with the stamp of now; returns that."""
        stamp = divmod(time.time_ns(), fuzz_stamps.NS)
        for place, stream in enumerate(STREAMS):
            rng = np.random.default_rng([self.barrage.seed, index, 1])
            message = self.makers[stream].pair(rng)[place]
            message.header.frame_id = f"good_{stream}"
            self._send(stream, message, stamp)
        return stamp

    def _send(self, stream: str, message: Any, stamp: Stamp) -> None:
        fuzz_stamps.put(message, stamp)
        self.sent.last[stream] = stamp
        self.sent.per_stream[stream] += 1
        self.sent.sizes.setdefault(stamp, set()).add(self.makers[stream].size_of(message))
        self._publishers[stream].publish(message)
        time.sleep(GAP_S + len(message.data) / BYTES_PER_S)


def run(folder: Path, barrage: Barrage, plant: str = "") -> Outcome:
    """Send it all, then judge the answers and the node."""
    outcome = Outcome("fuzz" if barrage.transport == "raw" else f"fuzz {barrage.transport}")
    domain = isolate(folder.absolute())
    settings: dict[str, object] = {"threads": THREADS, "input_size": barrage.input_size}
    settings |= {f"{s}_transport": t for s, t in zip(STREAMS, TRANSPORTS[barrage.transport], strict=True)}
    settings |= {f"qos__{s}__depth": DEPTH for s in STREAMS}
    module, own = (SLOW_NODE, ["--plant", plant]) if plant else (NODE, [])
    with domain.listener() as listener, child("node", module, [*own, *node_arguments(**settings)], domain) as node:
        ear, sender = Ear(listener), Sender(listener, barrage)
        ready = ear.wait(lambda: ear.node.count_publishers("/sartm/semantic_mask") and sender.connected, START_S, node)
        outcome.claim(ready, f"the node does not listen after {START_S:g} s, see {node.log}")
        if ready:
            outcome.claim(introduced(ear, sender, node), f"no first mask after {ANSWER_S:g} s: {ear.state}")
            play(ear, sender, node, outcome)
            judge_reception(ear, sender.sent, barrage.reached, outcome)
        outcome.claim(node.code is None, f"the node died with code {node.code}")
        code = node.interrupt()
        outcome.claim(code == 0, f"the node ended with code {code} at Ctrl-C, expected 0")
        outcome.claim(not node.troubles(), f"the node's log has {', '.join(node.troubles())}: {node.log}")
    judge_masks(ear, sender.sent, outcome)
    return outcome


def batches(barrage: Barrage) -> Iterator[list[tuple[int, bool]]]:
    """Lists of (index, whether it is a real 8K message) between two good pairs."""
    distance = max(1, barrage.messages // (barrage.large + 1))
    large = {barrage.first + distance * (n + 1) + n for n in range(barrage.large)}
    end = barrage.first + barrage.messages
    for begin in range(barrage.first, end, barrage.every):
        yield [(index, index in large) for index in range(begin, min(begin + barrage.every, end))]


def introduced(ear: Ear, sender: Sender, node: Child) -> bool:
    """Whether good pairs, one every `FIRST_S`, have brought a first mask.

    A publisher that sees its reader proves no more than that: the reader may not know of the publisher yet.
    """
    for _ in range(round(ANSWER_S / FIRST_S)):
        sender.good_pair(sender.barrage.first)
        if ear.wait(lambda: ear.masks, FIRST_S, node) or node.code is not None:
            break
    sender.sent.per_stream.clear()  # the first ones need not have reached anybody
    return bool(ear.masks)


def play(ear: Ear, sender: Sender, node: Child, outcome: Outcome) -> None:
    """A good pair first, then hostile messages and a good pair in turn."""
    barrage = sender.barrage
    waits: list[float] = []
    unanswered: list[str] = []
    one_camera = 0
    with bar(barrage.messages, f"fuzz {barrage.transport}", "message") as progress:
        for batch in [[], *batches(barrage)]:
            for index, large in batch:
                sender.hostile(index, large)
            stamp = sender.good_pair(batch[-1][0] if batch else barrage.first)
            begin = time.monotonic()
            if ear.wait(lambda stamp=stamp: stamp in ear.answers, ANSWER_S, node):  # type: ignore[misc]
                waits.append(time.monotonic() - begin)
                one_camera += ear.answers[stamp].frame_id != "good_rgb"
            else:
                span = f"{batch[0][0]}..{batch[-1][0]}" if batch else "nothing"
                unanswered.append(f"after messages {span} (state '{ear.state}'; dropped {dropped(ear)})")
            memory = node.memory() or {}
            outcome.series.setdefault("VmRSS", []).append((float(sender.sent.hostile), memory.get("VmRSS", 0)))
            progress.update(len(batch))
            if node.code is not None or len(unanswered) >= GIVE_UP:
                break
    outcome.measured |= {
        "hostile messages sent": sender.sent.hostile,
        "good pairs answered": len(waits),
        "good pairs unanswered": len(unanswered),
        "good pairs answered from thermal alone": one_camera,
        "answer, median s": rounded(percentile(waits, 0.5)),
        "answer, max s": rounded(max(waits, default=None)),
        "VmRSS, max MB": round(max((v for _, v in outcome.series["VmRSS"]), default=0) / 1e6),
        "kinds": dict(sorted(sender.sent.kinds.items())),
    }
    seed = f"seed {barrage.seed}, {barrage.transport}"
    outcome.claim(
        not unanswered, f"{len(unanswered)} good pairs unanswered ({seed}): {'; '.join(unanswered[:EXAMPLES])}"
    )


def dropped(ear: Ear) -> str:
    """What the node has dropped so far, by reason."""
    report = ear.fresh_report()
    values = report.values if report else {}
    return ", ".join(f"{k} {v}" for k, v in values.items() if "dropped" in k and v not in ("0", "-")) or "nothing"


def judge_reception(ear: Ear, sent: Sent, reached: float, outcome: Outcome) -> None:
    """Have the hostile messages reached the node? Told by its own counters of used and refused frames."""
    ear.fresh_report()
    report = ear.fresh_report()
    outcome.claim(report is not None, "no diagnostics at the end")
    if report is None:
        return
    for stream in STREAMS:
        taken, refused = report.number(f"{stream}.frames"), report.number(f"{stream}.refused")
        share = (taken + refused) / max(1, sent.per_stream[stream])
        outcome.measured |= {f"{stream} frames used": int(taken), f"{stream} frames refused": int(refused)}
        outcome.claim(
            share >= reached, f"{share:.1%} of the {stream} messages reached the node, expected {reached:.0%}"
        )
        outcome.claim(refused > 0, f"the node refused no {stream} message")
    outcome.measured["masks that failed (node's count)"] = int(report.number("failures"))


def judge_masks(ear: Ear, sent: Sent, outcome: Outcome) -> None:
    """Every mask has a stamp that was sent, and the size of a frame with that stamp."""
    foreign = [mask for mask in ear.masks if mask.stamp not in sent.sizes]
    misshapen = [mask for mask in ear.masks if mask.size not in sent.sizes.get(mask.stamp, {mask.size})]
    outcome.measured |= {
        "masks": len(ear.masks),
        "masks with a stamp nobody sent": len(foreign),
        "masks of a wrong size": len(misshapen),
    }
    outcome.claim(not foreign, f"{len(foreign)} masks have a stamp nobody sent, the first {foreign[:1]}")
    outcome.claim(not misshapen, f"{len(misshapen)} masks fit no frame of their stamp, the first {misshapen[:1]}")
