"""Which cameras are alive: silence and hysteresis. Exact clocks, no waiting, no ROS."""

from __future__ import annotations

import itertools
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sartm_ros.health import health
from sartm_ros.health.health import FROZEN, SILENT, UNUSABLE, Limits
from sartm_ros.health.vitals import FIRST_PERIOD_S, LOSS_MARKS, Vitals
from sartm_ros.pairing.nearest import OTHER, RGB, STREAMS, THERMAL
from test.ros.play import EPSILON, LIMITS, TICK_S, Play, frames

pytestmark = pytest.mark.alone


def test_throttle_is_per_key():
    throttle = health.Throttle(5.0)
    assert throttle.ready("a", 0.0) and not throttle.ready("a", 4.9) and throttle.ready("b", 1.0)
    assert throttle.ready("a", 5.0)
    for k in range(1000):
        assert throttle.ready(f"text {k}", 10.0 + k)
    assert len(throttle._last) <= 5, "forgotten once they may speak again"


def test_throttle_lets_one_of_many_threads_through():
    throttle, passed = health.Throttle(5.0), []
    barrier = threading.Barrier(8)

    def ask():
        barrier.wait()
        passed.append(throttle.ready("a", 1.0))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(passed) == 1


@pytest.mark.parametrize("lost", STREAMS)
def test_a_lost_camera_is_noticed_and_needs_a_while_to_be_trusted_again(lost):
    steady, gap = frames(30, (0, 6)), frames(30, (0, 2), (4, 6))
    play = Play(*((gap, steady) if lost == RGB else (steady, gap)))
    assert play.modes == ["both", OTHER[lost], "both"]
    assert play.flips[1][2] == {lost: SILENT, OTHER[lost]: ""}
    left, back = play.flips[1][0], play.flips[2][0]
    assert 1 < left - gap[59][0] <= 1 + TICK_S and back == pytest.approx(4.5, abs=0.04)


@pytest.mark.parametrize("flapping", STREAMS)
def test_a_flapping_camera_does_not_flap_the_state(flapping):
    steady = frames(30, (0, 20))
    flaps = frames(30, (0, 2), *((2 + 1.5 * k + 1.2, 2 + 1.5 * (k + 1)) for k in range(12)))
    play = Play(*((flaps, steady) if flapping == RGB else (steady, flaps)))
    assert play.modes == ["both", OTHER[flapping]]
    assert len(play.flips) == 2


def test_from_none_one_camera_waits_for_the_other_one_as_long_as_for_trust():
    play = Play(frames(30, (0, 2), (5, 7)), frames(30, (0, 2), (6, 7)))
    assert play.modes == ["both", "none", "rgb", "both"]
    assert play.at("rgb") == pytest.approx(5.5, abs=0.04) and play.flips[-1][0] == pytest.approx(6.5, abs=0.04)


def test_from_none_to_both_at_once():
    play = Play(frames(30, (0, 2), (5, 7)), frames(30, (0, 2), (5.1, 7)))
    assert play.modes == ["both", "none", "both"]
    assert play.flips[-1][0] == pytest.approx(5.1, abs=EPSILON)


def test_pairs_sent_by_hand_seconds_apart_are_never_taken_apart():
    """Found in the demo on a busy machine: rgb came first, so it went out alone and thermal was not trusted."""
    times = [0.0, 4.0, 9.0, 11.5, 16.0]
    play = Play([(t, t) for t in times], [(t + 0.01, t) for t in times])
    assert set(play.modes) <= {"both", "none"}


def test_the_one_that_recovers_takes_over_when_the_other_one_dies():
    play = Play(frames(30, (0, 6)), frames(30, (0, 2), (6.8, 9)))
    assert play.modes == ["both", "rgb", "none", "thermal"]
    assert play.at("thermal") == pytest.approx(7.3, abs=2 * TICK_S), "by its own time"


def test_cameras_that_start_late_get_time_from_each_other():
    vitals = {stream: Vitals() for stream in STREAMS}
    live = health.Liveness(vitals)
    live.start(100.0, waiting=True)
    assert live.update(100.9, LIMITS) == "both" and live.update(101.1, LIMITS) == "none"
    live.saw(RGB, 110.0, 0)
    assert live.update(110.0, LIMITS) == "both"
    live.saw(THERMAL, 110.8, 0)
    assert live.update(110.9, LIMITS) == "both"
    live.start(200.0)
    assert live.update(200.5, LIMITS) == "both" and not live.heard(RGB)


