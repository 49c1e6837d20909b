"""What the node says about itself: numbers, levels, states, and what a camera topic tells over real DDS."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: pip install '.[ros]', or source a distro")
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from processes import new_domain
from rclpy.duration import Duration
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from sensor_msgs.msg import Image

from sartm_ros import diagnostics, explain, health, inputs, monitor, transport
from sartm_ros.diagnostics import KEYS, Work, level, pairing_numbers, pattern, percentile, text
from sartm_ros.images import ImageError, Incoming
from sartm_ros.pairing import REASONS, RGB, STREAMS, THERMAL, Counters

MS = 1_000_000
OK, WARN, ERROR = (bytes(v) for v in (DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR))
VALUES = {
    "degraded.enabled": True, "degraded.timeout": 1.0, "degraded.recovery": 0.5, "frozen_timeout": 0.5,
    "sync.tolerance": 0.05, "sync.rgb_offset": 0.0, "sync.thermal_offset": 0.0,
    "rgb_transport": "raw", "thermal_transport": "raw",
    "qos.rgb.reliability": "best_effort", "qos.rgb.depth": 5,
    "qos.thermal.reliability": "best_effort", "qos.thermal.depth": 5,
}  # fmt: skip
MODEL = {
    "name": "nano",
    "sha256": "ab",
    "device": "cpu",
    "precision": "fp32",
    "gpu_memory_mb": None,
    "note": "",
    "reload": "",
}
SENDER = """
import time, rclpy
from contextlib import suppress
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node("camera")
publisher = node.create_publisher(Image, "/sartm/rgb/image_raw", qos_profile_sensor_data)
message = Image(height=720, width=1280, step=1280 * 3, encoding="bgr8")
message.data.frombytes(bytes(720 * 1280 * 3))
with suppress(Exception):
    for _ in range(3000):
        publisher.publish(message)
        time.sleep(0.033)
"""
"""A camera as most are: it knows nothing of the Fast DDS profile. Ends by SIGINT, or after 100 s."""


# Numbers


def test_percentiles():
    assert percentile([], 0.5) is None
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile(range(100), 0.95) == 95


def test_work_by_numbers():
    work = Work()
    for k in range(10):
        work.done(100 + k, 120 + k, now=k / 5, one_camera=k == 9, age_ms=150 + k if k < 5 else None)
    work.failed("ValueError: x")
    out = work.numbers(now=2.0)
    assert out["masks"] == 10 and out["masks_one_camera"] == 1 and out["mask_rate_hz"] == pytest.approx(4.5)
    assert out["inference_p50_ms"] == 105 and out["latency_p95_ms"] == 129 and out["latency_max_ms"] == 129
    assert out["mask_age_p50_ms"] == 152 and out["mask_age_max_ms"] == 154
    assert out["failures"] == 1 and out["last_failure"] == "ValueError: x"
    empty = Work().numbers(now=1.0)
    assert empty["mask_age_p95_ms"] is None and empty["mask_rate_hz"] == 0.0


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
    seen = health.Vitals()
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
        ("no masks: frames do not pair", True, ERROR),
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
        (True, False, {"fault": "silent", "age_s": None}, "", (ERROR, "silent, no usable frame so far")),
    ],
)
def test_the_verdict_on_a_camera(active, heard, numbers, loss, expected):
    numbers = {"rate_hz": 30.0, "format": "64x48 mono8", "age_s": 0.02, "fault": "", "warning": "", **numbers}
    found, message = diagnostics.camera_verdict(active, heard, numbers, loss)
    assert found == expected[0] and expected[1] in message


# The monitor


class States:
    """Stands for the node's outputs: keeps the texts of `state`."""

    def __init__(self):
        self.texts = [""]

    @property
    def current_state(self):
        return self.texts[-1]

    def state(self, text):
        self.texts.append(text)

    def subscribers(self):
        return 1


