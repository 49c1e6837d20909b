"""Why nothing pairs, in words; and what stamps tell. Plain Python, exact numbers."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sartm_ros.frames.transport import DEFAULT_SEGMENT_BYTES
from sartm_ros.health import explain
from sartm_ros.health.vitals import STAMP_SAMPLES, Vitals
from sartm_ros.pairing import stamps
from sartm_ros.pairing.nearest import RGB, STREAMS, THERMAL

pytestmark = pytest.mark.alone

MS = 1_000_000
NO_OFFSETS = {RGB: 0.0, THERMAL: 0.0}
LARGE = 640 * 480 * 3


def vitals(rgb_ms=(), thermal_ms=(), nbytes=0, late_s=0.0):
    """Streams whose frames carry the stamps and arrive every 0.1 s (thermal ones `late_s` later)."""
    out = {stream: Vitals() for stream in STREAMS}
    for stream, listed, late in ((RGB, rgb_ms, 0.0), (THERMAL, thermal_ms, late_s)):
        for k, ms in enumerate(listed):
            out[stream].saw(k / 10 + late, round(ms * MS), "640x480 mono8", nbytes=nbytes)
    return out


def link(**changes):
    fields = {"stream": THERMAL, "topic": "/t", "publishers": 1, "wanted_type": "sensor_msgs/msg/Image"}
    return explain.Link(**{**fields, "other_types": ("sensor_msgs/msg/Image",), **changes})


FAST = {"best_effort": True, "fastdds": True, "profile_hint": "/x/fastdds.xml"}


@pytest.mark.parametrize(
    ("changes", "error", "heard", "parts"),
    [
        ({"publishers": 0}, "", False, ("/t", "no publisher", "remap", "nobody publishes")),
        ({"publishers": 0, "candidates": ("/cam/image", "/b")}, "", False, ("such images are on /cam/image, /b",)),
        ({"other_types": ("a/msg/B",)}, "", False, ("a/msg/B", "sensor_msgs/msg/Image", "thermal_transport")),
        (
            {"incompatible": "incompatible QoS: n offers reliability best_effort"},
            "",
            False,
            ("qos.thermal.reliability",),
        ),
        ({"incompatible": "incompatible QoS: n offers durability volatile"}, "", False, ("at the publisher",)),
        ({}, "/t: image 0x0", False, ("sends, but every message is refused: /t: image 0x0",)),
        ({}, "/t: image 0x0", True, ("sends, but every message is refused: /t: image 0x0",)),
        ({}, "", True, ("stopped sending",)),
        ({}, "", False, ("no message arrives",)),
        (FAST, "", False, ("no message arrives", "0.5 MB", "DEFAULT_PROFILES_FILE=/x/fastdds.xml")),
        ({"publishers": 0}, "", True, ("its publisher has gone",)),
    ],
)
def test_silence_is_explained(changes, error, heard, parts):
    seen = Vitals()
    if error:
        seen.refused(error, 1.0)
    out = explain.explain_silence(link(**changes), 1.5, seen, heard, refusing=bool(error))
    assert "for 1.5 s" in out and all(part in out for part in parts), out


def test_large_images_are_said_to_be_lost_on_evidence_only():
    seen = vitals([], [0, 33], LARGE)[THERMAL]
    assert "Fast DDS" not in explain.explain_silence(link(**FAST), 1.5, seen, heard=True, refusing=False)
    seen = Vitals()
    seen.mark_lost(0)  # a middleware that counts, and lost nothing: the camera sends nothing
    assert "Fast DDS" not in explain.explain_silence(link(**FAST), 1.5, seen, heard=False, refusing=False)


def test_silence_because_the_middleware_loses_everything_is_said_for_sure():
    seen = Vitals()
    for lost in (0, 15, 30):
        seen.mark_lost(lost)
    out = explain.explain_silence(link(**FAST), 1.5, seen, heard=False, refusing=False)
    assert "the middleware lost 30 of its last 30 messages on the way" in out
    assert "DEFAULT_PROFILES_FILE=/x/fastdds.xml" in out


# Part of the frames lost


def grid(count, period_ms=33.3, lost=0.0, jitter_ms=0.0, seed=1):
    """Stamps (ns) of a camera with a rhythm, of which a share is lost."""
    rng = random.Random(seed)
    times = [(k * period_ms + rng.uniform(-jitter_ms, jitter_ms)) * MS for k in range(count)]
    kept = [round(10**12 + t) for t in times if rng.random() >= lost]
    return kept[-STAMP_SAMPLES:]


@pytest.mark.parametrize("lost", [0.0, 0.1, 0.3, 0.6, 0.8])
@pytest.mark.parametrize("jitter_ms", [0.0, 3.0])
@pytest.mark.parametrize("period_ms", [33.3, 111.1])
def test_the_share_of_lost_frames_is_seen_in_the_stamps(lost, jitter_ms, period_ms):
    shares = [stamps.missing_share(grid(600, period_ms, lost, jitter_ms, seed)) for seed in range(10)]
    known = [share for share in shares if share is not None]
    assert len(known) >= (10 if lost < 0.8 else 5), "with few frames left the rhythm is not always seen"
    assert sum(known) / len(known) == pytest.approx(lost, abs=0.06), shares


@pytest.mark.parametrize("case", ["too few", "irregular", "stuck", "zero", "back in time"])
def test_stamps_that_tell_nothing_about_loss(case):
    rng = random.Random(2)
    listed = {
        "too few": grid(8),
        "irregular": [round(sum(rng.uniform(20, 100) for _ in range(k)) * MS) + k for k in range(60)],
        "stuck": [5 * MS] * 60,
        "zero": [0] * 60,
        "back in time": [*grid(60), 5 * MS],
    }[case]
    if case == "irregular":
        listed = sorted(listed)
    assert stamps.missing_share(listed) is None


def test_a_shutter_pause_or_a_bag_that_looped_is_no_loss():
    calm = grid(30)
    paused = calm + [stamp + 3_000 * MS for stamp in calm]
    assert stamps.missing_share(paused) == pytest.approx(0.0, abs=0.01)
    looped = grid(30, lost=0.5) + calm
    assert stamps.missing_share([*looped[: len(looped) - 30], *(s - 10**10 for s in calm)]) == pytest.approx(0.0)


@given(st.lists(st.integers(-(2**62), 2**62), max_size=70))
def test_no_stamps_break_the_arithmetic(listed):
    share = stamps.missing_share(listed)
    assert share is None or 0.0 <= share <= 1.0
    assert stamps.advance(listed) in (True, False)
    seen = Vitals()
    for k, stamp in enumerate(listed):
        seen.saw(k / 10, stamp, "")
    both = {RGB: seen, THERMAL: seen}
    assert isinstance(explain.explain_stamps(both), str)
    assert isinstance(explain.explain_skew(both, 0.05, NO_OFFSETS, 10**18), str)


def with_stamps(listed, nbytes, marks=()):
    seen = Vitals()
    for k, stamp in enumerate(listed):
        seen.saw(k / 30, stamp, "", nbytes=nbytes)
    for lost in marks:
        seen.mark_lost(lost)
    return seen


def test_partial_loss_of_large_images_is_explained_by_stamps_where_the_middleware_cannot_tell():
    seen = with_stamps(grid(200, lost=0.4), LARGE)
    out = explain.explain_loss(link(stream=RGB, topic="/c", **FAST), seen)
    share = stamps.missing_share(list(seen.stamps_ns))
    assert f"about {share:.0%} of rgb frames (/c) are lost on the way, images of 921,600 bytes" in out
    assert "runs without the Fast DDS profile" in out and "DEFAULT_PROFILES_FILE=/x/fastdds.xml" in out


@pytest.mark.parametrize(
    ("listed", "nbytes", "changes"),
    [
        (grid(200, lost=0.4), DEFAULT_SEGMENT_BYTES, FAST),
        (grid(200, lost=0.4), LARGE, {**FAST, "best_effort": False}),
        (grid(200, lost=0.4), LARGE, {**FAST, "fastdds": False}),
        (grid(200), LARGE, FAST),
        ([round(k**1.5 * 40) * MS for k in range(60)], LARGE, FAST),
    ],
)
def test_gaps_that_have_other_causes_give_no_warning(listed, nbytes, changes):
    assert explain.explain_loss(link(**changes), with_stamps(listed, nbytes)) == ""


def test_the_middlewares_own_count_decides_where_there_is_one():
    gaps = grid(200, lost=0.4)
    assert explain.explain_loss(link(**FAST), with_stamps(gaps, LARGE, marks=(0, 0, 0))) == "", "a busy machine"
    seen = Vitals()
    for k in range(10):
        seen.saw(k / 10, k, "", nbytes=1000)
        seen.mark_lost(5 * k)
    out = explain.explain_loss(link(**FAST), seen)
    assert "the middleware lost 45 of its last 54 messages on the way to /t, images of 1,000 bytes" in out
    assert "look at the network" in out and "FASTDDS" not in out, "small images have another cause"


# Stamps and skew


def test_skew_is_measured_to_the_nearest_frame_of_the_faster_camera():
    assert stamps.skews([0, 33, 66, 100], [40, 101]) == [7, 1]
    assert stamps.skews([50], [0, 40, 80]) == [-10]
    assert stamps.skews([], [1]) == []


@pytest.mark.parametrize(
    ("rgb", "thermal", "parts"),
    [
        (range(0, 5000, 500), range(120, 5000, 500), ("120.0 ms at least", "constant", "sync.thermal_offset: -0.120")),
        (range(0, 5000, 500), range(10**8, 10**8 + 5000, 500), ("clocks are apart",)),
        ([10**9], [0], ("thermal stamps are zero",)),
        ([0, 500, 1000], [100, 720, 1200], ("raise sync.tolerance",)),
        (range(0, 5000, 500), [120, 620, 1120, *range(9120, 12000, 500)], ("jumped by", "lately")),
    ],
)
def test_skew_is_explained(rgb, thermal, parts):
    out = explain.explain_skew(vitals(rgb, thermal), tolerance_s=0.05, offsets_s=NO_OFFSETS)
    assert all(part in out for part in parts), out


@pytest.mark.parametrize(("rgb", "thermal", "advice"), [(0.0, -0.1, "-0.160"), (0.05, -0.02, "-0.110")])
def test_the_advised_offset_replaces_the_configured_one(rgb, thermal, advice):
    seen = vitals(range(0, 5000, 500), range(160, 5000, 500))
    out = explain.explain_skew(seen, 0.005, {RGB: rgb, THERMAL: thermal})
    assert f"sync.thermal_offset: {advice} would" in out and "after the configured offsets" in out, out
    assert explain.explain_skew(seen, 0.005, {RGB: rgb, THERMAL: float(advice)}) == ""


def test_old_thermal_frames_are_not_compared_with_rgb_frames_long_gone():
    """Of cameras with 30 and 3 Hz the kept stamps reach back 2 and 20 s; the median skew was seconds."""
    seen = {stream: Vitals() for stream in STREAMS}
    for k in range(900):
        seen[RGB].saw(k / 30, round((100 + k / 30) * 1e9), "")
    for k in range(90):
        seen[THERMAL].saw(k / 3, round((100.012 + k / 3) * 1e9), "")
    out = explain.explain_skew(seen, 0.005, NO_OFFSETS)
    assert "differ by 12.0 ms at least, 12.0 ms in the median" in out and "sync.thermal_offset: -0.012" in out


def test_clocks_apart_names_the_clock_that_is_off():
    seen = vitals(range(0, 5000, 500), range(10**8, 10**8 + 5000, 500))
    out = explain.explain_skew(seen, 0.05, NO_OFFSETS, clock_ns=5_000 * MS)
    assert "(thermal stamps are 99999.5 s ahead of this node's clock)" in out
    out = explain.explain_skew(seen, 0.05, NO_OFFSETS, clock_ns=(10**8 + 5000) * MS)
    assert "(rgb stamps are 100000.5 s behind this node's clock)" in out
    assert "this node" not in explain.explain_skew(seen, 0.05, NO_OFFSETS, clock_ns=0), "use_sim_time without /clock"


@pytest.mark.parametrize("late", [1.5, -1.5])
def test_frames_with_equal_stamps_that_arrive_far_apart(late):
    seen = vitals(range(0, 5000, 100), range(0, 5000, 100), late_s=late)
    out = explain.explain_skew(seen, 0.05, NO_OFFSETS)
    name, other = (THERMAL, RGB) if late > 0 else (RGB, THERMAL)
    assert f"{name} frames arrive 1.50 s later than {other} frames of the same stamp" in out
    assert f"sync.thermal_offset: {late:.3f}" in out and "sync.queue_size" in out


def test_stamps_that_fit_are_no_explanation():
    assert explain.explain_skew(vitals([0, 100], [10, 110]), 0.05, NO_OFFSETS) == ""
    assert explain.explain_skew(vitals([0], []), 0.05, NO_OFFSETS) == ""
    assert explain.explain_stamps(vitals(range(0, 900, 33), [10, 110])) == ""
    assert explain.explain_stamps(vitals()) == ""


@pytest.mark.parametrize(
    ("rgb", "thermal", "parts"),
    [
        ([0] * 5, range(100, 600, 100), ("rgb stamps are zero", "header.stamp")),
        ([0] * 5, [0] * 5, ("rgb stamps are zero", "thermal stamps are zero")),
        (range(0, 500, 33), [4000] * 5, ("thermal stamps do not advance (the last is 4.000 s)",)),
        (range(9000, 100, -33), range(100), ("rgb stamps do not advance",)),
    ],
)
def test_stamps_that_get_nowhere_are_explained(rgb, thermal, parts):
    out = explain.explain_stamps(vitals(rgb, thermal))
    assert all(part in out for part in parts), out


def test_a_frozen_camera_is_explained_also_when_it_repeats_one_message():
    moving = vitals([], range(0, 1000, 100))[THERMAL]
    out = explain.explain_frozen(THERMAL, "/t", 2.14, moving)
    assert "thermal: /t sends the same picture for 2.1 s while the rgb camera's changes" in out
    assert "frozen_timeout: 0" in out and "stamps" not in out
    assert "its stamps do not advance either" in explain.explain_frozen(
        THERMAL, "/t", 2.0, vitals([], [7] * 5)[THERMAL]
    )


def test_the_age_of_stamps_needs_a_running_clock():
    seen = vitals(range(0, 1000, 100))[RGB]
    assert explain.stamp_age_s(seen, 2_900 * MS) == 2.0
    assert explain.stamp_age_s(seen, 0) is None and explain.stamp_age_s(Vitals(), 10**18) is None
