"""Numbers and words about the node's health: diagnostics, liveness, and why nothing pairs."""

from __future__ import annotations

from collections import deque

import pytest

pytest.importorskip("diagnostic_msgs", reason="diagnostic_msgs is not installed: pip install '.[ros]'")

from sartm_ros import health  # noqa: E402
from sartm_ros.diagnostics import Work, collect, percentile, text, to_message  # noqa: E402
from sartm_ros.pairing import REASONS, RGB, STREAMS, THERMAL, Counters  # noqa: E402

MS = 1_000_000
NO_OFFSETS = {RGB: 0.0, THERMAL: 0.0}


def vitals(rgb_ms=(), thermal_ms=()):
    out = {stream: health.Vitals() for stream in STREAMS}
    for stream, stamps in ((RGB, rgb_ms), (THERMAL, thermal_ms)):
        for k, ms in enumerate(stamps):
            out[stream].saw(k / 10, round(ms * MS), "640x480 mono8")
    return out


def test_percentiles():
    assert percentile([], 0.5) is None
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile(range(100), 0.95) == 95


def test_every_number_is_there():
    work = Work()
    for k in range(10):
        work.done(inference_ms=100 + k, latency_ms=120 + k, now=k / 5, one_camera=k == 9)
    counters = Counters()
    counters.pairs = 10
    counters.skews_ns.extend([2 * MS, -4 * MS])
    counters.dropped[RGB]["superseded"] = 7
    seen = vitals(range(0, 1000, 100), range(0, 1000, 100))
    seen[THERMAL].refused("/t: bad", 1.0)
    out = collect("ok", seen, counters, work, dropped_busy=3, now=2.0)
    assert out["state"] == "ok" and out["pairs"] == 10 and out["dropped_busy"] == 3
    assert out["rgb.rate_hz"] == pytest.approx(4.5) and out["rgb.age_s"] == pytest.approx(1.1)
    assert out["thermal.refused"] == 1 and out["thermal.last_error"] == "/t: bad"
    assert out["pairing.skew_mean_ms"] == 3.0 and out["pairing.skew_max_ms"] == 4.0
    assert out["rgb.dropped.superseded"] == 7
    assert {f"{s}.dropped.{r}" for s in STREAMS for r in REASONS} <= set(out)
    assert out["masks"] == 10 and out["masks_one_camera"] == 1
    assert out["inference_p50_ms"] == 105 and out["latency_p95_ms"] == 129
    assert out["mask_rate_hz"] == pytest.approx(4.5)


def test_the_message_before_anything_happened():
    from builtin_interfaces.msg import Time
    from diagnostic_msgs.msg import DiagnosticStatus

    numbers = collect("loading", vitals(), Counters(), Work(), 0, now=1.0)
    message = to_message(Time(sec=3), "/sartm/segment: segmentation", "", DiagnosticStatus.WARN, "loading", numbers)
    (status,) = message.status
    assert message.header.stamp.sec == 3 and status.level == DiagnosticStatus.WARN and status.message == "loading"
    values = {v.key: v.value for v in status.values}
    assert values["rgb.age_s"] == "-" and values["latency_p50_ms"] == "-" and values["rgb.rate_hz"] == "0.00"
    assert text(0.126) == "0.13" and text(None) == "-" and text(5) == "5"


def test_throttle_is_per_key():
    throttle = health.Throttle(5.0)
    assert throttle.ready("a", 0.0) and not throttle.ready("a", 4.9) and throttle.ready("b", 1.0)
    assert throttle.ready("a", 5.0)


def test_modes_follow_silence():
    seen = vitals()
    live = health.Liveness(seen)
    live.start(100.0)
    assert live.mode(100.9, 1.0) == "both" and live.mode(101.1, 1.0) == "none"
    seen[RGB].saw(101.0, 0, "")
    assert live.mode(101.5, 1.0) == "rgb"
    seen[THERMAL].saw(101.6, 0, "")
    assert live.mode(101.7, 1.0) == "both" and live.mode(102.3, 1.0) == "thermal"
    live.start(200.0)
    assert live.mode(200.5, 1.0) == "both" and not live.heard(RGB)
    assert health.describe_mode("rgb", True) == "degraded: thermal silent"
    assert health.describe_mode("thermal", True) == "degraded: rgb silent"
    assert health.describe_mode("rgb", False) == "no masks: thermal silent"


def test_a_slow_camera_is_given_more_time():
    seen = health.Vitals()
    assert seen.patience(0.6) == 0.6
    for k in range(5):
        seen.saw(2.0 * k, 0, "")
    assert seen.patience(0.6) == 5.0
    seen.saw(60.0, 0, "")
    assert seen.patience(0.6) == 5.0, "one gap made a slow camera of it"


