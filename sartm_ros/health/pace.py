"""How fast masks come, told once it is measured, and whether they come as fast as they could. Plain Python.

They could come as often as pairs (or frames of the only camera left) do, or as often as the model answers, whichever is
slower. A model that is slower than the cameras drops frames by design.
"""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Sequence
from itertools import pairwise

TOLD_AFTER = 10
"""Masks after which their rate is told."""
KEPT = 512
"""Times kept."""
RECENT = 8
"""The pairs' rhythm and the model's speed are those of so many of the latest."""
WINDOW_S = 3.0
"""Masks are counted over so many seconds at least ..."""
WINDOW_TIMES = 8
"""... and over so many pairs, or times of the model where that is slower."""
SHORT = 0.5
"""Below this share of the masks that could have come there are too few."""
TOO_FEW = "degraded: fewer masks than frames"
"""Text of the topic `state`."""


class Pace:
    """Tell it what was given to the model by `fed`. All times are monotonic seconds."""

    def __init__(self) -> None:
        self._fed: deque[float] = deque(maxlen=KEPT)
        self._told = False
        self._since = 0.0

    def activate(self, now: float) -> None:
        """The node becomes active."""
        self._told = False
        self.restart(now)

    def restart(self, now: float) -> None:
        """Count from here: before, masks were not to be expected."""
        self._since = now

    def fed(self, now: float) -> None:
        """A pair, or a frame of the only camera left, goes to the model."""
        self._fed.append(now)

    def first(self, masks: Sequence[float], model_s: Sequence[float], what: str) -> str:
        """What the first masks of an activation took, to be said once; else empty.

        masks: when they were published. model_s: seconds in the model of each. what: the cameras' formats.
        """
        at = [k for k, when in enumerate(masks) if when >= self._since]
        if self._told or len(at) < TOLD_AFTER:
            return ""
        self._told = True
        begin, end = masks[at[0]], masks[at[-1]]
        rate = (len(at) - 1) / (end - begin) if end > begin else 0.0
        median = statistics.median(model_s[-len(at) :])
        return (
            f"measured over the first {len(at)} masks: {rate:.1f} a second, {median * 1e3:.0f} ms in the model, {what}"
        )

    def short(self, masks: Sequence[float], model_s: Sequence[float], sharers: int, now: float) -> str:
        """Why there are too few masks for what was given to the model; empty when there are not.

        sharers: nodes that take turns with the model. Without a mask so far nothing is said: see `watchdog`.
        """
        fed = [when for when in self._fed if when >= self._since]
        if len(fed) < RECENT or not model_s:
            return ""
        turn = statistics.median(model_s[-RECENT:]) * max(1, sharers)
        period = statistics.median(b - a for a, b in pairwise(fed[-RECENT:]))
        window = max(WINDOW_S, WINDOW_TIMES * max(turn, period))
        if now - self._since < window:
            return ""
        came, pairs = (sum(now - when <= window for when in times) for times in (masks, fed))
        could = min(pairs, window / turn if turn > 0 else pairs)
        if could < SHORT * WINDOW_TIMES or came >= SHORT * could:
            return ""
        alone = 1 / turn if turn > 0 else pairs / window
        return (
            f"masks come at {came / window:.1f} a second, pairs at {pairs / window:.1f}, and the model alone could "
            f"make {alone:.1f}: see failures, *.refused and latency in /diagnostics"
        )
