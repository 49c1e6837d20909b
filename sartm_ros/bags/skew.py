"""The time between two streams over a whole recording, and the constant offset that would bring them together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sartm_ros.pairing import stamps
from sartm_ros.pairing.stamps import NS

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


def fixing_offset(
    rgb: Sequence[tuple[float, int]], thermal: Sequence[tuple[float, int]], tolerance_s: float
) -> Offset | None:
    """From (recorded s, stamp ns) of both streams' frames. None when one is empty.

    Two candidates: the stamps shifted by nothing, or by how much later thermal frames of the same stamp were recorded
    (a camera's clock that is off); each made exact by the median time to the nearest frame. The second one counts only
    where it brings more frames together: a camera may just be slow.
    """
    if not rgb or not thermal:
        return None
    r, t = (np.array([stamp for _, stamp in frames], np.int64) for frames in (rgb, thermal))
    at_once = _exact(r, t, 0.0, tolerance_s, False)
    by_arrival = _exact(r, t, stamps.lag(rgb, thermal), tolerance_s, True)
    return by_arrival if by_arrival.within > at_once.within + PAIRED_EQUAL else at_once


def _exact(rgb: np.ndarray, thermal: np.ndarray, start_s: float, tolerance_s: float, by_arrival: bool) -> Offset:
    shift = round(start_s * NS)
    for _ in range(2):  # the first step may change which frames are nearest
        shift -= int(np.median(nearest(rgb, thermal + shift)))
    left = np.abs(nearest(rgb, thermal + shift))
    within = float((left <= tolerance_s * NS).mean())
    return Offset(shift / NS, within, float(np.percentile(left, 95)) / NS, by_arrival)
