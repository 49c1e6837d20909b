"""What the header stamps of the cameras tell: how far apart two streams are, whether time goes on, what is missing.

Plain functions on lists of stamps (nanoseconds) and arrival times (seconds of the steady clock).
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from itertools import pairwise

NS = 1_000_000_000
LOOK_BACK = 8
"""Whether stamps advance is judged by this many of the latest ones."""
LEAST_STAMPS = 12
"""Fewer stamps say nothing about missing frames."""
LOW_QUANTILE = 0.1
"""The period is looked for at this quantile of the differences: lost frames only make differences longer."""
GRID_TOLERANCE = 0.2
"""A difference this near to a whole number of periods (in periods) fits the camera's rhythm."""
GRID_SHARE = 0.8
"""Share of the differences that must fit; else the stamps are irregular and nothing can be said."""
PAUSE_PERIODS = 10
"""A longer difference is a pause (shutter, restart) and no loss, unless there are many."""
PAUSE_SHARE = 0.125
"""Many: more than this share of the differences."""


def advance(stamps_ns: Sequence[int]) -> bool:
    """Whether the latest stamps get anywhere; true as long as there are fewer than three."""
    latest = stamps_ns[-LOOK_BACK:]
    return len(latest) < 3 or max(latest) > latest[0]


def period(frames: Sequence[tuple[float, int]]) -> float:
    """Seconds between two frames (arrived, stamp), the median; 0.0 of fewer than two."""
    gaps = [later - earlier for (earlier, _), (later, _) in pairwise(frames)]
    return statistics.median(gaps) if gaps else 0.0


def rising(stamps_ns: Sequence[int]) -> list[int]:
    """The stamps since the last one that was not newer than the one before it."""
    begin = max((k for k in range(1, len(stamps_ns)) if stamps_ns[k] <= stamps_ns[k - 1]), default=0)
    return list(stamps_ns[begin:])


def missing_share(stamps_ns: Sequence[int]) -> float | None:
    """Share (0..1) of the frames missing between the first and the last stamp, 1 - n / (span / period + 1).

    None when there are too few stamps or when they do not lie on a regular grid: a camera without a rhythm loses
    nothing that could be counted.
    """
    stamps = rising(stamps_ns)
    if len(stamps) < LEAST_STAMPS:
        return None
    gaps = [b - a for a, b in pairwise(stamps)]
    period = float(sorted(gaps)[int(LOW_QUANTILE * len(gaps))])
    period = sum(gaps) / sum(max(1, round(gap / period)) for gap in gaps)  # jitter averages out
    fitting = sum(abs(gap / period - max(1, round(gap / period))) <= GRID_TOLERANCE for gap in gaps)
    if fitting < GRID_SHARE * len(gaps):
        return None
    counted = [gap for gap in gaps if gap <= PAUSE_PERIODS * period]
    if len(gaps) - len(counted) > PAUSE_SHARE * len(gaps):
        counted = gaps
    steps = sum(max(1, round(gap / period)) for gap in counted)
    return 1.0 - (len(counted) + 1) / (steps + 1)


def skews(rgb_ns: Sequence[int], thermal_ns: Sequence[int]) -> list[int]:
    """Signed time from each frame of the shorter list to its nearest one of the other, thermal minus rgb, ns."""
    if not rgb_ns or not thermal_ns:
        return []
    if len(thermal_ns) <= len(rgb_ns):
        return [min((t - r for r in rgb_ns), key=abs) for t in thermal_ns]
    return [min((t - r for t in thermal_ns), key=abs) for r in rgb_ns]


Frames = Sequence[tuple[float, int]]
"""Arrival (monotonic s) and stamp (ns) of frames, oldest first."""


def same_time(a: Frames, b: Frames) -> tuple[list[tuple[float, int]], list[tuple[float, int]]]:
    """The frames of both streams that arrived since both of them were there; older ones have no counterpart."""
    if not a or not b:
        return [], []
    begin = max(a[0][0], b[0][0])
    kept = [[f for f in frames if f[0] >= begin] or [frames[-1]] for frames in (a, b)]
    return kept[0], kept[1]


def lag(rgb: Frames, thermal: Frames) -> float:
    """Seconds by which thermal frames arrive later than rgb frames of the same stamp; 0 when one list is empty."""
    if not rgb or not thermal:
        return 0.0
    delay = [statistics.median(arrived - stamp / NS for arrived, stamp in frames) for frames in (rgb, thermal)]
    return delay[1] - delay[0]