def test_cameras_at_or_below_one_hertz_are_alive_between_their_frames():
    seen = vitals()
    live = health.Liveness(seen)
    live.start(0.0)
    for k in range(4):
        for stream in STREAMS:
            seen[stream].saw(2.0 * k, 0, "")
    assert live.mode(7.9, 1.0) == "both" and live.mode(11.1, 1.0) == "none"
    seen[RGB].saw(8.0, 0, "")
    assert live.mode(11.1, 1.0) == "rgb"


def link(**changes):
    fields = {"stream": THERMAL, "topic": "/t", "publishers": 1, "wanted_type": "sensor_msgs/msg/Image"}
    return health.Link(**{**fields, "other_types": ("sensor_msgs/msg/Image",), **changes})


@pytest.mark.parametrize(
    ("changes", "error", "heard", "parts"),
    [
        ({"publishers": 0}, "", False, ("/t", "no publisher", "remap")),
        ({"other_types": ("a/msg/B",)}, "", False, ("a/msg/B", "sensor_msgs/msg/Image", "thermal_transport")),
        ({"incompatible": "incompatible QoS: x"}, "", False, ("incompatible QoS: x", "qos.thermal.reliability")),
        ({}, "/t: image 0x0", False, ("sends, but every message is refused: /t: image 0x0",)),
        ({}, "/t: image 0x0", True, ("sends, but every message is refused: /t: image 0x0",)),
        ({}, "", True, ("stopped sending",)),
        ({}, "", False, ("no message arrives",)),
        ({"best_effort": True, "fastdds": True, "profile_hint": "/x/fastdds.xml"}, "", False, ("0.5 MB", "/x/fastdds")),
    ],
)
def test_silence_is_explained(changes, error, heard, parts):
    seen = health.Vitals()
    if error:
        seen.refused(error, 1.0)
    out = health.explain_silence(link(**changes), 1.5, seen, heard, refusing=bool(error))
    assert "for 1.5 s" in out and all(part in out for part in parts), out


def test_a_camera_refused_since_its_last_good_frame_has_not_stopped_sending():
    seen = vitals()
    live = health.Liveness(seen)
    live.start(0.0)
    assert not live.refusing(RGB, 0.5)
    seen[RGB].refused("/t: bad", 1.0)
    seen[RGB].saw(2.0, 0, "")
    assert not live.refusing(RGB, 4.0), "it has recovered since"
    seen[RGB].refused("/t: bad", 3.0)
    assert live.refusing(RGB, 4.0)
    live.start(5.0)
    assert not live.refusing(RGB, 6.0), "of an earlier activation"


def test_skew_is_measured_to_the_nearest_frame_of_the_faster_camera():
    assert health.skews(deque([0, 33, 66, 100]), deque([40, 101])) == [7, 1]
    assert health.skews(deque([50]), deque([0, 40, 80])) == [-10]
    assert health.skews(deque(), deque([1])) == []


@pytest.mark.parametrize(
    ("rgb", "thermal", "parts"),
    [
        (range(0, 5000, 500), range(120, 5000, 500), ("120.0 ms at least", "constant", "sync.thermal_offset: -0.120")),
        (range(0, 5000, 500), range(10**8, 10**8 + 5000, 500), ("clocks are apart",)),
        ([10**9], [0], ("thermal stamps are zero",)),
        ([0, 500, 1000], [100, 720, 1200], ("raise sync.tolerance",)),
    ],
)
def test_skew_is_explained(rgb, thermal, parts):
    out = health.explain_skew(vitals(rgb, thermal), tolerance_s=0.05, offsets_s=NO_OFFSETS)
    assert all(part in out for part in parts), out


@pytest.mark.parametrize(("rgb", "thermal", "advice"), [(0.0, -0.1, "-0.160"), (0.05, -0.02, "-0.110")])
def test_the_advised_offset_replaces_the_configured_one(rgb, thermal, advice):
    seen = vitals(range(0, 5000, 500), range(160, 5000, 500))
    out = health.explain_skew(seen, 0.005, {RGB: rgb, THERMAL: thermal})
    assert f"sync.thermal_offset: {advice} would" in out and "after the configured offsets" in out, out
    assert health.explain_skew(seen, 0.005, {RGB: rgb, THERMAL: float(advice)}) == ""


def test_stamps_that_fit_are_no_explanation():
    assert health.explain_skew(vitals([0, 100], [10, 110]), 0.05, NO_OFFSETS) == ""
    assert health.explain_skew(vitals([0], []), 0.05, NO_OFFSETS) == ""
