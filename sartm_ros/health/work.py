"""What the model's thread did: masks, failures, times; written there and read by the executor's thread."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sartm_ros.health.vitals import RATE_WINDOW_S

SAMPLES = 300
"""Percentiles are taken over this many of the latest masks."""
RATE_SAMPLES = 512
"""Masks kept to know their rate."""
PATIENCE_S = 2.0
"""A model that needs less than this for its answer never counts as hanging."""
FIRST_PATIENCE_S = 5.0
"""The same for its first answer: how fast it is on this machine is not known yet."""
PATIENCE_TIMES = 5
"""Nor does one that needs less than so many times its usual inference time."""


@dataclass(frozen=True)
class Progress:
    """How the model gets on; times in monotonic seconds."""

    busy_since: float | None
    """When the model took what it has not answered yet."""
    answered: float
    """When it last gave a mask, failed, or a frame could not be converted for it; 0: not yet."""
    failures: int
    """Jobs in a row without a mask."""
    failing_since: float
    last_failure: str
    usual_s: float | None
    """Inference time: 95 % of the latest ones, or the last one if it was longer. None before the first."""

    @property
    def patience_s(self) -> float:
        """An answer may take so long, seconds."""
        return FIRST_PATIENCE_S if self.usual_s is None else max(PATIENCE_S, PATIENCE_TIMES * self.usual_s)


@dataclass
class Work:
    """What the model's thread did; times in milliseconds. Safe to write there and to read here.

    `taken`, then `done` or `failed`, come from the model's thread; `now` is monotonic seconds.
    """

    masks: int = 0
    masks_one_camera: int = 0
    failures: int = 0
    last_failure: str = ""
    inference_ms: deque[float] = field(default_factory=lambda: deque(maxlen=SAMPLES))
    latency_ms: deque[float] = field(default_factory=lambda: deque(maxlen=SAMPLES))
    age_ms: deque[float] = field(default_factory=lambda: deque(maxlen=SAMPLES))
    turn_ms: deque[float] = field(default_factory=lambda: deque(maxlen=SAMPLES))
    """What a mask took of the model's thread: its conversion, where no other thread did it, and the inference."""
    finished: deque[float] = field(default_factory=lambda: deque(maxlen=RATE_SAMPLES))
    _busy_since: float | None = None
    _answered: float = 0.0
    _failures_in_row: int = 0
    _failing_since: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def restart(self) -> None:
        """A new activation begins: what the model was busy with, and how it failed, no longer matters."""
        with self._lock:
            self._busy_since, self._failures_in_row = None, 0

    def taken(self, now: float) -> None:
        """Note that a job goes into the model."""
        with self._lock:
            self._busy_since = now

    def spoiled(self, now: float) -> None:
        """Note that a frame of a job could not be converted: this is an answer too."""
        with self._lock:
            self._answered = now

    def done(
        self, inference_ms: float, latency_ms: float, now: float, one_camera: bool, age_ms: float | None = None,
        turn_ms: float | None = None,
    ) -> None:  # fmt: skip
        """Note one published mask.

        latency_ms: from the newer frame's arrival to publication. age_ms: node clock minus the mask's stamp at
        publication, None while that clock does not run. turn_ms: all of the model's thread's time; None: inference_ms.
        """
        with self._lock:
            self._busy_since, self._answered, self._failures_in_row = None, now, 0
            self.masks += 1
            self.masks_one_camera += one_camera
            self.inference_ms.append(inference_ms)
            self.turn_ms.append(inference_ms if turn_ms is None else turn_ms)
            self.latency_ms.append(latency_ms)
            self.finished.append(now)
            if age_ms is not None:
                self.age_ms.append(age_ms)

    def outdated(self, now: float) -> None:
        """Note a mask that was too old to be published."""
        with self._lock:
            self._busy_since, self._answered = None, now

    def failed(self, error: str, now: float) -> None:
        """Note that a job gave no mask."""
        with self._lock:
            if not self._failures_in_row:
                self._failing_since = now
            self._busy_since, self._answered = None, now
            self._failures_in_row += 1
            self.failures += 1
            self.last_failure = error

    def progress(self) -> Progress:
        """How the model gets on."""
        with self._lock:
            inference, last = list(self.inference_ms), self.last_failure
            told = (self._busy_since, self._answered, self._failures_in_row, self._failing_since, last)
        usual_ms = percentile(inference, 0.95)
        return Progress(*told, None if usual_ms is None else max(usual_ms, inference[-1]) / 1e3)

    def times(self) -> tuple[list[float], list[float], list[float]]:
        """Of the latest masks: when they were published, seconds in the model, seconds of its thread."""
        with self._lock:
            return list(self.finished), [ms / 1e3 for ms in self.inference_ms], [ms / 1e3 for ms in self.turn_ms]

    def rate(self, now: float) -> float:
        """Masks a second over the last `RATE_WINDOW_S` seconds."""
        with self._lock:
            recent = [f for f in self.finished if now - f <= RATE_WINDOW_S]
        return (len(recent) - 1) / (now - recent[0]) if len(recent) > 1 and now > recent[0] else 0.0

    def numbers(self, now: float) -> dict[str, Any]:
        """Everything by key."""
        with self._lock:
            inference, latency, age = list(self.inference_ms), list(self.latency_ms), list(self.age_ms)
            out: dict[str, Any] = {"masks": self.masks, "masks_one_camera": self.masks_one_camera}
            failed = {"failures": self.failures, "last_failure": self.last_failure}
        out["mask_rate_hz"] = self.rate(now)
        for name, values in (("inference", inference), ("latency", latency), ("mask_age", age)):
            out[f"{name}_p50_ms"] = percentile(values, 0.50)
            out[f"{name}_p95_ms"] = percentile(values, 0.95)
            if name != "inference":
                out[f"{name}_max_ms"] = max(values, default=None)
        return out | failed


def percentile(values: Iterable[float], share: float) -> float | None:
    """The value below which `share` (0..1) of the values lie; None without values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None
