"""What the node measured, as diagnostic_msgs/DiagnosticStatus: one for the node and one for each camera.

Levels (`level`): ERROR when no mask can come (state "no input..." or "no masks..."), WARN when the node does not do all
it should (any other state but "ok", or something to complain about), OK else. A camera (`camera_verdict`): ERROR while
it is lost, WARN when part of its frames is lost or doubtful, or nobody listens.
"""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from sartm_core.support.text import plain
from sartm_ros.health.explain import stamp_age_s
from sartm_ros.health.health import UNUSABLE
from sartm_ros.health.vitals import RATE_WINDOW_S, Vitals
from sartm_ros.pairing.nearest import STREAMS, Counters
from sartm_ros.pairing.stamps import missing_share

SAMPLES = 300
"""Percentiles are taken over this many of the latest masks."""
RATE_SAMPLES = 64
"""Masks kept to know their rate."""
PATIENCE_S = 2.0
"""A model that needs less than this for its answer never counts as hanging."""
FIRST_PATIENCE_S = 5.0
"""The same for its first answer: how fast it is on this machine is not known yet."""
PATIENCE_TIMES = 5
"""Nor does one that needs less than so many times its usual inference time."""

KEYS = {
    "state": "what the `state` topic says",
    "state_s": "how long in this state, s",
    "<stream>.rate_hz": "usable frames of the camera over the last 5 s, Hz",
    "<stream>.age_s": "since its last usable frame arrived, s",
    "<stream>.stamp_age_s": "the node's clock minus its newest stamp, s; large with a bag played without /clock",
    "<stream>.frames": "usable frames so far, judged by their headers",
    "<stream>.refused": "frames so far that could not be used, because of their header or their content",
    "<stream>.format": "size and encoding of its last frame",
    "<stream>.fault": "silent, frozen or unusable while it counts as lost, empty else",
    "<stream>.lost_percent": (
        "frames missing in the rhythm of its stamps, whoever dropped them (camera, network, a busy machine), %; "
        "'-': too few frames, or irregular stamps"
    ),
    "<stream>.middleware_lost": "messages the middleware lost since activation; '-': it does not tell",
    "<stream>.warning": "what is doubtful about its last frame",
    "<stream>.last_error": "why its last refused frame was refused",
    "<stream>.dropped.<reason>": "usable frames not paired, by reason",
    "pairs": "pairs so far",
    "pairing.resets": "times the stamps jumped back (bag loop) and pairing began anew",
    "pairing.skew_mean_ms": "time between the two frames of the last pairs, offsets added: mean, ms",
    "pairing.skew_min_ms": "the same: smallest, ms",
    "pairing.skew_max_ms": "the same: largest, ms",
    "dropped_busy": "pairs dropped because a newer one came while the model was busy",
    "masks": "masks so far",
    "masks_one_camera": "masks so far from one camera alone",
    "mask_rate_hz": "masks over the last 5 s, Hz",
    "inference_p50_ms": "time in the model: median of the last 300 masks, ms",
    "inference_p95_ms": "the same: 95 % are below, ms",
    "latency_p50_ms": "from the arrival of the newer frame to the mask's publication: median, ms",
    "latency_p95_ms": "the same: 95 % are below, ms",
    "latency_max_ms": "the same: largest, ms",
    "mask_age_p50_ms": "the node's clock minus the mask's stamp at publication: median, ms",
    "mask_age_p95_ms": "the same: 95 % are below, ms",
    "mask_age_max_ms": "the same: largest, ms",
    "failures": "times the model gave no mask",
    "last_failure": "why the last time",
    "internal_errors": "errors in the node's own code that it survived: please report them with the log",
    "subscribers": "subscriptions on the image topics of the node",
    "model.name": "name of the weights",
    "model.adapters": "names of all weights that are loaded; model.name is the one in use",
    "model.sha256": "hash of the weights' file",
    "model.device": "where the model runs",
    "model.engine": "what executes it",
    "model.precision": "its number format",
    "model.gpu_memory_mb": "GPU memory in use by this process, MiB; '-' on the CPU",
    "model.note": "what differs from the parameters, for example after out of memory",
    "model.reload": "outcome of the last ~/reload",
}
"""Every key: its meaning and, where it has one, its unit. <stream> is rgb or thermal.

A camera's own status has its keys without `<stream>.`.
"""


