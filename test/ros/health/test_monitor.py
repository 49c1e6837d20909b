"""What the node says: states at once, causes in words, diagnostics heard over real DDS. Exact clocks."""

from __future__ import annotations

import threading

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: pip install '.[ros]', or source a distro")

from sartm_ros.frames.images import ImageError, Incoming
from sartm_ros.health import explain
from sartm_ros.health.diagnostics import KEYS, pattern
from sartm_ros.health.why import UNEXPLAINED
from sartm_ros.pairing.nearest import REASONS, RGB, STREAMS, THERMAL, Counters
from test.ros.bench import ERROR, MODEL, OK, VALUES, WARN, Bench

pytestmark = pytest.mark.alone


@pytest.fixture
def bench(monkeypatch):
    made = Bench(monkeypatch)
    yield made
    made.close()


def test_every_key_is_in_the_table_and_the_other_way_round(bench):
    counters = Counters()
    bench.activate()
    bench.play(1.0)
    whole, rgb, thermal = bench.publish(counters, MODEL | {"gpu_memory_mb": 12.0})
    found = {value.key: value.value for value in whole.values}
    assert {pattern(key) for key in found} == set(KEYS)
    assert {f"{s}.dropped.{r}" for s in STREAMS for r in REASONS} <= set(found)
    assert whole.name == "/sartm/segment: segmentation" and whole.level == OK and whole.message == "ok"
    assert whole.hardware_id == "nano" and found["model.gpu_memory_mb"] == "12.00" and found["dropped_busy"] == "3"
    for status, stream in ((rgb, RGB), (thermal, THERMAL)):
        assert status.name == f"/sartm/segment: {stream} camera" and status.hardware_id == f"/{stream}"
        assert {f"{stream}.{value.key}" for value in status.values} == {k for k in found if k.startswith(f"{stream}.")}
        assert status.level == OK and "20.0 Hz, 4x4 mono8" in status.message


def test_the_message_before_anything_happened(bench):
    bench.monitor.lifecycle("loading")
    whole, rgb, _ = bench.publish(model={})
    assert whole.level == WARN and whole.message == "loading" and whole.hardware_id == ""
    values = {v.key: v.value for v in whole.values}
    assert values["rgb.age_s"] == "-" and values["latency_p50_ms"] == "-" and values["rgb.rate_hz"] == "0.00"
    assert rgb.level == WARN and "not active" in rgb.message


def test_state_changes_are_reported_at_once_and_once(bench):
    bench.monitor.lifecycle("unconfigured")
    bench.monitor.lifecycle("inactive")
    bench.monitor.lifecycle("inactive")
    bench.activate()
    bench.play(2.0)
    bench.play(2.0, off=(THERMAL,))
    bench.play(2.0)
    assert bench.reports == ["unconfigured", "inactive", "ok", "degraded: thermal silent", "ok"]
    assert bench.outputs.texts == ["", *bench.reports]


def test_a_note_of_the_model_is_a_warning(bench):
    bench.activate()
    whole, *_ = bench.publish(model=MODEL | {"note": "input 336x448 after out of memory"})
    assert whole.level == WARN and whole.message == "ok. input 336x448 after out of memory"


def test_a_frozen_camera_is_told_with_its_cause(bench):
    bench.activate()
    bench.play(1.0)
    bench.play(4.0, still=(THERMAL,), off=())
    assert bench.outputs.current_state == "degraded: thermal frozen"
    bench.play(2.0, still=(THERMAL,), paired=False)
    assert "thermal: /thermal sends the same picture for" in bench.monitor.problem
    whole, rgb, thermal = bench.publish()
    assert whole.level == WARN and "same picture" in whole.message
    assert rgb.level == OK and thermal.level == ERROR and thermal.message.startswith("frozen")
    bench.play(1.0)
    assert bench.outputs.current_state == "ok" and bench.monitor.mode == "both"


