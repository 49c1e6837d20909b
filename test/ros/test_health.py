"""Which cameras are alive: silence, frozen pictures, hysteresis. Exact clocks, no waiting, no ROS."""

from __future__ import annotations

import itertools
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sartm_ros import health
from sartm_ros.health import FROZEN, SILENT, Limits
from sartm_ros.pairing import OTHER, RGB, STREAMS, THERMAL

LIMITS = Limits(timeout=1.0, recovery=0.5, frozen=0.5)
TICK_S = 0.1
EPSILON = 1e-9


def frames(rate, *spans, picture=None):
    """(time, picture) at `rate` within the spans (begin, end) of seconds; the picture changes, or is the given one."""
    out = []
    for begin, end in spans:
        count = round((end - begin) * rate)
        out += [(begin + k / rate, (begin, k) if picture is None else picture) for k in range(count)]
    return out


def repeated(rate, of, end):
    """Frames at `rate`, each with the newest picture of a camera that makes `of` pictures a second."""
    return [(k / rate, ("content", int(k / rate * of + EPSILON))) for k in range(round(end * rate))]


class Play:
    """Two cameras' frames through Liveness, asked after every frame and on a timer; `flips`: (time, mode, faults)."""

    def __init__(self, rgb, thermal, limits=LIMITS, end=None):
        self.vitals = {stream: health.Vitals() for stream in STREAMS}
        self.live = health.Liveness(self.vitals)
        self.live.start(0.0)
        events = [(t, 1, RGB, hash(p)) for t, p in rgb] + [(t, 1, THERMAL, hash(p)) for t, p in thermal]
        end = end if end is not None else max(t for t, *_ in events)
        events += [(k * TICK_S, 0, "", 0) for k in range(1, round(end / TICK_S))]
        self.flips = [(0.0, "both", {RGB: "", THERMAL: ""})]
        for now, _, stream, picture in sorted(events, key=lambda e: e[:3]):
            if stream:
                self.live.saw(stream, now, round(now * 1e9), "64x48 mono8", picture, 1000)
            mode, faults = self.live.update(now, limits), self.live.faults()
            if (mode, faults) != self.flips[-1][1:]:
                self.flips.append((now, mode, faults))

    @property
    def modes(self):
        return [mode for mode, _ in itertools.groupby(mode for _, mode, _ in self.flips)]

    def at(self, mode):
        """When `mode` came for the first time after the start."""
        return next(now for now, m, _ in self.flips[1:] if m == mode)


def test_throttle_is_per_key():
    throttle = health.Throttle(5.0)
    assert throttle.ready("a", 0.0) and not throttle.ready("a", 4.9) and throttle.ready("b", 1.0)
    assert throttle.ready("a", 5.0)


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


def test_from_none_to_one_camera_at_once():
    play = Play(frames(30, (0, 2), (5, 7)), frames(30, (0, 2), (6, 7)))
    assert play.modes == ["both", "none", "rgb", "both"]
    assert play.at("rgb") == 5.0 and play.flips[-1][0] == pytest.approx(6.5, abs=0.04)


def test_the_one_that_recovers_takes_over_when_the_other_one_dies():
    play = Play(frames(30, (0, 6)), frames(30, (0, 2), (6.8, 9)))
    assert play.modes == ["both", "rgb", "thermal"]
    assert play.at("thermal") == pytest.approx(7.0, abs=2 * TICK_S), "at once, not after the recovery"


def test_cameras_that_start_late_get_time_from_each_other():
    vitals = {stream: health.Vitals() for stream in STREAMS}
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
    seen = health.Vitals()
    assert seen.patience(0.6) == 0.6
    seen.saw(0.0, 0, "")
    assert seen.patience(0.6) == health.FIRST_PERIOD_S, "after one frame the period is not known"
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


@pytest.mark.parametrize("stuck", STREAMS)
def test_a_frozen_camera_counts_as_lost_until_its_picture_moves(stuck):
    steady = frames(30, (0, 6))
    frozen = frames(30, (0, 2)) + frames(30, (2, 4), picture="still") + frames(30, (4, 6))
    play = Play(*((frozen, steady) if stuck == RGB else (steady, frozen)))
    assert play.modes == ["both", OTHER[stuck], "both"]
    assert play.flips[1][2] == {stuck: FROZEN, OTHER[stuck]: ""}
    assert play.flips[1][0] == pytest.approx(2.5, abs=0.1)
    assert play.flips[2][0] == pytest.approx(4.5, abs=0.1)


def test_a_camera_that_freezes_again_and_again_does_not_flap_the_state():
    bursts = [
        f
        for k in range(8)
        for f in frames(30, (1.5 * k, 1.5 * k + 0.3)) + frames(30, (1.5 * k + 0.3, 1.5 * k + 1.5), picture=("still", k))
    ]
    assert Play(frames(30, (0, 12)), bursts).modes == ["both", "rgb"]


