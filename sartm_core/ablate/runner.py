"""Start the runs of a grid one after the other, each as a training command of its own, and stop cleanly.

A run holds a lock on its folder while it trains. So several of these commands may work on one grid at once (one for
each GPU: `CUDA_VISIBLE_DEVICES=1 sartm ablate ...`), and a training that outlived its parent is not
started twice.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import yaml

from sartm_core.ablate.grid import Library, Run, check_folder, finished_metrics
from sartm_core.support.fields import to_dict

TRAIN_COMMAND = (sys.executable, "-m", "sartm_core.train")
POLL_SECONDS = 2.0
SHOWN_LINES = 3
"""Last lines of the log of a failed run that are shown."""
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that end a grid as Ctrl-C does, unless it was started to ignore them (nohup, a script's background)."""


@dataclass
class Outcome:
    """What became of the runs of a grid."""

    done: dict[Run, Path] = field(default_factory=dict)
    """Ended runs -> the folder that holds them (another table's, where it was shared)."""
    failed: list[Run] = field(default_factory=list)
    """Runs whose command failed."""
    busy: list[Run] = field(default_factory=list)
    """Runs that another process is training."""


def command_of(run: Run, train_command: Sequence[str] = TRAIN_COMMAND) -> list[str]:
    """The command that trains, or resumes, a run."""
    return [*train_command, "--config", str(run.beside(".yaml")), "--output", str(run.folder)]


def run_grid(
    runs: Sequence[Run],
    library: Library,
    train_command: Sequence[str] = TRAIN_COMMAND,
    say: Callable[[str], None] = print,
    on_change: Callable[[Outcome], object] = lambda outcome: None,
) -> Outcome:
    """Train what is missing. A failed run is told and left behind; `on_change` is called after every run that ended.

    KeyboardInterrupt (Ctrl-C, SIGTERM, SIGHUP) stops the child with SIGINT, waits for it and goes on upwards.
    """
    outcome = Outcome()
    for run in runs:
        folder = library.find(run)
        if folder is not None:
            outcome.done[run] = folder
    missing = [run for run in runs if run not in outcome.done]
    say(f"{len(runs)} in the grid, {len(outcome.done)} ended before, {len(missing)} to train")
    started, trained = time.monotonic(), 0
    for number, run in enumerate(missing, start=1):
        say(f"[{number}/{len(missing)}] {run}: {run.folder}")
        with locked(run) as lock:
            if lock is None:
                outcome.busy.append(run)
                say("  another process is training it")
                continue
            ended = check_folder(run) or train(run, train_command, lock, say)  # the other process may have ended it
        if ended:
            outcome.done[run] = run.folder
            library.add(run.folder)
        else:
            outcome.failed.append(run)
        elapsed, trained = time.monotonic() - started, trained + 1
        left = elapsed / trained * (len(missing) - number)
        say(f"  {'ended' if ended else 'FAILED'}; {clock(elapsed)} elapsed, about {clock(left)} left")
        on_change(outcome)
    return outcome


def train(run: Run, train_command: Sequence[str], lock: IO[str], say: Callable[[str], None]) -> bool:
    """Run the training command to its end; whether the run has ended well. Its output goes to seedK.log."""
    run.beside(".yaml").write_text(yaml.safe_dump(to_dict(run.config), sort_keys=False))
    log = run.beside(".log")
    code = run_child(command_of(run, train_command), log, lock, lambda: show_progress(run.folder))
    if code == 0 and finished_metrics(run.folder) is not None:
        return True
    why = f"exit code {code}" if code else "it ended without a finished metrics.json (did it validate?)"
    say(f"  {run}: {why}; last lines of {log}:")
    for line in log.read_text(errors="replace").strip().splitlines()[-SHOWN_LINES:]:
        say(f"    {line.rpartition(chr(13))[2]}")  # of a progress bar its last state
    return False


def run_child(command: Sequence[str], log: Path, lock: IO[str], on_poll: Callable[[], None]) -> int:
    """Run a command to its end; its exit code. It inherits the lock, and gets signals only from here."""
    with open(log, "ab") as sink:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT,
            start_new_session=True, pass_fds=(lock.fileno(),),
        )  # fmt: skip
        try:
            while True:
                try:
                    return child.wait(POLL_SECONDS)
                except subprocess.TimeoutExpired:
                    on_poll()
        except BaseException:
            stop(child)
            raise


def stop(child: subprocess.Popen) -> None:
    """SIGINT, and wait; a second Ctrl-C kills it with all its loader processes."""
    try:
        print("\nstopping the run; Ctrl-C again kills it", file=sys.stderr)
        child.send_signal(signal.SIGINT)
        child.wait()
    except KeyboardInterrupt:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        raise


@contextlib.contextmanager
def locked(run: Run) -> Iterator[IO[str] | None]:
    """The run's lock as an open file, None when another process (or a child it left behind) holds it."""
    run.folder.parent.mkdir(parents=True, exist_ok=True)
    with open(run.beside(".lock"), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield lock


@contextlib.contextmanager
def stopped_by_signals() -> Iterator[None]:
    """`STOPPING` raises KeyboardInterrupt. What was ignored stays so, by a handler: children would inherit SIG_IGN."""

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    def ignore(number: int, frame: Any) -> None:
        pass

    before = {
        number: signal.signal(number, ignore if signal.getsignal(number) == signal.SIG_IGN else interrupt)
        for number in STOPPING
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def show_progress(folder: Path) -> None:
    """On a terminal, one line that is rewritten: the last epoch of a run."""
    path = folder / "history.jsonl"
    if sys.stderr.isatty() and path.is_file():
        last = json.loads(path.read_text().splitlines()[-1])
        score = f", mIoU {100 * last['miou']:.1f}" if last.get("miou") is not None else ""
        print(f"\r  epoch {last['epoch']}{score} ", end="", file=sys.stderr, flush=True)


def clock(seconds: float) -> str:
    """A duration for people: `2 h 05 min`, `7 min`, `40 s`."""
    minutes = round(seconds / 60)
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"
