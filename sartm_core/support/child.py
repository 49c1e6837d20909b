"""A module of ours run in a process of its own: it can be stopped, and takes its memory with it."""

from __future__ import annotations

import logging
import os
import signal
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


def run(module: str, arguments: Sequence[str], what: str, patience: float, news: float = NEWS) -> None:
    """`python -m module arguments...`, until it ends; what it prints is told only where it fails.

    what: what it does, for the log ("building").

    Raises:
        OSError: it cannot be started.
        TimeoutError: after `patience` seconds; the process has ended then.
        ChildError: what went wrong, in its last words.
    """
    paths = os.pathsep.join(path for path in sys.path if path)
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(
            [sys.executable, "-m", module, *arguments], stdin=subprocess.PIPE, stdout=said, stderr=said,
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
            log.info("still %s after %.0f of at most %.0f s", what, monotonic() - started, patience)


def end_with_parent() -> None:
    """In such a process: end it at once when the one that started it is gone, however that ended, and only then.

    A Ctrl-C is for that one. (In a session of its own this one would not hear of it, but Linux gives each session its
    share of the processors: beside other work it took twice as long.)
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        os.read(0, 1)  # comes back when nobody holds the other end
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
