"""What the node measured, as one diagnostic_msgs/DiagnosticStatus with a key for each number."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from sartm_ros.health import Vitals
from sartm_ros.pairing import STREAMS, Counters

SAMPLES = 300
"""Percentiles are taken over this many of the latest masks."""


@dataclass
class Work:
    """What the worker did; times in milliseconds. Written by the worker thread, read by the diagnostics timer."""

    masks: int = 0
    masks_one_camera: int = 0
    failures: int = 0
    last_failure: str = ""
    inference_ms: deque[float] = field(default_factory=lambda: deque(maxlen=SAMPLES))
    latency_ms: deque[float] = field(default_factory=lambda: deque(maxlen=SAMPLES))
    finished: deque[float] = field(default_factory=lambda: deque(maxlen=64))

    def done(self, inference_ms: float, latency_ms: float, now: float, one_camera: bool) -> None:
        """Note one published mask: inference time, and time from the newer frame's arrival to publication."""
        self.masks += 1
        self.masks_one_camera += one_camera
        self.inference_ms.append(inference_ms)
        self.latency_ms.append(latency_ms)
        self.finished.append(now)

    def rate(self, now: float, window: float = 5.0) -> float:
        """Masks a second over the last `window` seconds."""
        recent = [f for f in self.finished if now - f <= window]
        return (len(recent) - 1) / (now - recent[0]) if len(recent) > 1 and now > recent[0] else 0.0


def percentile(values: Iterable[float], share: float) -> float | None:
    """The value below which `share` (0..1) of the values lie; None without values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


def collect(
    state: str, vitals: dict[str, Vitals], counters: Counters | None, work: Work, dropped_busy: int, now: float
) -> dict[str, Any]:
    """All numbers by key; `now` in monotonic seconds. None means not known yet."""
    out: dict[str, Any] = {"state": state}
    for stream in STREAMS:
        seen = vitals[stream]
        out[f"{stream}.rate_hz"] = seen.rate(now)
        out[f"{stream}.age_s"] = None if seen.last_good is None else now - seen.last_good
        out[f"{stream}.frames"] = seen.good
        out[f"{stream}.refused"] = seen.bad
        out[f"{stream}.format"] = seen.format
        if seen.last_error:
            out[f"{stream}.last_error"] = seen.last_error
    if counters is not None:
        skews = [abs(s) / 1e6 for s in list(counters.skews_ns)]
        out["pairs"] = counters.pairs
        out["pairing.resets"] = counters.resets
        out["pairing.skew_mean_ms"] = sum(skews) / len(skews) if skews else None
        out["pairing.skew_max_ms"] = max(skews, default=None)
        for stream, reasons in counters.dropped.items():
            out |= {f"{stream}.dropped.{reason}": n for reason, n in reasons.items()}
    out["dropped_busy"] = dropped_busy
    out["masks"] = work.masks
    out["masks_one_camera"] = work.masks_one_camera
    out["mask_rate_hz"] = work.rate(now)
    for name, values in (("inference", list(work.inference_ms)), ("latency", list(work.latency_ms))):
        out[f"{name}_p50_ms"] = percentile(values, 0.50)
        out[f"{name}_p95_ms"] = percentile(values, 0.95)
    out["failures"] = work.failures
    if work.last_failure:
        out["last_failure"] = work.last_failure
    return out


def text(value: Any) -> str:
    """A value as diagnostics show it."""
    if value is None:
        return "-"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def to_message(
    stamp: Any, name: str, model: str, level: bytes, summary: str, numbers: dict[str, Any]
) -> DiagnosticArray:
    """The message for /diagnostics; stamp: builtin_interfaces/Time, level: DiagnosticStatus.OK, WARN or ERROR."""
    status = DiagnosticStatus(level=level, name=name, message=summary, hardware_id=model)
    status.values = [KeyValue(key=key, value=text(value)) for key, value in numbers.items()]
    message = DiagnosticArray(status=[status])
    message.header.stamp = stamp
    return message