def test_frozen_timeout_zero_looks_at_no_picture(bench, monkeypatch):
    monkeypatch.setitem(VALUES, "frozen_timeout", 0.0)
    bench.activate()
    bench.play(0.1)
    monkeypatch.setattr(Incoming, "fingerprint", lambda self: pytest.fail("nobody asked for it"))
    bench.play(3.0, still=(THERMAL,))
    assert bench.outputs.texts == ["", "ok"]


def test_silence_is_told_within_two_seconds_of_the_last_pair(bench):
    bench.activate()
    bench.play(2.0)
    last = bench.now
    while not any("stopped sending" in line for line in bench.log):
        bench.play(0.5, off=(THERMAL,))
    assert bench.now - last <= 2.0
    bench.play(0.5, off=(THERMAL,))
    assert bench.publish()[0].message.startswith("degraded: thermal silent. thermal: nothing usable on /thermal for")


def test_another_cause_is_told_at_once_the_same_one_is_throttled(bench):
    bench.activate()
    bench.play(2.0)
    gone = bench.cameras[THERMAL].link
    bench.cameras[THERMAL].link = lambda: explain.Link(THERMAL, "/thermal", 0, "T")
    bench.play(4.0, off=(THERMAL,))
    bench.cameras[THERMAL].link = gone
    bench.play(1.0, off=(THERMAL,))
    told = [line for line in bench.log if "nothing usable on /thermal" in line]
    assert ["its publisher has gone" in line for line in told] == [True, False] and "stopped sending" in told[1]


def test_stamps_that_stand_still_are_told(bench):
    bench.activate()
    bench.play(2.0, paired=False, stamp=7 * 10**9)
    assert bench.outputs.current_state == "no masks: frames do not pair"
    assert "rgb stamps do not advance (the last is 7.000 s)" in bench.monitor.problem
    assert bench.publish()[0].level == ERROR


def test_when_nothing_explains_it_that_is_said_too(bench):
    bench.activate()
    bench.play(2.0, paired=False)
    assert bench.monitor.problem == UNEXPLAINED


def test_what_is_doubtful_about_a_frame_is_logged_once(bench):
    bench.activate()
    bench.play(1.0, warning="false colour")
    assert [line for line in bench.log if "false colour" in line] == [
        "warning: rgb: /rgb: false colour",
        "warning: thermal: /thermal: false colour",
    ]
    assert bench.publish()[1].level == WARN


def test_frames_lost_on_the_way_are_a_warning_though_masks_come(bench):
    bench.activate()
    for _ in range(4):
        bench.play(0.5)
        bench.cameras[RGB].lost += 5
    bench.play(0.5)
    whole, rgb, thermal = bench.publish()
    assert whole.level == rgb.level == WARN and thermal.level == OK and bench.outputs.current_state == "ok"
    assert "rgb: the middleware lost 20 of its last" in whole.message and "20 of its last" in rgb.message
    assert len([line for line in bench.log if "the middleware lost" in line]) == 1, "throttled"


def test_errors_from_the_models_thread_are_counted(bench):
    bench.activate()
    threads = [
        threading.Thread(target=lambda: [bench.monitor.refuse(RGB, ImageError("/rgb", "bad")) for _ in range(200)]),
        threading.Thread(target=lambda: [bench.monitor.failed(ValueError("x")) for _ in range(200)]),
        threading.Thread(target=lambda: [bench.monitor.spoiled(RGB, ImageError("/rgb", "bad")) for _ in range(200)]),
        threading.Thread(target=lambda: [bench.monitor.internal("x", ValueError("x")) for _ in range(200)]),
    ]
    for thread in threads:
        thread.start()
    for _ in range(200):
        bench.monitor.refuse(RGB, ImageError("/rgb", "bad"))
    for thread in threads:
        thread.join()
    assert bench.monitor.vitals[RGB].bad == 600 and bench.monitor.work.failures == 200
    assert {v.key: v.value for v in bench.publish()[0].values}["internal_errors"] == "200"
    assert len([line for line in bench.log if line.startswith("error")]) == 3


