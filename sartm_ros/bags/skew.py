"""The time between two streams over a whole recording, and the constant offset that would bring them together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sartm_ros.pairing import stamps
from sartm_ros.pairing.stamps import NS

WORTH_S = 0.001
"""A smaller offset is not worth a word."""
WARNED_SHARE = 0.1
"""A constant skew above this share of the tolerance deserves a warning."""
LEAST_WITHIN = 0.5
"""An offset that pairs fewer frames than this share is no offset but chance."""
OVERLAP = 0.5
"""Share of the shorter stream that the other one must cover, for times of both to be compared."""
LEAST_FRAMES = 3
"""Of fewer that cannot be said."""
STEADY = (10, 90)
"""Between these percentiles the time from stamp to recording must not change by more than the tolerance."""
Times = Sequence[tuple[float, int]]
"""(Recorded s, stamp ns) of frames."""
PAIRED_EQUAL = 0.02
"""Shares of frames near a partner that differ by less say nothing about which offset is right."""


@dataclass(frozen=True)
class Offset:
    """What to add to the thermal stamps (`sync.thermal_offset`) so that a constant skew is gone."""

    seconds: float
    within: float
    """Share (0..1) of the slower stream's frames that have a neighbour within the tolerance then."""
    spread_s: float
    """What is left: the p95 of |time to the nearest frame| with the offset, s."""
    by_arrival: bool
    """Found by the times of recording, since the stamps alone do not lie near each other."""


def nearest(rgb_ns: Sequence[int] | np.ndarray, thermal_ns: Sequence[int] | np.ndarray) -> np.ndarray:
    """As `stamps.skews`, for long lists: from each frame of the shorter one to its nearest in the other, ns (N,)."""
    rgb, thermal = (np.sort(np.asarray(s, np.int64)) for s in (rgb_ns, thermal_ns))
    if not len(rgb) or not len(thermal):
        return np.zeros(0, np.int64)
    few, many, sign = (thermal, rgb, 1) if len(thermal) <= len(rgb) else (rgb, thermal, -1)
    place = np.searchsorted(many, few)
    before, after = many[np.maximum(place - 1, 0)], many[np.minimum(place, len(many) - 1)]
    closest = np.where(np.abs(few - before) <= np.abs(after - few), before, after)
    return sign * (few - closest)


def timed(logged_ns: np.ndarray, stamp_ns: np.ndarray) -> list[tuple[float, int]]:
    """`Times` of arrays (N,) int64."""
    return list(zip((logged_ns / NS).tolist(), stamp_ns.tolist(), strict=True))


def fixing_offset(rgb: Times, thermal: Times, tolerance_s: float) -> Offset | None:
    """The offset that brings both streams' frames together. None when one is empty or no offset does.

    Two candidates: the stamps shifted by nothing, or by how much later thermal frames of the same stamp were recorded
    (a camera's clock that is off); each made exact by the median time to the nearest frame. The second one counts only
    where it brings more frames together: a camera may just be slow.
    """
    if not rgb or not thermal:
        return None
    r, t = (np.array([stamp for _, stamp in frames], np.int64) for frames in (rgb, thermal))
    found = []
    if overlap(r / NS, t / NS):  # else the nearest frame of all is the first or the last one
        found.append(_exact(r, t, 0.0, tolerance_s, False))
    late = recorded_later(rgb, thermal, tolerance_s)
    if late is not None:
        by_arrival = _exact(r, t, late, tolerance_s, True)
        found += [by_arrival] if not found or by_arrival.within > found[0].within + PAIRED_EQUAL else []
    return found[-1] if found and found[-1].within >= LEAST_WITHIN else None


def recorded_later(rgb: Times, thermal: Times, tolerance_s: float) -> float | None:
    """As `stamps.lag`; None where the times of recording say nothing of the cameras.

    That is so where the topics were written one after the other, or not as the frames came (a converter, a cache).
    """
    if not rgb or not thermal or not overlap(*(np.array([at for at, _ in frames]) for frames in (rgb, thermal))):
        return None
    for frames in (rgb, thermal):
        low, high = np.percentile([at - stamp / NS for at, stamp in frames], STEADY)
        if high - low > tolerance_s:
            return None
    return stamps.lag(rgb, thermal)


def overlap(a_s: np.ndarray, b_s: np.ndarray) -> bool:
    """Whether two streams were there at the same time."""
    shorter = min(np.ptp(a_s), np.ptp(b_s))
    common = min(a_s.max(), b_s.max()) - max(a_s.min(), b_s.min())
    return bool(min(len(a_s), len(b_s)) < LEAST_FRAMES or common >= OVERLAP * shorter)


def advice(offset: Offset, tolerance_s: float, used_s: float = 0.0) -> str:
    """What the offset would do, in one sentence; used_s: the one in use."""
    if abs(offset.seconds - used_s) < WORTH_S:
        return (
            "no constant skew: an offset would change nothing (|dt| p95 to the nearest frame "
            f"{offset.spread_s * 1e3:.1f} ms)"
        )
    found = " (found by the times of recording)" if offset.by_arrival else ""
    return (
        f"sync.thermal_offset {offset.seconds:+.4f} would take out the constant skew{found}: then "
        f"{100 * offset.within:.1f} % have a partner within {tolerance_s * 1e3:.1f} ms, |dt| p95 "
        f"{offset.spread_s * 1e3:.1f} ms"
    )


def _exact(rgb: np.ndarray, thermal: np.ndarray, start_s: float, tolerance_s: float, by_arrival: bool) -> Offset:
    shift = round(start_s * NS)
    for _ in range(2):  # the first step may change which frames are nearest
        shift -= int(np.median(nearest(rgb, thermal + shift)))
    left = np.abs(nearest(rgb, thermal + shift))
    within = float((left <= tolerance_s * NS).mean())
    return Offset(shift / NS, within, float(np.percentile(left, 95)) / NS, by_arrival)