def test_a_slow_camera_is_given_more_time():
    seen = Vitals()
    assert seen.patience(0.6) == 0.6
    seen.saw(0.0, 0, "")
    assert seen.patience(0.6) == FIRST_PERIOD_S, "after one frame the period is not known"
    for k in range(1, 5):
        seen.saw(2.0 * k, 0, "")
    assert seen.patience(0.6) == 5.0
    seen.saw(60.0, 0, "")
    assert seen.patience(0.6) == 5.0, "one gap made a slow camera of it"


@pytest.mark.parametrize(("rate", "timeout"), [(0.5, 1.0), (3.0, 0.1)])
def test_cameras_slower_than_the_timeout_are_alive_between_their_frames(rate, timeout):
    slow = frames(rate, (0, 20))
    play = Play(slow, [(t + 0.01, p) for t, p in slow], Limits(timeout, 0.5, 0.5), end=20)
    begin = 3 / rate  # by then its period is known
    assert all(now <= begin for now, *_ in play.flips), play.flips


def test_a_slow_camera_comes_back():
    play = Play(frames(30, (0, 40)), frames(0.5, (0, 10), (20, 40)))
    known = [(now, mode) for now, mode, _ in play.flips if now > 6]  # by then its period is known
    assert [mode for _, mode in known] == ["rgb", "both"]
    assert known[0][0] == pytest.approx(8 + 5, abs=2 * TICK_S) and 20 <= known[1][0] <= 24


def test_a_new_activation_starts_with_both_alive():
    play = Play(frames(30, (0, 4)), frames(30, (0, 4), picture="still"))
    assert play.live.faults()[THERMAL] == FROZEN
    play.vitals[THERMAL].mark_lost(3)
    play.live.start(10.0)
    assert play.live.update(10.0, LIMITS) == "both" and play.live.faults() == {RGB: "", THERMAL: ""}
    assert play.vitals[THERMAL].lost is None and play.vitals[THERMAL].recent_loss() == (0, 0)


def test_a_camera_refused_since_its_last_good_frame_has_not_stopped_sending():
    seen = {stream: Vitals() for stream in STREAMS}
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


@pytest.mark.parametrize(
    ("mode", "enabled", "faults", "text"),
    [
        ("both", True, {}, "ok"),
        ("rgb", True, {THERMAL: SILENT}, "degraded: thermal silent"),
        ("rgb", True, {THERMAL: FROZEN}, "degraded: thermal frozen"),
        ("thermal", True, {RGB: SILENT}, "degraded: rgb silent"),
        ("rgb", False, {THERMAL: FROZEN}, "no masks: thermal frozen"),
        ("none", True, {RGB: SILENT, THERMAL: SILENT}, "no input: rgb and thermal silent"),
        ("none", True, {RGB: SILENT, THERMAL: FROZEN}, "no input: rgb silent, thermal frozen"),
    ],
)
def test_the_state_names_the_camera_and_its_fault(mode, enabled, faults, text):
    assert health.describe_mode(mode, enabled, faults) == text


def test_losses_are_counted_over_the_last_marks():
    seen = Vitals()
    assert seen.recent_loss() == (0, 0)
    for k in range(30):
        seen.saw(k / 2, k, "")
        seen.mark_lost(2 * k)
    assert seen.recent_loss() == (2 * (LOSS_MARKS - 1), LOSS_MARKS - 1) and seen.lost == 58
    seen.mark_lost(None)
    assert seen.lost is None


SPAN = st.tuples(st.floats(0.05, 2.5), st.sampled_from([2, 9, 30]), st.sampled_from(["moving", "still", "off"]))
BEHAVIOUR = st.lists(SPAN, min_size=1, max_size=10)


def behave(spans):
    """Frames of a camera that goes through spans of (seconds, rate, what it does)."""
    out, begin = [], 0.0
    for k, (length, rate, what) in enumerate(spans):
        if what != "off":
            out += frames(rate, (begin, begin + length), picture=None if what == "moving" else ("still", k))
        begin += length
    return out


