"""The end of a process is quiet: from the moment it begins, Ctrl-C and SIGTERM do nothing any more. So is an end that
whoever read its output brought about, as `head` does."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TextIO

NOBODY_READS = 128 + signal.SIGPIPE
"""Exit code, as of a process that the signal ended."""


class Gate:
    """A handler of SIGINT that acts as Python's own until it is closed; then it does nothing, for good.

    Its presence tells those inside that the process ends with them. SIGTERM has no gate: rclpy hands it on to a handler
    that stood there before.
    """

    def __init__(self) -> None:
        self.closed = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if not self.closed:
            signal.default_int_handler(number, frame)  # KeyboardInterrupt

    def close(self) -> None:
        """The end begins."""
        self.closed = True
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)


def nobody_reads(out: TextIO) -> bool:
    """Whether it is a pipe whose reader has gone."""
    poll = select.poll()
    poll.register(out.fileno(), select.POLLERR)
    return any(event & select.POLLERR for _, event in poll.poll(0))


@contextmanager
def quiet_exit() -> Iterator[Gate]:
    """For a process that ends behind this block: the block's end closes its gate, if nothing did before. Main thread
    only; elsewhere Python hears no signals, and this does nothing."""
    gate, out = Gate(), sys.__stdout__
    in_main = threading.current_thread() is threading.main_thread()
    if in_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not below nohup
        signal.signal(signal.SIGINT, gate)
    try:
        try:
            yield gate
        finally:
            if out is not None and sys.stdout is out and not out.closed:
                out.flush()  # here the next lines are told if nobody reads any more
    except BrokenPipeError:
        if out is None or not nobody_reads(out):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())  # for Python's own last flush
        raise SystemExit(NOBODY_READS) from None
    finally:
        if in_main and isinstance(signal.getsignal(signal.SIGINT), Gate):
            gate.close()
