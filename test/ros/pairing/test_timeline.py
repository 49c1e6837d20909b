"""The time of one stream: which stamps are the next, late or odd, and how many frames are worth keeping."""

from __future__ import annotations

import pytest

from sartm_ros.pairing.timeline import (
    BACKWARD_RUN,
    NS,
    PERIOD_SAMPLES,
    QUEUE_MAX,
    QUEUE_MIN,
    QUEUE_START,
    Frame,
    Timeline,
    Verdict,
    queue_room,
)

HOUR_MS = 3_600_000


def frame(ms: float, now: float = 0.0) -> Frame:
    return Frame(round(ms * 1e6), round(ms * 1e6), None, now)


def steady(rate: float = 30.0, lag_s: float = 0.0, count: int = 20, jitter_s: float = 0.0) -> Timeline:
    """A stream that has sent for a while; its clock started at 0 with ours."""
    time = Timeline()
    for k in range(count):
        time.go_on(frame(k * 1e3 / rate, now=k / rate + lag_s + jitter_s * (k % 2)))
    return time


def test_the_first_frame_is_always_believed():
    assert Timeline().judge(frame(-HOUR_MS)) is Verdict.NEXT


@pytest.mark.parametrize(
    "step_ms, after_s, verdict",
    [
        (33, 0.033, Verdict.NEXT),
        (0.001, 0.0, Verdict.NEXT),
        (900, 0.0, Verdict.NEXT),  # after a stall of the network frames come at once
        (60_000, 60.0, Verdict.NEXT),  # the camera paused
        (60_000, 6.0, Verdict.NEXT),  # the same in a bag played at 10x
        (10_000, 1.0, Verdict.NEXT),  # 0.1 Hz at 10x
        (0, 0.033, Verdict.LATE),
        (-33, 0.033, Verdict.LATE),
        (-500, 0.033, Verdict.LATE),
        (-501, 0.033, Verdict.JUMP),
        (-HOUR_MS, 60.0, Verdict.JUMP),
        (1_100, 0.001, Verdict.JUMP),
        (60_000, 1.0, Verdict.JUMP),
        (HOUR_MS, 60.0, Verdict.JUMP),
    ],
)
def test_what_a_step_is(step_ms, after_s, verdict):
    time = steady()
    newest_ms = time.newest / 1e6
    assert time.judge(frame(newest_ms + step_ms, time.arrived + after_s)) is verdict


@pytest.mark.parametrize("jump_ms", [HOUR_MS, -HOUR_MS, 3_000, -700])
def test_the_next_frame_decides_about_a_suspect_one(jump_ms):
    time = steady()
    newest_ms, now = time.newest / 1e6, time.arrived
    time.suspect = frame(newest_ms + jump_ms, now + 0.033)
    assert time.judge(frame(newest_ms + 66, now + 0.066)) is Verdict.NEXT
    assert time.judge(frame(newest_ms + jump_ms + 33, now + 0.066)) is Verdict.CONFIRMS
    assert time.judge(frame(newest_ms + jump_ms, now + 0.066)) is Verdict.JUMP, "a repeated stamp proves nothing"
    assert time.judge(frame(newest_ms + 2 * HOUR_MS, now + 0.066)) is Verdict.JUMP, "another odd one replaces it"


def test_a_suspect_frame_that_the_stream_has_passed_was_only_early():
    time = steady()
    newest_ms, now = time.newest / 1e6, time.arrived
    time.suspect = frame(newest_ms + 1_100, now)
    assert time.judge(frame(newest_ms + 1_133, now + 0.02)) is Verdict.CONFIRMS


def test_a_restart_forgets_the_old_time_but_goes_on():
    time = steady()
    time.suspect = frame(0)
    time.restart(frame(-HOUR_MS, now=10.0))
    assert time.suspect is None and time.rate() is None and time.earliest_next() is None
    assert time.judge(frame(-HOUR_MS + 33, now=10.03)) is Verdict.NEXT


def test_a_run_of_refused_frames_that_rise_means_a_restart():
    time = steady()
    assert [time.restarted(t) for t in (10, 5, 5, 6, 7)] == [False] * 4 + [True]
    time.restarted(8)
    time.go_on(frame(10_000))
    assert [time.restarted(t) for t in range(9, 9 + BACKWARD_RUN)] == [False] * (BACKWARD_RUN - 1) + [True]


def test_the_next_frame_is_expected_after_most_of_the_shortest_period():
    time = steady(30.0, count=PERIOD_SAMPLES)
    assert time.earliest_next() is None
    time.go_on(frame(time.newest / 1e6 + 20))
    assert time.earliest_next() == time.newest + 15_000_000


# Queue by rate: rate x (wait + lag) + 2


@pytest.mark.parametrize(
    "rate, wait_s, lag_s, expected",
    [
        (30.0, 0.1, 0.0, 5),
        (30.0, 0.1, 0.2, 11),
        (9.0, 0.1, 0.0, QUEUE_MIN),
        (9.0, 0.1, 0.5, 8),
        (60.0, 0.1, 0.1, 14),
        (30.0, 10.0, 0.0, QUEUE_MAX),
        (1e6, 10.0, 0.0, QUEUE_MAX),
        (30.0, 0.1, 3600.0, 5),  # clocks apart, not a lag
    ],
)
def test_the_room_follows_rate_wait_and_lag(rate, wait_s, lag_s, expected):
    one, late = steady(rate), steady(9.0, lag_s)
    for own, other in ((one, late), (steady(rate, lag_s), steady(9.0))):  # whichever of the two is late
        assert abs(queue_room(own, other, wait_s) - expected) <= 1  # one frame of rounding


def test_the_room_covers_the_worst_latency_seen_lately():
    assert queue_room(steady(30.0), steady(30.0, jitter_s=0.2), 0.1) >= 11


def test_an_unknown_rate_has_a_room_too():
    assert queue_room(Timeline(), Timeline(), 0.1) == QUEUE_START
    assert queue_room(steady(count=3), Timeline(), 0.1) == QUEUE_START
    assert queue_room(steady(), Timeline(), 0.11) == 6


def test_epoch_and_boot_clocks_give_the_same_lag():
    def shifted(lag_s: float) -> Timeline:
        time, epoch = Timeline(), 1_700_000_000 * NS
        for k in range(20):
            stamp = epoch + k * NS // 30
            time.go_on(Frame(stamp, stamp, None, 5.0 + k / 30 + lag_s))
        return time

    assert queue_room(shifted(0.0), shifted(0.2), 0.1) in (11, 12)
