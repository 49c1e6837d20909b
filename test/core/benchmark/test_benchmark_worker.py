"""Processes of their own: answers, errors, sudden ends. No torch in this file: every child reads it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from sartm_core.benchmark.worker import Worker, WorkerError

TOO_FEW = 1


class Subject:
    """Lives in the other process."""

    def __init__(self, number: int) -> None:
        if number < TOO_FEW:
            raise ValueError(f"number: got {number}, expected at least {TOO_FEW}")
        self.number = number

    def add(self, other: int) -> int:
        self.number += other
        return self.number

    def fail(self) -> None:
        raise RuntimeError("\n  no more tape\nsecond line")

    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def where(self) -> tuple[int, bool]:
        return os.getpid(), signal.getsignal(signal.SIGINT) is signal.SIG_IGN


class Refusing:
    """Cannot be made with what it is given."""

    def __init__(self, way: Any) -> None:
        raise ValueError(f"{way.engine} cannot do {way.precision}")


def test_it_keeps_its_state_and_survives_errors() -> None:
    worker = Worker(Subject, 1)
    assert (worker.ask("add", 2), worker.ask("add", 3)) == (3, 6)
    with pytest.raises(WorkerError, match=r"RuntimeError: no more tape \(fail in test_benchmark_worker.py, line \d+\)"):
        worker.ask("fail")
    pid, ignores_interrupts = worker.ask("where")
    assert pid not in (os.getpid(), 0) and ignores_interrupts, "Ctrl-C ends the one who asks, and he closes it"
    worker.close()
    assert worker.process.exitcode == 0


def test_what_cannot_be_made_says_why() -> None:
    with pytest.raises(WorkerError, match="^number: got 0, expected at least 1$"):
        Worker(Subject, 0)


def test_a_killed_process_is_told_from_a_failed_one() -> None:
    worker = Worker(Subject, 1)
    with pytest.raises(WorkerError, match="killed, most likely for want of memory"):
        worker.ask("die")
    with pytest.raises(WorkerError):
        worker.ask("add", 1)
    worker.close()
    assert worker.process.exitcode == -signal.SIGKILL


def test_closing_does_not_wait_for_an_answer() -> None:
    worker = Worker(Subject, 1)
    worker.busy = True  # as after Ctrl-C in the middle of a question
    worker.close()
    assert not worker.process.is_alive()


def test_a_parent_that_is_killed_takes_its_workers_along() -> None:
    script = (
        "import os, signal\n"
        "from sartm_core.benchmark.worker import Worker\n"
        "from test.core.benchmark.test_benchmark_worker import Subject\n"
        "worker = Worker(Subject, 1)\n"
        "print(worker.process.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=False)
    # The child holds the other end of stdout too: `run` returns only when it has ended as well.
    assert ended.returncode == -signal.SIGKILL and int(ended.stdout) > 0
