"""Errors in the node's own code that it survived: counted, told, and in the diagnostics for a while."""

from __future__ import annotations

import threading
import traceback
from typing import Any

from sartm_ros.health.health import Throttle

SHOWN_S = 10.0
"""An error stays in the diagnostics for so long."""


class Mistakes:
    """From any thread. log: the node's."""

    def __init__(self, log: Any, throttle: Throttle) -> None:
        self.count = 0
        self._log, self._throttle = log, throttle
        self._last: tuple[float, str] | None = None
        self._lock = threading.Lock()

    def note(self, where: str, error: Exception, now: float) -> None:
        """One was caught by a guard around the callback `where`."""
        text = f"internal error in {where}: {type(error).__name__}: {error}"
        with self._lock:
            self.count += 1
            self._last = (now, text)
        if self._throttle.ready(f"internal {where} {type(error).__name__}", now):
            self._log.error(text)
            self._log.debug("".join(traceback.format_exception(type(error), error, error.__traceback__)))

    def lately(self, now: float) -> str:
        """The last one; empty when it is long ago."""
        last = self._last
        return last[1] if last and now - last[0] <= SHOWN_S else ""
