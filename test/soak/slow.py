"""Part "slow": 30 Hz and 9 Hz into a model that takes a second. Is memory flat, every mask fresh, its stamp right?

The bound of a mask's age is its own inference, as the slowed model measured it, plus two periods of the slower camera.
Its age is the time from the stamp of its rgb frame (set when that was published) to its arrival in this process.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from pathlib import Path

from test.soak import memory
from test.soak.camera import read_stamps
from test.soak.children import SLOW_NODE, THREADS, Child, camera, child, isolate, node_arguments
from test.soak.ear import NS, Ear, Heard, Report
from test.soak.outcome import Outcome, percentile, rounded
from test.soak.progress import bar
from test.soak.slow_node import read_journal

START_S = 120.0
"""The first mask has to come within this time from the start of the node's process."""
SAMPLE_S = 0.5
GROWTH = 0.01
LEAST_MASKS = 0.8
"""Share of the masks the slowed model could give that must have come: a node that gives up is not fresh."""
LEAST_RATE = 0.9
"""Share of its rate that a camera must have kept, else the run proves nothing."""
HELD = 32
"""Frames that may wait in the pairing queue of a camera."""
REASONS = ".dropped."


@dataclass(frozen=True)
class Load:
    """How long (s), how much of it is warm-up, not judged for memory; cameras (Hz); the time a batch takes (s);
    `periods`: how many frame periods of the slower camera a mask may be older than its inference."""

    seconds: float = 660.0
    warmup: float = 60.0
    rgb_hz: float = 30.0
    thermal_hz: float = 9.0
    inference: float = 1.0
    periods: float = 2.0
    input_size: str = "checkpoint"
    judge_memory: bool = True

    @property
    def slack(self) -> float:
        """Seconds a mask may be older than its inference."""
        return self.periods / min(self.rgb_hz, self.thermal_hz)


def run(folder: Path, load: Load, plant: str = "") -> Outcome:
    """Play it, then judge it. `folder` receives logs, stamps and the journal of inferences."""
    outcome = Outcome("slow")
    folder = folder.absolute()
    domain = isolate(folder)
    journal, stamps = folder / "inferences.jsonl", {s: folder / f"{s}.stamps" for s in ("rgb", "thermal")}
    for old in (journal, *stamps.values()):
        old.unlink(missing_ok=True)
    arguments = ["--seconds", str(load.inference), "--journal", str(journal), "--plant", plant]
    with (
        domain.listener() as listener,
        child(
            "node", SLOW_NODE, [*arguments, *node_arguments(threads=THREADS, input_size=load.input_size)], domain
        ) as node,
    ):
        ear = Ear(listener)
        with (
            camera("rgb", load.rgb_hz, domain, stamps["rgb"]),
            camera("thermal", load.thermal_hz, domain, stamps["thermal"]),
        ):
            begin = play(ear, node, load, outcome)
        code = node.interrupt()
        outcome.claim(code == 0, f"the node ended with code {code} at Ctrl-C, expected 0")
        outcome.claim(not node.troubles(), f"the node's log has {', '.join(node.troubles())}: {node.log}")
    judge_masks(ear.masks, set(read_stamps(stamps["rgb"])), read_journal(journal), load, outcome)
    judge_cameras({s: read_stamps(path) for s, path in stamps.items()}, load, outcome)
    judge_memory(load, outcome)
    judge_queues([r for r in ear.reports if r.at >= begin], outcome)
    outcome.series["mask age, s"] = [(m.at - begin, m.age) for m in ear.masks]
    return outcome


def play(ear: Ear, node: Child, load: Load, outcome: Outcome) -> float:
    """Wait for the first mask, then sample memory until the time is over. Returns when the first mask came."""
    started = ear.wait(lambda: ear.masks, START_S, node)
    outcome.claim(started, f"no mask within {START_S:g} s; state '{ear.state}', log {node.log}")
    begin = time.time()
    with bar(round(load.seconds), "slow model", "s") as progress:
        while started and (passed := time.time() - begin) < load.seconds:
            sample = node.memory()
            if node.code is not None or sample is None:
                outcome.claim(False, f"the node ended with code {node.code} after {passed:.0f} s")
                break
            for name, value in sample.items():
                outcome.series.setdefault(name, []).append((passed, float(value)))
            progress.update(round(passed) - progress.n)
            time.sleep(SAMPLE_S)
    return begin


