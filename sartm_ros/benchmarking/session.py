"""Node, playback and monitor as processes of their own, connected and warm; runs of frames through them."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from sartm_ros.benchmarking import measures, stages, usage
from sartm_ros.benchmarking.peers import Peer, PeerError, tail
from sartm_ros.benchmarking.plan import LOAD_TIMEOUT_S, NONE, Plan
from sartm_ros.children import node_process

POLL_S = 0.05
WARM_HZ, WARM_S = 5.0, 2.0
IDLE_S = 0.5
"""No mask for so long, or so many times the longest latency seen, means that none is under way."""
IDLE_LATENCIES = 3
PEAK_FRAMES = 40
"""At least so many frames tell whether a rate holds."""
BEHIND = 0.95
"""Playback that reaches less of the rate it was asked for cannot tell about it."""


class Session:
    """Runs frames through a node. `node` is its process."""

    def __init__(self, plan: Plan, node: subprocess.Popen, playback: Peer, monitor: Peer, log: Path) -> None:
        self.plan, self.node = plan, node
        self._playback, self._monitor, self._log = playback, monitor, log
        self._idle = IDLE_S
        self._started = time.monotonic()
        self.guess = WARM_HZ
        """A rate that the node may reach, Hz: one mask after the other."""
        self.facts: dict[str, Any] = {"input_sha256": playback.ask("digest")}
        """What is known of input and node."""

    def start(self) -> None:
        """Wait for the node's first mask, send it some more. PeerError when none comes."""
        self._until(lambda: self._playback.ask("connected") and self._monitor.ask("connected"), "it does not listen")
        self.facts["listening_s"] = time.monotonic() - self._started
        self._monitor.ask("begin")

        def answered() -> bool:
            self._playback.ask("play", rate=WARM_HZ, seconds=1 / WARM_HZ)
            return bool(self._monitor.ask("count"))

        self._until(answered, "it listens to both cameras and gives no mask")
        self.facts["first_mask_s"] = time.monotonic() - self._started
        self._monitor.ask("end", idle=IDLE_S)
        self.facts["pinned"] = usage.pin(self.node.pid, self.plan.pin, [self._playback.pid, self._monitor.pid])
        latency = self.run(WARM_HZ, WARM_S)["latency_ms"]
        self._idle = max(IDLE_S, IDLE_LATENCIES * (latency["max"] or 0.0) / 1e3)
        self.guess = 1e3 / latency["p50"] if latency["p50"] else self.guess

    def _until(self, condition: Callable[[], Any], otherwise: str) -> None:
        deadline = time.monotonic() + LOAD_TIMEOUT_S
        while not condition():
            self._check_alive()
            if time.monotonic() > deadline:
                raise PeerError(f"the node: gave up after {LOAD_TIMEOUT_S:g} s: {otherwise}\n{tail(self._log)}")
            time.sleep(POLL_S)

    def _check_alive(self) -> None:
        if self.node.poll() is not None:
            raise PeerError(f"the node ended with exit code {self.node.returncode}\n{tail(self._log)}")

    def tell_stages(self) -> None:
        """From now on the node tells when each step happened."""
        self._monitor.ask("timing")
        deadline = time.monotonic() + IDLE_S + LOAD_TIMEOUT_S
        while time.monotonic() < deadline and not self.run(WARM_HZ, 2 / WARM_HZ).get("stages_ms"):
            self._check_alive()

    def run(self, rate: float, seconds: float) -> dict[str, Any]:
        """Play at a rate; the numbers of `measures`, the stages if the node tells them."""
        self._check_alive()
        self._monitor.ask("begin")
        before, begin = usage.look(self.node.pid), time.monotonic()
        sent = self._playback.ask("play", rate=rate, seconds=seconds)
        heard = self._monitor.ask("end", idle=self._idle)
        spent = time.monotonic() - begin
        self._check_alive()
        self.facts["diagnostics"] = heard["diagnostics"]
        masks = [(stamp, at) for stamp, at in heard["masks"]]
        found = measures.run(sent, masks)
        found |= measures.usage(before, usage.look(self.node.pid), spent, found["received"])
        found["messages"] = heard["messages"]
        found["outputs_ms"] = stages.outputs(heard["timings"])
        return found | {"stages_ms": stages.breakdown(sent, masks, heard["timings"])}

    def holds(self, rate: float) -> tuple[bool, dict[str, Any]]:
        """Whether the node keeps up with a rate, and the run that tells."""
        found = self.run(rate, max(self.plan.seconds, PEAK_FRAMES / rate))
        played = (found["sent_hz"] or 0.0) >= BEHIND * rate
        return played and found["missed_share"] < self.plan.loss, found


@contextmanager
def opened(plan: Plan, folder: Path) -> Iterator[Session]:
    """A session whose processes log into `folder`; they end on leaving. PeerError when something does not start."""
    module = "sartm_ros.benchmarking.stand_in" if plan.forward == NONE else "sartm_ros.segment_node"
    with ExitStack() as stack:
        playback, monitor = (
            stack.enter_context(Peer(f"sartm_ros.benchmarking.{name}", plan, folder / f"{name}.log"))
            for name in ("playback", "monitor")
        )
        playback.ask("connected")  # it has its frames
        monitor.ask("connected")
        log = folder / "node.log"
        node = stack.enter_context(node_process(module, plan.node_parameters, log))
        session = Session(plan, node, playback, monitor, log)
        session.start()
        yield session
