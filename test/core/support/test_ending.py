"""The end of a process: signals do nothing from the moment it begins."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from sartm_core.support.ending import NOBODY_READS, Gate, quiet_exit
from test.patience import patience


def ends(code: str) -> subprocess.CompletedProcess[str]:
    head = "import os, signal; from sartm_core.support.ending import *\n"
    return subprocess.run([sys.executable, "-c", head + code], capture_output=True, text=True, timeout=60 * patience())


def test_an_open_gate_is_pythons_own_handler_and_a_closed_one_nothing() -> None:
    gate = Gate()
    with pytest.raises(KeyboardInterrupt):
        gate(signal.SIGINT, None)
    before = signal.getsignal(signal.SIGTERM)
    try:
        gate.close()
    finally:
        signal.signal(signal.SIGTERM, before)
    gate(signal.SIGINT, None)


def test_signals_behind_the_block_do_nothing() -> None:
    """Regression: a second Ctrl-C while the interpreter ended printed a traceback now and then."""
    send = "".join(f"os.kill(os.getpid(), {int(number)})\n" for number in (signal.SIGINT, signal.SIGTERM) * 3)
    run = ends(f"with quiet_exit():\n    pass\n{send}print('whole')")
    assert (run.returncode, run.stdout, run.stderr) == (0, "whole\n", "")


def test_signals_in_the_block_work_as_ever() -> None:
    run = ends("with quiet_exit():\n    os.kill(os.getpid(), signal.SIGTERM)\n    print('still here')")
    assert run.returncode == -signal.SIGTERM and not run.stdout
    run = ends("with quiet_exit():\n    os.kill(os.getpid(), signal.SIGINT)\n    print('still here')")
    assert "KeyboardInterrupt" in run.stderr and not run.stdout


def test_what_ignores_signals_and_other_threads_are_left_alone() -> None:
    run = ends(
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "with quiet_exit():\n    print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)"
    )
    assert run.stdout == "True\n"
    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=lambda: quiet_exit().__enter__())
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGINT) is before


def without_reader(code: str) -> subprocess.CompletedProcess[str]:
    read, write = os.pipe()
    os.close(read)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command = [sys.executable, "-c", "from sartm_core.support.ending import *\n" + code]
    with os.fdopen(write, "w") as nobody:
        return subprocess.run(command, stdout=nobody, stderr=subprocess.PIPE, text=True, env=environment)


@pytest.mark.parametrize("end", ["", "    raise SystemExit(0)\n"])
@pytest.mark.parametrize("lines", [1, 100_000])
def test_an_end_that_nobody_reads_is_quiet(lines: int, end: str) -> None:
    """Regression: `sartm node --help | head` printed a traceback; so did an argparse that exits."""
    run = without_reader(f"with quiet_exit():\n    print('a line\\n' * {lines})\n{end}")
    assert (run.returncode, run.stderr) == (NOBODY_READS, "")


def test_another_pipe_that_breaks_is_told() -> None:
    run = ends("with quiet_exit():\n    raise BrokenPipeError('of a socket')")
    assert run.returncode == 1 and "of a socket" in run.stderr
