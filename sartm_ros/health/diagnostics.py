"""What the node measured, as diagnostic_msgs/DiagnosticStatus: one for the node and one for each camera.

Levels (`level`): ERROR when no mask can come (state "no input..." or "no masks..."), WARN when the node does not do all
it should (any other state but "ok", or something to complain about), OK else. A camera (`camera_verdict`): ERROR while
it is lost, WARN when part of its frames is refused, lost or doubtful, or nobody listens.
"""

from __future__ import annotations

import re
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from sartm_core.support.text import plain
from sartm_ros.health.explain import stamp_age_s
from sartm_ros.health.health import UNUSABLE
from sartm_ros.health.shares import Refused
from sartm_ros.health.vitals import Vitals
from sartm_ros.pairing.nearest import STREAMS, Counters
from sartm_ros.pairing.stamps import missing_share

KEYS = {
    "state": "what the `state` topic says",
    "state_s": "how long in this state, s",
    "<stream>.rate_hz": "usable frames of the camera over the last 5 s, Hz",
    "<stream>.age_s": "since its last usable frame arrived, s",
    "<stream>.stamp_age_s": "the node's clock minus its newest stamp, s; large with a bag played without /clock",
    "<stream>.frames": "usable frames so far, judged by their headers",
    "<stream>.refused": "frames so far that could not be used, because of their header or their content",
    "<stream>.refused_percent": "share of its frames refused of late, because of header, content or stamps, %",
    "<stream>.format": "size and encoding of its last frame",
    "<stream>.fault": "silent, frozen or unusable while it counts as lost, empty else",
    "<stream>.lost_percent": (
        "frames missing in the rhythm of its stamps, whoever dropped them (camera, network, a busy machine), %; "
        "'-': too few frames, or irregular stamps"
    ),
    "<stream>.middleware_lost": "messages the middleware lost since activation; '-': it does not tell",
    "<stream>.warning": "what is doubtful about its last frame",
    "<stream>.last_error": "why its last refused frame was refused",
    "<stream>.dropped.<reason>": "usable frames not used, by reason; standstill: nothing ran here, then newer came",
    "pairs": "pairs so far",
    "pairing.resets": "times the stamps jumped back (bag loop) and pairing began anew",
    "pairing.skew_mean_ms": "time between the two frames of the last pairs, offsets added: mean, ms",
    "pairing.skew_min_ms": "the same: smallest, ms",
    "pairing.skew_max_ms": "the same: largest, ms",
    "dropped_busy": "pairs dropped because a newer one came while the model was busy",
    "dropped_outputs": "masks without their slower outputs (overlay, objects, cloud, ...), since newer ones came",
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
    "missing": "outputs that somebody listens to and that cannot be made, each with the reason; empty: none",
    "swapped": "why the two cameras look swapped, empty else",
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


def stream_numbers(
    seen: Vitals,
    fault: str,
    dropped: dict[str, int] | None,
    now: float,
    clock_ns: int | None,
    refused: Refused | None = None,
) -> dict[str, Any]:
    """Numbers of one camera by key without `<stream>.`; now: monotonic s, clock_ns: the node's clock."""
    share = missing_share(list(seen.stamps_ns))
    numbers = {
        "rate_hz": seen.rate(now),
        "age_s": None if seen.last_good is None else now - seen.last_good,
        "stamp_age_s": stamp_age_s(seen, clock_ns),
        "frames": seen.good,
        "refused": seen.bad,
        "refused_percent": 100.0 * refused.share if refused else 0.0,
        "format": seen.format,
        "fault": fault,
        "lost_percent": None if share is None else 100.0 * share,
        "middleware_lost": seen.lost,
        "warning": seen.warning,
        "last_error": seen.last_error,
    }
    return numbers | {f"dropped.{reason}": n for reason, n in (dropped or {}).items()}


def node_numbers(
    state: str, cameras: dict[str, dict[str, Any]], counters: Counters, own: dict[str, Any], model: dict[str, Any]
) -> dict[str, Any]:
    """All numbers of the node by key. cameras: `stream_numbers` of each, own: what the monitor and its work know."""
    of_cameras = {f"{stream}.{key}": value for stream, numbers in cameras.items() for key, value in numbers.items()}
    return {"state": state} | of_cameras | pairing_numbers(counters) | own | model_numbers(model)


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


def model_facts(model: Any, weights: Any, reload: str) -> dict[str, Any]:
    """What `model_numbers` takes, of a node's model and the weights it uses, either None; reload: how the last went."""
    facts = {name: getattr(weights, name, "") for name in ("name", "sha256", "engine", "precision")}
    facts |= {name: getattr(model, name, "") for name in ("device", "note")}
    adapters, memory = (", ".join(model.adapters), model.memory_mb()) if model else ("", None)
    return facts | {"adapters": adapters, "gpu_memory_mb": memory, "reload": reload}


def model_numbers(model: dict[str, Any]) -> dict[str, Any]:
    """What is known of the model, every `model.*` key of `KEYS`."""
    known = [key for key in KEYS if key.startswith("model.")]
    return {key: model.get(key.removeprefix("model.")) for key in known}


def level(state: str, doubts: bool) -> bytes:
    """The node's level by its state and whether there is anything to complain about; the rule is in the head above."""
    if state.startswith(("no input", "no masks")):
        return bytes(DiagnosticStatus.ERROR)
    return bytes(DiagnosticStatus.OK if state == "ok" and not doubts else DiagnosticStatus.WARN)


def camera_verdict(
    active: bool, heard: bool, numbers: dict[str, Any], loss: str, refused: Refused | None = None
) -> tuple[bytes, str]:
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
    doubts = [doubt for doubt in (refused.words if refused else "", loss, numbers["warning"]) if doubt]
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
