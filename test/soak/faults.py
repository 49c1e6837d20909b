"""Part "faults": cameras and the replay node killed and restarted, weights reloaded that are good and that are not.

Every change must be in /diagnostics within two seconds: after the kill; after the first frame of what was restarted;
after the answer of ~/reload. Masks must return by themselves, and the node's process must stay the same one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from test.ros.processes import Domain
from test.soak import weights
from test.soak.camera import read_stamps
from test.soak.children import CAMERA, NODE, REPLAY, THREADS, Child, child, isolate, node_arguments
from test.soak.ear import NS, Ear, Report, seconds
from test.soak.outcome import Outcome, percentile, rounded
from test.soak.progress import bar
from test.soak.services import Services
from test.soak.weights import Weights

START_S, PATIENCE_S = 120.0, 20.0
MASKS_AFTER = 3
"""So many masks must come after a fault, in each state that gives masks."""
RATES_HZ = {"rgb": 15.0, "thermal": 9.0}
REPLAY_HZ, REPLAY_PAIRS = 5.0, 20
MODEL_KEYS = ("model.name", "model.sha256", "model.reload")
SHA_CHARACTERS = 8
"""So much of the hash must be in the diagnostics at least."""
ANSWER_CHARACTERS = 160
ALL_RELOADS = (
    "good", "corrupt header", "corrupt numbers", "truncated", "empty", "other classes", "missing", "good again",
)  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """How often each camera and the replay node are killed, and which reloads are tried (all by default).

    in_time: seconds until a change is in the diagnostics. settle: seconds in a state before the next fault.
    """

    rounds: int = 3
    kills: Sequence[str] = ("rgb", "thermal", "replay")
    reloads: Sequence[str] = ALL_RELOADS
    in_time: float = 2.0
    settle: float = 2.0
    input_size: str = "checkpoint"


class Watch:
    """Measures how soon a change is in the diagnostics, and whether masks come."""

    def __init__(self, ear: Ear, node: Child, plan: Plan, outcome: Outcome) -> None:
        self.ear, self.node, self.plan, self.outcome = ear, node, plan, outcome
        self.latencies: list[float] = []

    def shown(self, what: str, since: float, condition: Callable[[Report], bool]) -> None:
        """Claim that a report soon after `since` (time.time()) satisfies the condition."""

        def first() -> Report | None:
            return next((r for r in self.ear.reports if r.at >= since and condition(r)), None)

        found = first() if self.ear.wait(first, PATIENCE_S, self.node) else None
        latency = found.at - since if found else float("inf")
        self.latencies.append(latency)
        key = f"shown after s: {what}"
        self.outcome.measured[key] = rounded(max(latency, self.outcome.measured.get(key) or 0.0), 2)
        when = f"after {latency:.2f} s" if found else f"not within {PATIENCE_S:g} s"
        text = f"{what}: in /diagnostics {when}, allowed {self.plan.in_time:g} s; last: {self.last()}"
        self.outcome.claim(latency <= self.plan.in_time, text)

    def back(self, what: str, stream: str, rate: float, since: float) -> None:
        """Claim that `ok` is shown soon after the first frame of a restarted camera that reached the node.

        since: when that camera sent its first frame. DDS takes its own time, up to seconds, until the readers of a
        topic hear a new writer (`found by DDS after s`); the frames the node has counted tell when it did.
        """
        before = next((r for r in reversed(self.ear.reports) if r.at < since), None)
        key = f"{stream}.frames"
        counted = before.number(key) if before else 0.0

        def reached(report: Report) -> float:
            return max(since, report.at - (report.number(key) - counted) / rate)

        def is_back(report: Report) -> bool:
            return report.values.get("state") == "ok"

        def first() -> Report | None:
            return next((r for r in self.ear.reports if r.at >= since and is_back(r)), None)

        found = first() if self.ear.wait(first, PATIENCE_S, self.node) else None
        begin = reached(found) if found else since
        measured, late = self.outcome.measured, f"found by DDS after s: {what}"
        measured[late] = rounded(max(begin - since, measured.get(late) or 0.0), 2)
        self.shown(what, begin, is_back)

    def state(self, what: str, since: float, state: str) -> None:
        """Claim that the state is shown soon."""
        self.shown(what, since, lambda report: report.values.get("state") == state)

    def masks(self, what: str) -> None:
        """Claim that masks go on from now."""
        count = len(self.ear.masks)
        came = self.ear.wait(lambda: len(self.ear.masks) >= count + MASKS_AFTER, PATIENCE_S, self.node)
        self.outcome.claim(came, f"{what}: {len(self.ear.masks) - count} masks within {PATIENCE_S:g} s")

    def last(self) -> str:
        """The last report, in short."""
        if not self.ear.reports:
            return "none"
        report = self.ear.reports[-1]
        return ", ".join(f"{k}={report.values[k]}" for k in ("state", *MODEL_KEYS) if k in report.values)


class Cameras:
    """The camera processes that run, by name ("rgb", "thermal", "replay"); all are ended with the block."""

    def __init__(self, folder: Path, domain: Domain) -> None:
        self._folder, self._domain = folder, domain
        self._running: dict[str, Child] = {}

    def __enter__(self) -> Cameras:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, name: str) -> None:
        """Start one that does not run."""
        if name == "replay":
            module = REPLAY
            arguments = node_arguments(source="synthetic", rate=REPLAY_HZ, loop=True, count=REPLAY_PAIRS)
        else:
            module = CAMERA
            arguments = ["--stream", name, "--rate", str(RATES_HZ[name]), "--stamps", str(self.stamps(name))]
        self._running[name] = Child(name, module, arguments, self._domain)

    def kill(self, name: str) -> float:
        """kill -9; returns when (time.time())."""
        now = time.time()
        self._running.pop(name).kill()
        return now

    def stop(self) -> None:
        """Ctrl-C to all."""
        while self._running:
            self._running.popitem()[1].interrupt()

    def stamps(self, name: str) -> Path:
        """The file of the stamps a camera has sent."""
        return self._folder / f"{name}.stamps"

    def restart(self, name: str, ear: Ear, node: Child) -> float:
        """Start it again; returns the stamp of its first frame, seconds (infinite when none comes)."""
        if name == "replay":
            count = len(ear.frames["rgb"])
            self.start(name)
            came = ear.wait(lambda: len(ear.frames["rgb"]) > count, PATIENCE_S, node)
            return seconds(ear.frames["rgb"][count][1]) if came else float("inf")
        count = len(read_stamps(self.stamps(name)))
        self.start(name)
        ear.wait(lambda: len(read_stamps(self.stamps(name))) > count, PATIENCE_S, node)
        return next((stamp / NS for stamp in read_stamps(self.stamps(name))[count:]), float("inf"))


def run(folder: Path, plan: Plan) -> Outcome:
    """All faults of the plan on one node."""
    outcome = Outcome("faults")
    folder = folder.absolute()
    domain = isolate(folder)
    tries = {w.name: w for w in weights.write(folder / "weights")}
    with (
        domain.listener() as listener,
        child("node", NODE, node_arguments(threads=THREADS, input_size=plan.input_size), domain) as node,
        Cameras(folder, domain) as cameras,
        bar(plan.rounds * len(plan.kills) + len(plan.reloads), "faults", "fault") as progress,
    ):
        ear, services = Ear(listener), Services(listener)
        watch, pid = Watch(ear, node, plan, outcome), node.pid
        for fault in faults(plan, tries, cameras, services, watch):
            fault()
            progress.update()
            if node.code is not None:
                break
        outcome.claim(node.code is None and node.pid == pid, f"the node died with code {node.code}")
        cameras.stop()
        code = node.interrupt()
        outcome.claim(code == 0, f"the node ended with code {code} at Ctrl-C, expected 0")
        outcome.claim(not node.troubles(), f"the node's log has {', '.join(node.troubles())}: {node.log}")
    outcome.measured |= {
        "changes": len(watch.latencies),
        "shown after, median s": rounded(percentile(watch.latencies, 0.5), 2),
        "shown after, max s": rounded(max(watch.latencies, default=None), 2),
        "masks": len(ear.masks),
    }
    return outcome


def faults(
    plan: Plan, tries: dict[str, Weights], cameras: Cameras, services: Services, watch: Watch
) -> Iterator[Callable[[], None]]:
    """One function after the other; cameras first, then weights, then the replay node in the cameras' place."""
    ear = watch.ear
    cameras.start("rgb")
    cameras.start("thermal")
    ready = ear.wait(lambda: ear.state == "ok" and len(ear.masks) >= MASKS_AFTER, START_S, watch.node)
    watch.outcome.claim(ready, f"no masks within {START_S:g} s; state '{ear.state}', log {watch.node.log}")
    if not ready:
        return
    for _ in range(plan.rounds):
        for stream in ("rgb", "thermal"):
            if stream in plan.kills:
                yield lambda stream=stream: kill_camera(stream, cameras, watch)  # type: ignore[misc]
    for name in plan.reloads:
        yield lambda name=name: reload(tries[name], services, watch)  # type: ignore[misc]
    if "replay" not in plan.kills:
        return
    cameras.stop()
    ear.hear_frames("rgb")
    watch.state("replay node, first start", cameras.restart("replay", ear, watch.node), "ok")
    for _ in range(plan.rounds):
        yield lambda: kill_replay(cameras, watch)


