"""The last messages of a topic, found again by their stamps; filled by the executor, read by the model's thread."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

from sartm_ros.pairing.stamps import NS

KEPT = 15
"""Messages: half a second at 30 Hz, longer than a frame waits for its partner and the model."""


class Recent:
    """Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._messages: deque[tuple[int, Any]] = deque(maxlen=KEPT)

    def put(self, message: Any) -> None:
        """Keep one; stamps that go back (a bag that loops) begin anew."""
        stamp = message.header.stamp.sec * NS + message.header.stamp.nanosec
        with self._lock:
            if self._messages and stamp < self._messages[-1][0]:
                self._messages.clear()
            self._messages.append((stamp, message))

    def latest(self) -> Any:
        """The newest one, or None."""
        with self._lock:
            return self._messages[-1][1] if self._messages else None

    def nearest(self, stamp_ns: int) -> tuple[int, Any] | None:
        """Its stamp minus this one, ns, and the message; None without any."""
        with self._lock:
            found = min(self._messages, key=lambda one: abs(one[0] - stamp_ns), default=None)
        return None if found is None else (found[0] - stamp_ns, found[1])