def pattern(key: str) -> str:
    """The entry of `KEYS` that a published key belongs to."""
    key = re.sub(rf"^({'|'.join(STREAMS)})\.", "<stream>.", key)
    return re.sub(r"\.dropped\..*", ".dropped.<reason>", key)


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
        self, inference_ms: float, latency_ms: float, now: float, one_camera: bool, age_ms: float | None = None
    ) -> None:
        """Note one published mask.

        latency_ms: from the newer frame's arrival to publication. age_ms: node clock minus the mask's stamp at
        publication, None while that clock does not run.
        """
        with self._lock:
            self._busy_since, self._answered, self._failures_in_row = None, now, 0
            self.masks += 1
            self.masks_one_camera += one_camera
            self.inference_ms.append(inference_ms)
            self.latency_ms.append(latency_ms)
            self.finished.append(now)
            if age_ms is not None:
                self.age_ms.append(age_ms)

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


def stream_numbers(
    seen: Vitals, fault: str, dropped: dict[str, int] | None, now: float, clock_ns: int | None
) -> dict[str, Any]:
    """Numbers of one camera by key without `<stream>.`; now: monotonic s, clock_ns: the node's clock."""
    share = missing_share(list(seen.stamps_ns))
    numbers = {
        "rate_hz": seen.rate(now),
        "age_s": None if seen.last_good is None else now - seen.last_good,
        "stamp_age_s": stamp_age_s(seen, clock_ns),
        "frames": seen.good,
        "refused": seen.bad,
        "format": seen.format,
        "fault": fault,
        "lost_percent": None if share is None else 100.0 * share,
        "middleware_lost": seen.lost,
        "warning": seen.warning,
        "last_error": seen.last_error,
    }
    return numbers | {f"dropped.{reason}": n for reason, n in (dropped or {}).items()}


def pairing_numbers(counters: Counters) -> dict[str, Any]:
    """Numbers of the pairing by key."""
    skews = [abs(s) / 1e6 for s in counters.skews_ns]
    return {
        "pairs": counters.pairs,
        "pairing.resets": counters.resets,
        "pairing.skew_mean_ms": sum(skews) / len(skews) if skews else None,
        "pairing.skew_min_ms": min(skews, default=None),
        "pairing.skew_max_ms": max(skews, default=None),
    }


def model_numbers(model: dict[str, Any]) -> dict[str, Any]:
    """What is known of the model, every `model.*` key of `KEYS`."""
    known = [key for key in KEYS if key.startswith("model.")]
    return {key: model.get(key.removeprefix("model.")) for key in known}


def level(state: str, doubts: bool) -> bytes:
    """The node's level by its state and whether there is anything to complain about; the rule is in the head above."""
    if state.startswith(("no input", "no masks")):
        return bytes(DiagnosticStatus.ERROR)
    return bytes(DiagnosticStatus.OK if state == "ok" and not doubts else DiagnosticStatus.WARN)


def camera_verdict(active: bool, heard: bool, numbers: dict[str, Any], loss: str) -> tuple[bytes, str]:
    """Level and message of one camera's status; numbers: `stream_numbers`, loss: `explain.explain_loss`."""
    if not active:
        return bytes(DiagnosticStatus.WARN), "not listening: the node is not active"
    if numbers["fault"] == UNUSABLE:
        return bytes(DiagnosticStatus.ERROR), f"{UNUSABLE}: {numbers['last_error']}"
    if numbers["fault"]:
        age = f", last usable frame {numbers['age_s']:.1f} s ago" if heard else ", no usable frame so far"
        return bytes(DiagnosticStatus.ERROR), f"{numbers['fault']}{age}"
    if not heard:
        return bytes(DiagnosticStatus.WARN), "no usable frame so far"
    text = f"{numbers['rate_hz']:.1f} Hz, {numbers['format']}, last frame {numbers['age_s']:.2f} s ago"
    doubts = [doubt for doubt in (loss, numbers["warning"]) if doubt]
    return bytes(DiagnosticStatus.WARN if doubts else DiagnosticStatus.OK), ". ".join([text, *doubts])


def text(value: Any) -> str:
    """A value as diagnostics show it."""
    if value is None:
        return "-"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def status(name: str, hardware: str, level: bytes, summary: str, numbers: dict[str, Any]) -> DiagnosticStatus:
    """One entry; hardware: the weights' name, or the camera's topic."""
    out = DiagnosticStatus(level=level, name=name, message=plain(summary), hardware_id=plain(hardware))
    out.values = [KeyValue(key=plain(key), value=plain(text(value))) for key, value in numbers.items()]
    return out


def to_message(stamp: Any, statuses: list[DiagnosticStatus]) -> DiagnosticArray:
    """The message for /diagnostics; stamp: builtin_interfaces/Time."""
    message = DiagnosticArray(status=statuses)
    message.header.stamp = stamp
    return message