def kill_camera(stream: str, cameras: Cameras, watch: Watch) -> None:
    """One camera: degraded, with masks from the other one; then back."""
    watch.state(f"{stream} camera killed", cameras.kill(stream), f"degraded: {stream} silent")
    watch.masks(f"{stream} camera killed")
    time.sleep(watch.plan.settle)
    since = cameras.restart(stream, watch.ear, watch.node)
    watch.back(f"{stream} camera restarted", stream, RATES_HZ[stream], since)
    watch.masks(f"{stream} camera restarted")
    time.sleep(watch.plan.settle)


def kill_replay(cameras: Cameras, watch: Watch) -> None:
    """Both cameras at once: no input; then back."""
    watch.state("replay node killed", cameras.kill("replay"), "no input: rgb and thermal silent")
    time.sleep(watch.plan.settle)
    watch.state("replay node restarted", cameras.restart("replay", watch.ear, watch.node), "ok")
    watch.masks("replay node restarted")
    time.sleep(watch.plan.settle)


def reload(weights: Weights, services: Services, watch: Watch) -> None:
    """Set `checkpoint` and call ~/reload; good weights must run then, bad ones must change nothing."""
    what = f"reload, {weights.name}"
    before_path, before = services.checkpoint(), watch.ear.fresh_report()
    watch.outcome.claim(before is not None, f"{what}: no diagnostics before it")
    if before is None:
        return
    accepted, reason = services.set_checkpoint(weights.path)
    success, message, answered = services.reload() if accepted else (False, reason, time.time())
    watch.outcome.measured[f"answer: {weights.name}"] = message[:ANSWER_CHARACTERS]
    watch.outcome.claim(success == weights.good, f"{what}: success {success}, expected {weights.good}: {message}")
    old = {key: before.values.get(key, "") for key in MODEL_KEYS}
    if weights.good:
        watch.shown(what, answered, lambda report: taken(report, weights, old))
    elif accepted:
        watch.shown(what, answered, lambda report: refused(report, old))
    expected = weights.path if weights.good else before_path
    found = services.checkpoint()
    watch.outcome.claim(found == expected, f"{what}: the parameter checkpoint is {found!r}, expected {expected!r}")
    watch.masks(what)


def taken(report: Report, weights: Weights, old: dict[str, str]) -> bool:
    """Whether the report tells that these weights run: model.name, model.sha256 (or its beginning), model.reload."""
    name, sha256, words = (report.values.get(key, "") for key in MODEL_KEYS)
    same = len(sha256) >= SHA_CHARACTERS and weights.sha256.startswith(sha256)
    return same and name == Path(weights.path).stem and words not in ("", old["model.reload"])


def refused(report: Report, old: dict[str, str]) -> bool:
    """Whether the report tells of a failed reload (another model.reload) while the old weights run."""
    new = {key: report.values.get(key, "") for key in MODEL_KEYS}
    kept = all(new[key] == old[key] != "" for key in MODEL_KEYS if key != "model.reload")
    return kept and new["model.reload"] not in ("", old["model.reload"])