def test_a_camera_that_comes_back_frozen_does_not_count_as_back():
    back = frames(30, (0, 2)) + frames(30, (4, 6), picture="still")
    play = Play(frames(30, (0, 6)), back, Limits(1.0, 0.5, 1.0))
    assert play.modes == ["both", "rgb"]
    assert [faults[THERMAL] for *_, faults in play.flips] == ["", SILENT, FROZEN]


def test_a_still_scene_of_a_simulation_is_no_fault():
    still = frames(30, (0, 2)) + frames(30, (2, 6), picture="still") + frames(30, (6, 8))
    assert len(Play(still, still).flips) == 1
    late = frames(30, (0, 2)) + frames(30, (2, 6.2), picture="still") + frames(30, (6.2, 8))
    assert len(Play(still, late).flips) == 1, "the scene moves again, for one camera a little earlier"


def test_a_camera_that_comes_back_to_a_still_scene_is_used_again():
    """It never was: the very first picture of the other camera counted as a change that this one had missed."""
    still = frames(30, (0, 8), picture="still")
    gone = [f for f in still if not 2 <= f[0] < 4]
    for rgb, thermal in ((still, gone), (gone, still), (still[1:], gone), (gone, still[1:])):
        play = Play(rgb, thermal)
        assert play.modes in (["both", "rgb", "both"], ["both", "thermal", "both"])
        assert play.flips[-1][0] == pytest.approx(4.5, abs=0.1)
    moves = frames(30, (0, 4.2)) + frames(30, (4.2, 8), picture="still")
    assert Play(moves, gone).flips[-1][0] <= 5.5, "the doubt ends when the other one's picture stands too"


def test_another_camera_that_moves_now_and_then_proves_nothing():
    rare = frames(30, (0, 2)) + [(2 + k / 30, k // 60) for k in range(240)]
    assert Play(rare, frames(30, (0, 2)) + frames(30, (2, 10), picture="still")).modes == ["both"]


@pytest.mark.parametrize(("rate", "of"), [(30, 9), (30, 1), (60, 9)])
def test_a_driver_that_repeats_each_picture_is_not_frozen(rate, of):
    play = Play(frames(30, (0, 8)), repeated(rate, of, 8))
    assert play.flips[-1][1] == "both" and play.flips[-1][0] <= 3 / of, "once its rhythm is known"
    assert len(play.flips) == 1 or of == 1


def test_frozen_needs_time_and_frames_and_can_be_off():
    slow = frames(30, (0, 4)), frames(2, (0, 1)) + frames(2, (1, 2), picture="still") + frames(2, (2, 4))
    assert len(Play(*slow).flips) == 1, "two equal frames of a slow camera"
    stuck = frames(30, (0, 4)), frames(30, (0, 4), picture="still")
    assert len(Play(*stuck, Limits(1.0, 0.5, 0.0)).flips) == 1
    assert Play(*stuck, Limits(1.0, 0.5, 2.0)).at("rgb") == pytest.approx(2.0, abs=0.1)


def test_frames_without_a_fingerprint_always_differ():
    seen = health.Vitals()
    assert seen.saw(0.0, 0, "") and seen.saw(0.1, 0, "") and seen.same_frames == 1
    assert seen.saw(0.2, 0, "", 5) and not seen.saw(0.3, 0, "", 5) and seen.same_frames == 2


def test_frozen_and_then_unplugged_is_silent():
    play = Play(frames(30, (0, 8)), frames(30, (0, 2)) + frames(30, (2, 4), picture="still"))
    assert [faults[THERMAL] for *_, faults in play.flips] == ["", FROZEN, SILENT]


def test_a_new_activation_starts_with_both_alive():
    play = Play(frames(30, (0, 4)), frames(30, (0, 4), picture="still"))
    assert play.live.faults()[THERMAL] == FROZEN
    play.vitals[THERMAL].mark_lost(3)
    play.live.start(10.0)
    assert play.live.update(10.0, LIMITS) == "both" and play.live.faults() == {RGB: "", THERMAL: ""}
    assert play.vitals[THERMAL].lost is None and play.vitals[THERMAL].recent_loss() == (0, 0)


def test_a_camera_refused_since_its_last_good_frame_has_not_stopped_sending():
    seen = {stream: health.Vitals() for stream in STREAMS}
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
    seen = health.Vitals()
    assert seen.recent_loss() == (0, 0)
    for k in range(30):
        seen.saw(k / 2, k, "")
        seen.mark_lost(2 * k)
    assert seen.recent_loss() == (2 * (health.LOSS_MARKS - 1), health.LOSS_MARKS - 1) and seen.lost == 58
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
        if mode != "both":
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
