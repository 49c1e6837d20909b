"""The highest rate that holds, found by trying rates: doubled or halved, then between the last two."""

from __future__ import annotations

import math
from collections.abc import Callable

RESOLUTION = 1.05
"""The rate that is found holds; one this many times higher does not."""


def find_peak(holds: Callable[[float], bool], lowest: float, highest: float, guess: float) -> float | None:
    """The highest rate (Hz) between the two that `holds`, to a step of `RESOLUTION`; None when not even the lowest.

    Tried first is the guess, then its doubles or halves.
    """
    good, bad = 0.0, math.inf
    rate = min(max(guess, lowest), highest)
    while True:
        good, bad = (rate, bad) if holds(rate) else (good, rate)
        if good == highest or bad == lowest or (good and bad / good <= RESOLUTION):
            return good or None
        if not good:
            rate = max(bad / 2, lowest)
        elif bad == math.inf:
            rate = min(2 * good, highest)
        else:
            rate = math.sqrt(good * bad)