def judge_masks(
    masks: list[Heard], sent: set[int], batches: list[tuple[float, float]], load: Load, outcome: Outcome
) -> None:
    """Stamps, order, number and ages of the masks. sent: stamps (ns) of all rgb frames."""
    stamps = [m.stamp[0] * NS + m.stamp[1] for m in masks]
    foreign = [stamp for stamp in stamps if stamp not in sent]
    disordered = sum(b <= a for a, b in zip(stamps, stamps[1:], strict=False))
    inferences = [inference_of(m, batches) for m in masks]
    excess = [m.age - inference for m, inference in zip(masks, inferences, strict=True)]
    late = [e for e in excess if e > load.slack]
    ages = [m.age for m in masks]
    expected = load.seconds / max(load.inference, statistics.mean(inferences or [0.0]))  # a busy machine: fewer
    outcome.measured |= {
        "masks": len(masks),
        "masks with a stamp no rgb frame had": len(foreign),
        "masks out of order": disordered,
        "inference, median s": rounded(statistics.median(inferences)) if inferences else None,
        "mask age, median s": rounded(percentile(ages, 0.5)),
        "mask age, 95 % s": rounded(percentile(ages, 0.95)),
        "mask age, max s": rounded(max(ages, default=None)),
        "age minus own inference, max s": rounded(max(excess, default=None)),
        "age minus own inference, allowed s": rounded(load.slack),
        "masks too old": len(late),
    }
    outcome.claim(not foreign, f"{len(foreign)} masks have a stamp no rgb frame had, the first {foreign[:1]} ns")
    outcome.claim(not disordered, f"{disordered} masks are not newer than the one before")
    worst = max(late, default=0.0)
    outcome.claim(not late, f"{len(late)} masks too old: inference + {worst:.3f} s, allowed {load.slack:.3f} s")
    enough = len(masks) >= LEAST_MASKS * expected
    outcome.claim(enough, f"{len(masks)} masks, expected at least {LEAST_MASKS:g} x {expected:.0f}")


def inference_of(mask: Heard, batches: list[tuple[float, float]]) -> float:
    """Seconds of the inference a mask came from: the last one that had ended when it arrived."""
    begin, end = max((b for b in batches if b[1] <= mask.at), key=lambda b: b[1], default=(0.0, 0.0))
    return end - begin


def judge_cameras(stamps: dict[str, list[int]], load: Load, outcome: Outcome) -> None:
    """Did the cameras keep their rates?"""
    for stream, rate in (("rgb", load.rgb_hz), ("thermal", load.thermal_hz)):
        sent = stamps[stream]
        real = (len(sent) - 1) * NS / (sent[-1] - sent[0]) if len(sent) > 1 else 0.0
        outcome.measured[f"{stream} camera, Hz"] = rounded(real, 2)
        outcome.claim(real >= LEAST_RATE * rate, f"this machine is too slow: {stream} at {real:.1f} of {rate:g} Hz")


def judge_memory(load: Load, outcome: Outcome) -> None:
    """Growth of the resident memory after the warm-up."""
    for name in ("VmRSS", "RssAnon"):
        samples = memory.after(outcome.series.get(name, []), load.warmup)
        values = [value for _, value in samples]
        outcome.measured[f"{name}, MB"] = rounded(statistics.median(values) / 1e6, 1) if values else None
        trend, step = memory.trend(samples), memory.step(samples)
        outcome.measured[f"{name} growth by trend, %"] = rounded(trend * 100)
        outcome.measured[f"{name} growth first to last tenth, %"] = rounded(step * 100)
        if load.judge_memory and name == "VmRSS":
            for how, growth in (("by trend", trend), ("first to last tenth", step)):
                fine = growth < GROWTH  # not a number: not fine
                outcome.claim(fine, f"resident memory grew by {growth:.2%} ({how}), allowed under {GROWTH:.0%}")


def judge_queues(reports: list[Report], outcome: Outcome) -> None:
    """Frames waiting for a partner, from the counters of the diagnostics; they must not pile up."""
    waiting = {s: [held(report, s) for report in reports] for s in ("rgb", "thermal")}
    for stream, counts in waiting.items():
        most = max(counts, default=0) - min(counts, default=0)
        outcome.measured[f"{stream} frames waiting, max"] = most
        outcome.claim(most <= HELD, f"{most} {stream} frames pile up before pairing, allowed {HELD}")
    outcome.claim(bool(reports), "no diagnostics")
    if reports:
        outcome.measured["pairs dropped for a newer one"] = int(reports[-1].number("dropped_busy"))


def held(report: Report, stream: str) -> int:
    """Frames of a stream that came and are neither paired nor counted as dropped yet (but for a constant)."""
    dropped = sum(report.number(key) for key in report.values if key.startswith(f"{stream}{REASONS}"))
    return int(report.number(f"{stream}.frames") - report.number("pairs") - dropped)
