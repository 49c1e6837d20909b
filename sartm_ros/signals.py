"""Ctrl-C while a process is ending already."""

from __future__ import annotations

import atexit
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def quiet_end() -> Iterator[None]:
    """Ctrl-C does nothing in the block, which ends what runs: a second one (`ros2 launch` in a terminal sends two)
    would cut it short. Afterwards all is as before, but for the interpreter's own end. Main thread only; elsewhere
    Python hears no signals, and this does nothing.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is None:  # None: not from Python
        yield
        return
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
    # No SIG_IGN here: rclpy puts Python's own handler back when it shuts down, which complains about SIG_IGN.
    signal.signal(signal.SIGINT, _nothing)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _nothing(number: int, frame: FrameType | None) -> None:
    """Handle a signal by going on."""