class Bench:
    """A Monitor on a real node, fed with frames at times of our own choice; `log` is what it logged."""

    def __init__(self, monkeypatch):
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=new_domain())
        self.node = rclpy.create_node("segment", namespace="sartm", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.log = []
        self.now = time.monotonic()
        for severity in ("info", "warning", "error"):
            monkeypatch.setattr(self.node.get_logger(), severity, lambda t, s=severity: self.log.append(f"{s}: {t}"))
        self.heard = []
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self.heard.append, 10)
        self.outputs, self.reports = States(), []
        self.monitor = monitor.Monitor(self.node, self.outputs, lambda: self.reports.append(self.outputs.current_state))
        self.cameras = {
            s: SimpleNamespace(lost=0, topic=f"/{s}", link=lambda s=s: explain.Link(s, f"/{s}", 1, "T", ("T",)))
            for s in STREAMS
        }

    def activate(self):
        self.monitor.lifecycle("ok", active=True)
        self.now = self.monitor.last_pair

    def play(self, seconds, still=(), off=(), paired=True, warning="", stamp=None):
        """Both cameras at 20 Hz: of `still` the picture, of `off` nothing comes; health timer at 2 Hz."""
        for k in range(round(seconds * 20)):
            self.now += 0.05
            for stream in STREAMS:
                if stream not in off:
                    value = 1 if stream in still else k % 200 + 2
                    stamp_ns = round(self.now * 1e9) if stamp is None else stamp
                    self.monitor.saw(stream, frame(stream, value, stamp_ns, warning), self.now)
                    self.monitor.update_mode(VALUES, self.now)
            if paired and not off:
                self.monitor.last_pair = self.now
            if k % 10 == 9:
                self.monitor.update_mode(VALUES, self.now)
                self.monitor.check(self.cameras, VALUES, self.now)

    def publish(self, counters=None, model=MODEL):
        """What /diagnostics says now: the three statuses."""
        self.until(self.monitor._publisher.get_subscription_count, "discovery")
        self.heard.clear()
        self.monitor.publish(counters or Counters(), 3, model, self.now)
        self.until(lambda: self.heard, "diagnostics")
        return self.heard[-1].status

    def until(self, condition, what, seconds=60.0):
        """Spin until `condition()` holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
            self.executor.spin_once(timeout_sec=0.05)

    def close(self):
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self.context)


def frame(stream, value, stamp_ns, warning=""):
    message = Image(height=4, width=4, encoding="mono8", step=4)
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 10**9)
    view = np.full((4, 4), value, np.uint8)
    return Incoming(f"/{stream}", message, 4, 4, view, warning=warning)


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


def test_stamps_that_stand_still_are_told(bench):
    bench.activate()
    bench.play(2.0, paired=False, stamp=7 * 10**9)
    assert bench.outputs.current_state == "no masks: frames do not pair"
    assert "rgb stamps do not advance (the last is 7.000 s)" in bench.monitor.problem
    assert bench.publish()[0].level == ERROR


def test_when_nothing_explains_it_that_is_said_too(bench):
    bench.activate()
    bench.play(2.0, paired=False)
    assert bench.monitor.problem == monitor.UNEXPLAINED


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
    ]
    for thread in threads:
        thread.start()
    for _ in range(200):
        bench.monitor.refuse(RGB, ImageError("/rgb", "bad"))
    for thread in threads:
        thread.join()
    assert bench.monitor.vitals[RGB].bad == 400 and bench.monitor.work.failures == 200
    assert len([line for line in bench.log if line.startswith("error")]) == 2


# A camera topic over real DDS


@pytest.mark.parametrize(
    ("offered", "asked", "expected"),
    [
        ({}, {}, ""),
        (
            {"reliability": ReliabilityPolicy.BEST_EFFORT},
            {"reliability": ReliabilityPolicy.RELIABLE},
            "reliability best_effort, this node asks for reliable",
        ),
        (
            {"durability": DurabilityPolicy.VOLATILE},
            {"durability": DurabilityPolicy.TRANSIENT_LOCAL},
            "durability volatile, this node asks for transient_local",
        ),
        ({}, {"deadline": Duration(seconds=1)}, "deadline none, this node asks for 1 s"),
        ({"deadline": Duration(seconds=2)}, {"deadline": Duration(seconds=1)}, "deadline 2 s, this node asks for 1 s"),
    ],
)
def test_policies_that_clash_are_named_on_both_sides(offered, asked, expected):
    assert inputs.clashes(QoSProfile(depth=1, **offered), QoSProfile(depth=1, **asked)) == expected


def camera(node, got=None, **values):
    take = got.append if got is not None else (lambda message: None)
    return inputs.Camera(node, RGB, VALUES | values, lambda stream, message: take(message), lambda stream: None)


def test_a_topic_without_publisher_names_others_that_have_one(bench):
    listening = camera(bench.node)
    other = bench.node.create_publisher(Image, "/own/mask", 1)
    peer = rclpy.create_node("driver", context=bench.context)
    there = peer.create_publisher(Image, "/cam/image", qos_profile_sensor_data)
    bench.until(lambda: listening.link().candidates, "the driver in the graph")
    link = listening.link()
    assert link.candidates == ("/cam/image",) and link.publishers == 0, "not what the node itself publishes"
    assert there and other
    listening.close()
    peer.destroy_node()


def test_a_middleware_that_cannot_tell_of_losses(bench, monkeypatch):
    create = bench.node.create_subscription

    def without(*args, event_callbacks, **rest):
        if event_callbacks.message_lost:
            raise inputs.UnsupportedEventTypeError("message_lost")
        return create(*args, event_callbacks=event_callbacks, **rest)

    monkeypatch.setattr(bench.node, "create_subscription", without)
    listening = camera(bench.node)
    assert listening.lost is None and listening.topic == "/sartm/rgb/image_raw"
    listening.close()


def test_images_that_do_not_fit_the_camera_processs_shared_memory_are_counted_as_lost(bench):
    """720p from a driver that runs without the profile: nothing arrives, and the node knows that and why."""
    got = []
    listening = camera(bench.node, got)
    if not listening.link().fastdds:
        pytest.skip("about Fast DDS")
    domain = str(bench.context.get_domain_id())
    environment = {k: v for k, v in os.environ.items() if k not in transport.USER_VARIABLES} | {"ROS_DOMAIN_ID": domain}
    driver = subprocess.Popen([sys.executable, "-c", SENDER], env=environment)
    seen = health.Vitals()
    seen.mark_lost(0)
    try:
        bench.until(lambda: (listening.lost or 0) >= 5 or driver.poll() is not None, "messages reported as lost")
        seen.mark_lost(listening.lost)
        out = explain.explain_silence(listening.link(), 1.5, seen, heard=False, refusing=False)
    finally:
        driver.send_signal(signal.SIGINT)
        driver.wait(20)
        listening.close()
    assert "the middleware lost" in out and f"{transport.VARIABLE}=" in out and "fastdds.xml" in out
