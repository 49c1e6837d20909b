"""The numbers of /diagnostics and the levels."""

from __future__ import annotations

import threading

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: pip install '.[ros]', or source a distro")
from diagnostic_msgs.msg import DiagnosticStatus

from sartm_ros.health import diagnostics
from sartm_ros.health.diagnostics import level, pairing_numbers, text
from sartm_ros.health.vitals import Vitals
from sartm_ros.health.work import Progress, Work, percentile
from sartm_ros.pairing.nearest import Counters

pytestmark = pytest.mark.alone

MS = 1_000_000
OK, WARN, ERROR = (bytes(v) for v in (DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR))


def test_percentiles():
    assert percentile([], 0.5) is None
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile(range(100), 0.95) == 95


def test_work_by_numbers():
    work = Work()
    for k in range(10):
        work.done(100 + k, 120 + k, now=k / 5, one_camera=k == 9, age_ms=150 + k if k < 5 else None)
    work.failed("ValueError: x", now=2.0)
    out = work.numbers(now=2.0)
    assert out["masks"] == 10 and out["masks_one_camera"] == 1 and out["mask_rate_hz"] == pytest.approx(4.5)
    assert out["inference_p50_ms"] == 105 and out["latency_p95_ms"] == 129 and out["latency_max_ms"] == 129
    assert out["mask_age_p50_ms"] == 152 and out["mask_age_max_ms"] == 154
    assert out["failures"] == 1 and out["last_failure"] == "ValueError: x"
    empty = Work().numbers(now=1.0)
    assert empty["mask_age_p95_ms"] is None and empty["mask_rate_hz"] == 0.0


def test_how_the_model_gets_on():
    work = Work()
    assert work.progress() == Progress(None, 0.0, 0, 0.0, "", None) and work.progress().patience_s == 5.0
    work.taken(10.0)
    assert work.progress().busy_since == 10.0
    work.failed("a", 11.0)
    work.failed("b", 12.0)
    assert work.progress() == Progress(None, 12.0, 2, 11.0, "b", None)
    work.taken(12.5)
    work.spoiled(13.0)
    assert work.progress().answered == 13.0 and work.progress().busy_since == 12.5
    work.done(100.0, 120.0, 14.0, False)
    assert work.progress().failures == 0 and work.progress().busy_since is None and work.progress().answered == 14.0
    work.taken(15.0)
    work.failed("c", 16.0)
    work.taken(17.0)
    work.restart()
    assert work.progress().failures == 0 and work.progress().busy_since is None and work.failures == 3


@pytest.mark.parametrize(
    ("inference_ms", "usual_s", "patience_s"),
    [([100.0] * 50, 0.1, 2.0), ([1000.0] * 3, 1.0, 5.0), ([10.0] * 299 + [3000.0], 3.0, 15.0), ([9e4, 10.0], 90, 450)],
)
def test_how_long_an_answer_may_take(inference_ms, usual_s, patience_s):
    """A model that went on on the CPU after out of memory gets its time from its first mask on."""
    work = Work()
    for value in inference_ms:
        work.done(value, value, 1.0, False)
    assert (work.progress().usual_s, work.progress().patience_s) == (usual_s, patience_s)


def test_work_is_read_while_the_models_thread_writes():
    work, stop, errors = Work(), threading.Event(), []

    def write():
        k = 0
        while not stop.is_set():
            k += 1
            work.done(k, k, k / 100, False, k)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        while work.masks < 2000:
            out = work.numbers(0.0)
            if out["masks"] and not (out["inference_p50_ms"] <= out["inference_p95_ms"] <= out["latency_max_ms"]):
                errors.append(out)
    finally:
        stop.set()
        thread.join()
    assert not errors and work.numbers(0.0)["masks"] == work.masks


def test_numbers_of_a_camera_and_of_the_pairing():
    seen = Vitals()
    for k in range(10):
        seen.saw(k / 10, k * 100 * MS, "640x480 mono8", nbytes=640 * 480)
    seen.refused("/t: bad", 1.0)
    seen.mark_lost(7)
    out = diagnostics.stream_numbers(seen, "silent", {"superseded": 7}, now=2.0, clock_ns=1_500 * MS)
    assert out["rate_hz"] == pytest.approx(4.5) and out["age_s"] == pytest.approx(1.1) and out["fault"] == "silent"
    assert out["refused"] == 1 and out["last_error"] == "/t: bad" and out["dropped.superseded"] == 7
    assert out["stamp_age_s"] == pytest.approx(0.6) and out["middleware_lost"] == 7 and out["lost_percent"] is None
    counters = Counters()
    assert pairing_numbers(counters)["pairing.skew_max_ms"] is None
    counters.skews_ns.extend([2 * MS, -4 * MS])
    out = pairing_numbers(counters)
    assert [out[f"pairing.skew_{k}_ms"] for k in ("mean", "min", "max")] == [3.0, 2.0, 4.0]


def test_values_as_text():
    assert text(0.126) == "0.13" and text(None) == "-" and text(5) == "5"


@pytest.mark.parametrize(
    ("state", "doubts", "expected"),
    [
        ("ok", False, OK),
        ("ok", True, WARN),
        ("degraded: thermal frozen", False, WARN),
        ("loading", False, WARN),
        ("inactive", False, WARN),
        ("degraded: rgb unusable", True, WARN),
        ("no masks: frames do not pair", True, ERROR),
        ("no masks: the model does not answer", True, ERROR),
        ("no input: rgb and thermal silent", False, ERROR),
    ],
)
def test_the_level_of_a_state(state, doubts, expected):
    assert level(state, doubts) == expected


@pytest.mark.parametrize(
    ("active", "heard", "numbers", "loss", "expected"),
    [
        (False, True, {}, "", (WARN, "not listening")),
        (True, False, {"age_s": None}, "", (WARN, "no usable frame so far")),
        (True, True, {}, "", (OK, "30.0 Hz, 64x48 mono8, last frame 0.02 s ago")),
        (True, True, {}, "half is lost", (WARN, "half is lost")),
        (True, True, {"warning": "false colour"}, "", (WARN, "false colour")),
        (True, True, {"fault": "frozen"}, "", (ERROR, "frozen, last usable frame 0.0 s ago")),
        (True, True, {"fault": "unusable", "last_error": "/rgb: cut off"}, "", (ERROR, "unusable: /rgb: cut off")),
        (True, False, {"fault": "silent", "age_s": None}, "", (ERROR, "silent, no usable frame so far")),
    ],
)
def test_the_verdict_on_a_camera(active, heard, numbers, loss, expected):
    numbers = {"rate_hz": 30.0, "format": "64x48 mono8", "age_s": 0.02, "fault": "", "warning": "", **numbers}
    found, message = diagnostics.camera_verdict(active, heard, numbers, loss)
    assert found == expected[0] and expected[1] in message
