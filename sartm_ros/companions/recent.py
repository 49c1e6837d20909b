"""The last messages of a topic, found again by their stamps; filled by the executor, read by the model's thread."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

from sartm_ros.pairing.stamps import NS

KEPT = 15
"""Messages: half a second at 30 Hz, longer than a frame waits for its partner and the model."""
GONE = 2
"""Periods without a message after which none is waited for."""


class Recent:
    """Thread-safe."""

    def __init__(self) -> None:
        self._news = threading.Condition()
        self._messages: deque[tuple[int, Any]] = deque(maxlen=KEPT)

    def put(self, message: Any) -> None:
        """Keep one; stamps that go back (a bag that loops) begin anew."""
        stamp = message.header.stamp.sec * NS + message.header.stamp.nanosec
        with self._news:
            if self._messages and stamp < self._messages[-1][0]:
                self._messages.clear()
            self._messages.append((stamp, message))
            self._news.notify_all()

    def latest(self) -> Any:
        """The newest one, or None."""
        with self._news:
            return self._messages[-1][1] if self._messages else None

    def nearest(self, stamp_ns: int, wait_s: float = 0.0) -> tuple[int, Any] | None:
        """Its stamp minus this one, ns, and the message; None without any.

        wait_s: how long to wait for a message that is due by then.
        """
        with self._news:
            if self._due(stamp_ns):
                self._news.wait_for(lambda: not self._due(stamp_ns), wait_s)
            found = min(self._messages, key=lambda one: abs(one[0] - stamp_ns), default=None)
        return None if found is None else (found[0] - stamp_ns, found[1])

    def _due(self, stamp_ns: int) -> bool:
        """Whether the next message, by the rhythm of the last two, is nearest to this stamp, and still comes."""
        if not self._messages or self._messages[-1][0] >= stamp_ns:
            return False
        newest = self._messages[-1][0]
        period = newest - self._messages[-2][0] if len(self._messages) > 1 else NS
        return stamp_ns - GONE * period <= newest + period <= stamp_ns + period // 2
