"""Ctrl-C while a process is ending already."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from rclpy.signals import uninstall_signal_handlers

from sartm_core.support.ending import Gate

ENDING = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def quiet_end() -> Iterator[None]:
    """Ctrl-C and SIGTERM do nothing in the block, which ends what runs: a second one (`ros2 launch` in a terminal sends
    two) would cut it short. Afterwards all is as before; in a process that ends with this (`quiet_exit`)
    signals stay without effect. Main thread only; elsewhere Python hears no signals, and this does nothing.

    rclpy's own handlers are gone for good: its thread that wakes executors on a signal looks at their guard conditions
    without a lock, and one that shuts down at that moment was a segmentation fault. This waits for that thread's end.
    """
    before = {number: signal.getsignal(number) for number in ENDING}
    if threading.current_thread() is not threading.main_thread() or None in before.values():  # None: not from Python
        yield
        return
    uninstall_signal_handlers()
    # No SIG_IGN here: rclpy puts Python's own handler back when it shuts down, which complains about SIG_IGN.
    for number in ENDING:
        signal.signal(number, _nothing)
    try:
        yield
    finally:
        process_ends = any(isinstance(handler, Gate) for handler in before.values())
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if process_ends else handler)


def _nothing(number: int, frame: FrameType | None) -> None:
    """Handle a signal by going on."""
