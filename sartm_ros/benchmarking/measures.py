"""Numbers of one run from what was sent and what came back; of several runs the medians.

The measures are those of NVIDIA's ros2_benchmark: frames sent and missed, rates, latency of the first and of the last
frame, jitter (how much the time between two masks differs from the time between the two before), CPU; with percentiles.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from sartm_ros.benchmarking.playback import Sent
from sartm_ros.benchmarking.usage import Usage

Mask = tuple[int, float]
"""Stamp of a mask, ns; when it was received, monotonic s."""
PERCENTILES = {"p50": 50, "p95": 95, "p99": 99}


def run(sent: Sequence[Sent], masks: Sequence[Mask]) -> dict[str, Any]:
    """Frames, rates, latency (camera messages published -> mask received) and jitter; milliseconds.

    What a run without masks cannot tell is None.
    """
    times = dict(masks)
    latencies = [(times[stamp] - first) * 1e3 for stamp, first, _ in sent if stamp in times]
    arrivals = [at for _, at in masks]
    return {
        "sent": len(sent),
        "received": len(latencies),
        "missed": len(sent) - len(latencies),
        "missed_share": 1 - len(latencies) / len(sent),
        "sent_hz": rate([first for _, first, _ in sent]),
        "received_hz": rate(arrivals),
        "latency_ms": {
            "first": latencies[0] if latencies else None,
            "last": latencies[-1] if latencies else None,
            **spread(latencies),
            "max": max(latencies, default=None),
        },
        "jitter_ms": jitter(arrivals),
        "latencies_ms": [round(latency, 3) for latency in latencies],
    }


def rate(times: Sequence[float]) -> float | None:
    """Events a second."""
    return (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 and times[-1] > times[0] else None


def spread(values: Sequence[float]) -> dict[str, float | None]:
    """Percentiles by name."""
    return {name: float(np.percentile(values, q)) if len(values) else None for name, q in PERCENTILES.items()}


def jitter(arrivals: Sequence[float]) -> dict[str, float | None]:
    """Change of the time between masks, milliseconds."""
    gaps = [b - a for a, b in pairwise(arrivals)]
    changes = [abs(b - a) * 1e3 for a, b in pairwise(gaps)]
    if not changes:
        return dict.fromkeys(("mean", "std", "max"))
    return {"mean": statistics.fmean(changes), "std": statistics.pstdev(changes), "max": max(changes)}


def usage(before: Usage | None, after: Usage | None, seconds: float, masks: int) -> dict[str, Any]:
    """CPU time of the node's process between two looks, by kind of thread: ms per mask, and % of one CPU; memory."""
    if before is None or after is None:
        return {}
    spent = {kind: after.cpu_s[kind] - before.cpu_s[kind] for kind in after.cpu_s}
    spent["all"] = sum(spent.values())
    return {
        "cpu_ms_per_mask": {kind: s / masks * 1e3 if masks else None for kind, s in spent.items()},
        "cpu_percent": {kind: s / seconds * 100 for kind, s in spent.items()},
        "memory_mib": after.memory_mib,
        "peak_memory_mib": after.peak_mib,
    }


def medians(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The same tree with the median of each number over the runs; without lists."""
    out: dict[str, Any] = {}
    for key, value in runs[0].items():
        if isinstance(value, dict):
            out[key] = medians([run[key] for run in runs])
        elif not isinstance(value, list):
            known = [run[key] for run in runs if run.get(key) is not None]
            out[key] = statistics.median(known) if known else None
    return out
