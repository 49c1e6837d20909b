"""A module of ours run in a process of its own: it can be stopped, and takes its memory with it."""

from __future__ import annotations

import logging
import math
import os
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from time import monotonic

log = logging.getLogger(__name__)

NEWS = 30.0
"""Seconds between two lines that say it still goes on."""
LAST_LINES = 3
"""Of what the process said, told when it fails."""
START = """
import signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.path[:] = filter(None, sys.path)
import runpy
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""
"""`python -m` without the current folder among its paths. A Ctrl-C is for who started it. (In a session of its own it
would not hear of one, but Linux gives each session its share of the processors: beside other work that took twice as
long.)"""


def run(module: str, arguments: Sequence[str], what: str, patience: float, news: float = NEWS) -> None:
    """Run a module by its name until it ends; what it prints is told only where it fails.

    what: what it does, for the log ("building").

    Raises:
        OSError: it cannot be started.
        TimeoutError: after `patience` seconds; the process has ended then.
        ChildError: what went wrong, in its last words.
    """
    paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(
            [sys.executable, "-c", START, module, *arguments], stdin=subprocess.PIPE, stdout=said, stderr=said,
            env=os.environ | {"PYTHONPATH": paths},
        ) as process,
    ):  # fmt: skip
        try:
            wait(process, what, patience, news)
        finally:
            process.kill()  # nothing where it has ended
            process.wait()
        if process.returncode:
            said.seek(0)
            words = said.read().decode("utf-8", "replace").strip().splitlines()[-LAST_LINES:]
            raise ChildError(process.returncode, words)


class ChildError(Exception):
    """A process that failed: `code` as of `subprocess` (negative: a signal ended it), `words`, its last lines."""

    def __init__(self, code: int, words: Sequence[str]) -> None:
        ended = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        super().__init__(f"{ended}: {' '.join(words)}" if words else ended)
        self.code = code


def wait(process: subprocess.Popen[bytes], what: str, patience: float, news: float) -> None:
    """Until it ends; TimeoutError when that takes too long."""
    started = monotonic()
    while process.poll() is None:
        left = patience - (monotonic() - started)
        if left <= 0:
            raise TimeoutError(f"not done within {patience:g} s")
        try:
            process.wait(min(news, left))
        except subprocess.TimeoutExpired:
            limit = f" of at most {patience:.0f}" if patience < math.inf else ""
            log.info("still %s after %.0f%s s", what, monotonic() - started, limit)


def end_with_parent() -> None:
    """In such a process: end it at once when the one that started it is gone, however that ended."""

    def watch() -> None:
        os.read(0, 1)  # comes back when nobody holds the other end
        os._exit(1)

    if stat.S_ISFIFO(os.fstat(0).st_mode):  # not by hand
        threading.Thread(target=watch, daemon=True).start()
