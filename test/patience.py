"""How much longer than on a fast, idle machine a test waits for an event before it gives up: a measured factor.

Tests wait for events, never for the clock; limits like these only end a wait for what will not come.
"""

from __future__ import annotations

import time
from functools import cache

LOOPS = 200_000
FAST_S = 0.012
"""What the loop takes on a fast core."""
MOST = 10.0


@cache
def patience() -> float:
    """1 on a fast machine, 5 on one five times slower or as busy; the slowest of three measurements."""
    return min(MOST, max(1.0, *(seconds() / FAST_S for _ in range(3))))


def seconds() -> float:
    begin = time.perf_counter()
    sum(i * i for i in range(LOOPS))
    return time.perf_counter() - begin
