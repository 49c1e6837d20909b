"""The end of a process is quiet: from the moment it begins, Ctrl-C and SIGTERM do nothing any more."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM)


class Gate:
    """A signal handler that acts as Python does without one, until it is closed; then it does nothing, for good.

    Where the end begins inside of something that puts handlers back afterwards, it is this one that comes back, closed.
    """

    def __init__(self) -> None:
        self.closed = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.closed:
            return
        if number == signal.SIGINT:
            signal.default_int_handler(number, frame)  # KeyboardInterrupt
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


@contextmanager
def quiet_exit() -> Iterator[Gate]:
    """For a process that ends behind this block: its signals go through a gate, which the block closes at its end, or
    before. Main thread only; elsewhere Python hears no signals, and this does nothing."""
    gate = Gate()
    if threading.current_thread() is threading.main_thread():
        for number in ENDING:
            if signal.getsignal(number) in (signal.default_int_handler, signal.SIG_DFL):  # not `nohup`, not a tool
                signal.signal(number, gate)
    try:
        yield gate
    finally:
        gate.closed = True


def close_gates(handlers: Iterable[object]) -> None:
    """The end begins: of these handlers the gates do nothing any more."""
    for handler in handlers:
        if isinstance(handler, Gate):
            handler.closed = True
