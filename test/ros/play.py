"""Two cameras played to `health.Liveness` with an exact clock."""

from __future__ import annotations

import itertools

from sartm_ros.health import health
from sartm_ros.health.health import Limits
from sartm_ros.health.vitals import Vitals
from sartm_ros.pairing.nearest import RGB, STREAMS, THERMAL

LIMITS = Limits(timeout=1.0, recovery=0.5, frozen=0.5)
TICK_S = 0.1
EPSILON = 1e-9
NOTHING = "nothing"
"""A picture without a fingerprint."""


def frames(rate, *spans, picture=None):
    """(time, picture) at `rate` within the spans (begin, end) of seconds; the picture changes, or is the given one."""
    out = []
    for begin, end in spans:
        count = round((end - begin) * rate)
        out += [(begin + k / rate, (begin, k) if picture is None else picture) for k in range(count)]
    return out


def repeated(rate, of, end):
    """Frames at `rate`, each with the newest picture of a camera that makes `of` pictures a second."""
    return [(k / rate, ("content", int(k / rate * of + EPSILON))) for k in range(round(end * rate))]


class Play:
    """Two cameras' frames through Liveness, asked after every frame and on a timer; `flips`: (time, mode, faults)."""

    def __init__(self, rgb, thermal, limits=LIMITS, end=None):
        self.vitals = {stream: Vitals() for stream in STREAMS}
        self.live = health.Liveness(self.vitals)
        self.live.start(0.0)
        events = [(t, 1, RGB, hash(p)) for t, p in rgb] + [(t, 1, THERMAL, hash(p)) for t, p in thermal]
        end = end if end is not None else max(t for t, *_ in events)
        events += [(k * TICK_S, 0, "", 0) for k in range(1, round(end / TICK_S))]
        self.flips = [(0.0, "both", {RGB: "", THERMAL: ""})]
        for now, _, stream, picture in sorted(events, key=lambda e: e[:3]):
            if stream:
                self.live.saw(
                    stream, now, round(now * 1e9), "64x48 mono8", None if picture == hash(NOTHING) else picture, 1000
                )
            mode, faults = self.live.update(now, limits), self.live.faults()
            if (mode, faults) != self.flips[-1][1:]:
                self.flips.append((now, mode, faults))

    @property
    def modes(self):
        return [mode for mode, _ in itertools.groupby(mode for _, mode, _ in self.flips)]

    def at(self, mode):
        """When `mode` came for the first time after the start."""
        return next(now for now, m, _ in self.flips[1:] if m == mode)
