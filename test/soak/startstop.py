"""Part "startstop": how the node starts and ends. Exit codes, logs, and how long it takes."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from test.ros.processes import Domain
from test.soak.children import NODE, child, isolate, node_arguments
from test.soak.ear import Ear
from test.soak.outcome import Outcome, rounded
from test.soak.progress import bar

START_S = 60.0
STOP_S = 5.0
"""Allowed from the signal to the end of the process."""
FAIL_S = 60.0
"""Allowed from the start to the exit code of a node that cannot start."""
LOADING = "loading"
IDLE = ("unconfigured", "inactive")
"""States in which a node neither loads nor runs."""
MOST_DELAY_S = 1.5
"""A signal during loading comes up to this long after loading began."""

Round = Callable[[Outcome, Domain, np.random.Generator], None]


def stopped(name: str, sig: signal.Signals, during: str) -> Round:
    """Start, wait until it runs (or loads), send the signal: code 0 soon."""

    def play(outcome: Outcome, domain: Domain, rng: np.random.Generator) -> None:
        with domain.listener() as listener, child(name.replace(" ", "_"), NODE, node_arguments(), domain) as node:
            ear, begin = Ear(listener), time.monotonic()
            loading = during == LOADING
            there = ear.wait(
                lambda: any((s == LOADING) == loading and s not in IDLE for _, s in ear.states), START_S, node
            )
            outcome.claim(there, f"{name}: not {during} within {START_S:g} s, code {node.code}: {node.log}")
            note(outcome, f"{name}: start, s", time.monotonic() - begin)
            if loading:
                time.sleep(rng.uniform(0.0, MOST_DELAY_S))
            begin = time.monotonic()
            try:
                code: int | None = node.interrupt(STOP_S * 4, sig)
            except subprocess.TimeoutExpired:
                code = None
            took = time.monotonic() - begin
            note(outcome, f"{name}: stop, s", took)
            outcome.claim(code == 0, f"{name}: exit code {code}, expected 0: {node.log}")
            outcome.claim(took <= STOP_S, f"{name}: took {took:.1f} s to end, allowed {STOP_S:g} s")
            outcome.claim(not node.troubles(), f"{name}: the log has {', '.join(node.troubles())}: {node.log}")

    return play


def failing(name: str, **parameters: object) -> Round:
    """Start with something it cannot use: code 1 by itself, with the reason in the log."""

    def play(outcome: Outcome, domain: Domain, rng: np.random.Generator) -> None:
        with child(name.replace(" ", "_"), NODE, node_arguments(**parameters), domain) as node:
            begin = time.monotonic()
            try:
                code: int | None = node.wait(FAIL_S)
            except subprocess.TimeoutExpired:
                code = None
            note(outcome, f"{name}: exit, s", time.monotonic() - begin)
            reason = any(str(value) in node.output for value in parameters.values())
            outcome.claim(code == 1, f"{name}: exit code {code}, expected 1: {node.log}")
            outcome.claim(reason, f"{name}: the log does not name {parameters}: {node.log}")
            outcome.claim(not node.troubles(), f"{name}: the log has {', '.join(node.troubles())}: {node.log}")

    return play


def note(outcome: Outcome, key: str, seconds: float) -> None:
    """Keep the longest."""
    outcome.measured[key] = rounded(max(seconds, outcome.measured.get(key) or 0.0), 2)


ROUNDS: dict[str, Round] = {
    "ctrl-c": stopped("ctrl-c", signal.SIGINT, "running"),
    "sigterm": stopped("sigterm", signal.SIGTERM, "running"),
    "ctrl-c while loading": stopped("ctrl-c while loading", signal.SIGINT, LOADING),
    "sigterm while loading": stopped("sigterm while loading", signal.SIGTERM, LOADING),
    "missing weights": failing("missing weights", checkpoint="/no/such/weights.safetensors"),
    "bad parameter": failing("bad parameter", sync__policy="closest"),
    "bad device": failing("bad device", device="cuda:77"),
}


def run(folder: Path, rounds: int = 5, names: tuple[str, ...] = tuple(ROUNDS), seed: int = 0) -> Outcome:
    """Each of the named starts, `rounds` times."""
    outcome = Outcome("startstop", measured={"rounds": rounds, "starts": rounds * len(names)})
    rng = np.random.default_rng(seed)
    folder = folder.absolute()
    with bar(rounds * len(names), "start and stop", "start") as progress:
        for number in range(rounds):
            for name in names:
                ROUNDS[name](outcome, isolate(folder / str(number)), rng)
                progress.update()
    return outcome