@settings(max_examples=60, deadline=None)
@given(BEHAVIOUR, BEHAVIOUR, st.sampled_from([0.2, 0.5, 1.5]))
def test_both_never_return_faster_than_the_recovery(rgb, thermal, recovery):
    play = Play(behave(rgb), behave(thermal), Limits(1.0, recovery, 0.5), end=25)
    left = None
    for now, mode, _ in play.flips:
        if mode == "none":
            left = -1.0  # with no masks at all there is nothing to protect
        elif mode != "both":
            left = now if left is None else left
        elif left is not None:
            assert now - left >= recovery - EPSILON, play.flips
            left = None


@settings(max_examples=60, deadline=None)
@given(BEHAVIOUR, st.sampled_from(STREAMS), st.sampled_from([Limits(1.0, 0.5, 0.5), Limits(0.4, 0.3, 0.0)]))
def test_beside_a_good_camera_the_mode_never_flips_faster_than_the_limits(spans, stream, limits):
    bad, good = behave(spans), frames(30, (0, 25))
    play = Play(*((bad, good) if stream == RGB else (good, bad)), limits, end=25)
    assert set(play.modes) <= {"both", OTHER[stream]}, "the good one stays"
    changes = [
        now for (now, mode, _), (_, before, _) in zip(play.flips[1:], play.flips, strict=False) if mode != before
    ]
    shortest = min(limits.timeout, limits.recovery, limits.frozen or limits.timeout)
    assert all(b - a >= shortest - EPSILON for a, b in itertools.pairwise(changes)), play.flips


def spoil(seen, begin, count, period=0.1, timeout=1.0):
    """`count` frames that cannot be converted; the time of the last one."""
    for k in range(count):
        seen.spoil("/rgb: cut off", begin + k * period, timeout)
    return begin + (count - 1) * period


def test_a_stream_is_unusable_when_nothing_of_it_could_be_converted_for_a_while():
    seen = Vitals()
    last = spoil(seen, 0.0, 11)
    assert not seen.unusable(last, 0.5) and seen.spoiled_since == 0.0
    last = spoil(seen, last + 0.1, 1)
    assert seen.unusable(last, 0.5) and seen.unusable(last + 100.0, 0.5), "until one can be converted"
    seen.spoiled_since = None
    assert seen.unusable(last + 0.4, 0.5) and not seen.unusable(last + 0.5, 0.5)
    assert seen.bad == seen.spoiled == 12 and seen.last_error == "/rgb: cut off" and seen.last_refused is None


def test_single_frames_that_cannot_be_converted_make_no_stream_unusable():
    seen = Vitals()
    for k in range(100):
        last = spoil(seen, float(k), 5)
        seen.spoiled_since = None
    assert not seen.unusable(last, 0.5)
    seen = Vitals()
    spoil(seen, 0.0, 1)
    spoil(seen, 1000.0, 1)  # nobody listened meanwhile, so nothing was converted
    assert not seen.unusable(1000.0, 0.5)


def test_one_good_frame_in_many_bad_ones_does_not_flap():
    seen = Vitals()
    now = spoil(seen, 0.0, 12)
    for _ in range(10):
        seen.spoiled_since = None
        assert seen.unusable(now + 0.1, 0.5)
        now = spoil(seen, now + 0.2, 3)
        assert seen.unusable(now, 0.5)


def test_an_activation_forgets_what_was_spoiled():
    seen = Vitals()
    spoil(seen, 0.0, 20)
    seen.restart()
    assert not seen.unusable(2.0, 0.5) and seen.spoiled_since is None
    spoil(seen, 50.0, 2)
    assert not seen.unusable(60.0, 0.5)


def test_spoiled_frames_are_received_once():
    seen = Vitals()
    seen.mark_lost(0)
    for k in range(10):
        seen.saw(k / 10, k, "")
    spoil(seen, 0.0, 10)
    seen.mark_lost(5)
    assert seen.recent_loss() == (5, 10)


@pytest.mark.parametrize(
    ("mode", "bad", "enabled", "text"),
    [
        ("both", (RGB,), True, "degraded: rgb unusable"),
        ("both", (THERMAL,), False, "no masks: thermal unusable"),
        ("both", STREAMS, True, "no input: rgb and thermal unusable"),
        ("rgb", (RGB,), True, "no input: rgb unusable, thermal silent"),
        ("rgb", (), True, "degraded: thermal silent"),
    ],
)
def test_the_state_of_unusable_streams(mode, bad, enabled, text):
    faults = {s: UNUSABLE if s in bad else SILENT if mode not in ("both", s) else "" for s in STREAMS}
    assert health.describe_mode(health.usable(mode, faults), enabled, faults) == text