@pytest.mark.parametrize("stream", STREAMS)
def test_frames_that_look_good_and_cannot_be_converted_make_a_camera_unusable(bench, stream):
    """The state was `ok` for ever, without masks."""
    bench.activate()
    bench.play(1.0)
    bench.play(1.0, spoiled=(stream,))
    assert not bench.monitor.unusable(stream, bench.now)
    refused = f"degraded: {stream} 100% refused: cannot decode 99 bytes"
    assert bench.outputs.current_state == refused and bench.publish()[0].message == refused
    bench.play(1.0, spoiled=(stream,))
    assert bench.monitor.unusable(stream, bench.now) and bench.monitor.mode == "both"
    assert bench.outputs.current_state == f"degraded: {stream} unusable"
    assert f"/{stream}: cannot decode 99 bytes" in bench.monitor.problem
    whole, *cameras = bench.publish()
    assert whole.level == WARN and "cannot decode 99 bytes" in whole.message
    assert {v.key: v.value for v in whole.values}[f"{stream}.refused"] == "40"
    told = dict(zip(STREAMS, cameras, strict=True))
    assert told[stream].level == ERROR and told[stream].message == f"unusable: /{stream}: cannot decode 99 bytes"
    assert {v.key: v.value for v in told[stream].values}["fault"] == "unusable"
    assert len([line for line in bench.log if line.startswith("error")]) == 1
    bench.play(0.4)
    assert bench.outputs.current_state == f"degraded: {stream} unusable"
    bench.play(1.1)
    assert bench.outputs.texts == ["", "ok", refused, f"degraded: {stream} unusable", "ok"]
    assert bench.publish()[0].level == OK and bench.log[-1] == "info: state: ok"


def test_one_good_frame_now_and_then_does_not_flap_the_state(bench):
    bench.activate()
    bench.play(2.0, spoiled=(RGB,))
    for _ in range(20):
        bench.play(0.05)
        bench.play(1.0, spoiled=(RGB,))
    assert bench.outputs.texts[-1] == "degraded: rgb unusable" and len(bench.outputs.texts) == 4


def test_both_cameras_unusable_and_one_camera_without_degraded_mode(bench, monkeypatch):
    bench.activate()
    bench.play(2.0, spoiled=STREAMS)
    assert bench.outputs.current_state == "no input: rgb and thermal unusable" and bench.publish()[0].level == ERROR
    bench.play(1.0)
    assert bench.outputs.current_state == "ok"
    monkeypatch.setitem(VALUES, "degraded.enabled", False)
    bench.play(2.0, spoiled=(THERMAL,), answer=lambda: None)
    assert bench.outputs.current_state == "no masks: thermal unusable" and bench.publish()[0].level == ERROR


def test_an_unusable_camera_that_falls_silent_is_silent_and_not_refused(bench):
    bench.activate()
    bench.play(2.0, spoiled=(RGB,))
    bench.play(2.0, off=(RGB,))
    assert bench.outputs.current_state == "degraded: rgb silent"
    assert "stopped sending" in bench.monitor.problem


def test_a_frame_that_is_used_costs_no_lock(bench):
    with bench.monitor._refusing:  # would wait for ever
        bench.monitor.used(RGB)


def test_an_error_of_our_own_is_a_warning_for_a_while(bench, monkeypatch):
    details = []
    monkeypatch.setattr(bench.node.get_logger(), "debug", details.append)
    bench.activate()
    bench.play(1.0)
    for _ in range(3):
        try:
            raise KeyError("x")
        except KeyError as error:
            bench.monitor.internal("_on_health", error, bench.now)
    assert [line for line in bench.log if "internal" in line] == ["error: internal error in _on_health: KeyError: 'x'"]
    assert len(details) == 1 and "Traceback" in details[0] and "test_monitor.py" in details[0]
    bench.play(9.0)  # not on the edge: sums of ticks are no exact tens
    whole, *_ = bench.publish()
    assert whole.level == WARN and whole.message == "ok. internal error in _on_health: KeyError: 'x'"
    assert {v.key: v.value for v in whole.values}["internal_errors"] == "3"
    bench.play(2.0)
    assert bench.publish()[0].level == OK
