"""Why nothing pairs: asks what is known of the cameras and puts the sentences of `explain` together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sartm_ros.health import explain, health
from sartm_ros.health.health import Liveness
from sartm_ros.health.seams import Camera
from sartm_ros.pairing.nearest import STREAMS

NOTHING_PAIRS_S = 1.2
"""Seconds without a pair after which the node says why; with the health timer's period this stays under 2 s."""
UNEXPLAINED = (
    "rgb and thermal frames come, with stamps that fit, but none pair: see pairing and *.dropped.* in /diagnostics"
)
"""What is said when no cause is found, rather than nothing."""


def why_nothing_pairs(
    liveness: Liveness, mode: str, cameras: Mapping[str, Camera], values: dict[str, Any], clock_ns: int, now: float
) -> str:
    """The causes, one sentence each. values: the node's parameters, clock_ns: its clock, now: monotonic s."""
    reasons = []
    for stream, camera in cameras.items():
        vitals, silent = liveness.vitals[stream], liveness.silent_for(stream, now)
        if silent > vitals.patience(NOTHING_PAIRS_S / 2):
            heard, refusing = liveness.heard(stream), liveness.refusing(stream, now)
            reasons.append(explain.explain_silence(camera.link(), silent, vitals, heard, refusing))
        elif liveness.pulses[stream].frozen:
            reasons.append(explain.explain_frozen(stream, camera.topic, liveness.same_for(stream), vitals))
        elif not liveness.pulses[stream].alive:
            reasons.append(explain.explain_recovery(stream, camera.topic, values["degraded.recovery"]))
    if reasons or mode != health.BOTH:
        return "; ".join(reasons)
    offsets = {stream: values[f"sync.{stream}_offset"] for stream in STREAMS}
    return (
        explain.explain_stamps(liveness.vitals)
        or explain.explain_skew(liveness.vitals, values["sync.tolerance"], offsets, clock_ns)
        or UNEXPLAINED
    )
