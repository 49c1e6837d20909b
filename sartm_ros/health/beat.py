"""Whether the process stood still: stopped (SIGSTOP, a paused container), or starved for long.

After that, frames that waited for it are old, and so is the mask of what was in the model: `leftover` has them. Plain
Python; all times are monotonic seconds.
"""

from __future__ import annotations

import statistics
from math import inf

from sartm_ros.health.vitals import PERIOD_SAMPLES, Vitals, typical
from sartm_ros.pairing.stamps import NS

STANDSTILL_S = 1.0
"""The executor's callbacks are due four times as often, at least; a longer pause is a standstill."""
DRAINED_S = 1.0
"""So long after it, what waited in the middleware may still come."""
LATE_S, LATE_PERIODS = 0.1, 2
"""A frame is late when it comes so much later after its stamp than before the standstill: so many of its periods."""


class Beat:
    """`tick` comes from the executor's callbacks; `stood_still_since` may be asked by any thread."""

    def __init__(self) -> None:
        self._last: float | None = None
        self._ended = -inf
        self._usual: dict[str, float] = {}

    def tick(self, now: float, vitals: dict[str, Vitals]) -> float:
        """The executor runs; how long it stood still before, 0 if it did not."""
        stood = 0.0 if self._last is None else now - self._last
        self._last = now
        if stood < STANDSTILL_S:
            return 0.0
        self._ended = now
        self._usual = {stream: _lateness(seen) + _allowed(seen) for stream, seen in vitals.items() if seen.stamps_ns}
        return stood

    def stood_still_since(self, moment: float, now: float) -> bool:
        """Also while nobody has noticed yet."""
        return moment < self._ended or (self._last is not None and now - self._last >= STANDSTILL_S)

    def late(self, stream: str, stamp_ns: int, now: float) -> bool:
        """Whether a frame that comes now has waited for the process to go on."""
        return not self.drained(now) and now - stamp_ns / NS > self._usual.get(stream, inf)

    def drained(self, now: float) -> bool:
        """Whether all that waited has come."""
        return now - self._ended > DRAINED_S


def _lateness(seen: Vitals) -> float:
    """Arrival minus stamp of the last frames, s; by two clocks, so it says nothing alone."""
    return statistics.median(arrived - stamp / NS for arrived, stamp in seen.frames()[-PERIOD_SAMPLES:])


def _allowed(seen: Vitals) -> float:
    return max(LATE_S, LATE_PERIODS * typical(list(seen.arrivals)[-PERIOD_SAMPLES:]))
