"""Pairing when stamps are odd: bags in a loop, single bogus stamps, runs of them, cameras that pause."""

from __future__ import annotations

import pytest

from sartm_ros.pairing.nearest import OTHER, RGB, STREAMS, THERMAL, NearestPairer
from test.ros.pairing.test_pairing import MS, both, cameras, dropped, push, simulate, stamps

HOUR = 3_600_000
"""ms"""


@pytest.mark.parametrize("jump_ms", [HOUR, 2_000, 700])
@pytest.mark.parametrize("first", STREAMS)
def test_a_backward_jump_starts_over(jump_ms, first):
    pairer = NearestPairer()
    start = 10_000_000
    for k in range(20):
        for stream in STREAMS:
            push(pairer, stream, start + 33 * k)
    push(pairer, first, start + 33 * 20)
    pairs = []
    for k in range(10):
        for stream in (first, OTHER[first]):
            pairs += push(pairer, stream, start - jump_ms + 33 * k)
    assert len(pairs) == 10, "the first pair too"
    assert pairer.counters.resets == 1
    assert dropped(pairer)["backward_jump"] == 1, "the frame that waited"


def test_a_short_bag_in_a_loop_is_noticed():
    pairer = NearestPairer()
    pairs = []
    for _ in range(5):
        for k in range(9):  # 0.3 s long: less than a jump
            for stream in STREAMS:
                pairs += push(pairer, stream, 33 * k)
    assert len(pairs) >= 9 + 4 * 5


@pytest.mark.parametrize("phase", [0.0, 5.0, 40.0])
def test_a_bag_of_30_and_9_hz_in_a_loop_counts_one_reset_a_loop(phase):
    pairer = NearestPairer()
    pairs = []
    for loop in range(4):
        bag = cameras(30, 9, seconds=3.0, phase=phase)
        pairs += simulate(pairer, [(now + 3.0 * loop, stream, ms) for now, stream, ms in bag])
    assert len(pairs) >= 4 * 26 and pairer.counters.resets == 3


def feed(pairer: NearestPairer, pairs: int, start_ms: float = 10_000.0) -> float:
    """Good pairs at 30 Hz; the stamp of the next one."""
    for k in range(pairs):
        assert len(both(pairer, start_ms + 33 * k, now=k * 0.033)) == 1
    return start_ms + 33 * pairs


ODD_MS = [HOUR, -HOUR, 1e9, -5_000, 60_000]


@pytest.mark.parametrize("odd_ms", ODD_MS)
@pytest.mark.parametrize("stream", STREAMS)
def test_one_odd_stamp_costs_nothing_but_its_frame(stream, odd_ms):
    pairer = NearestPairer()
    ms = feed(pairer, 20)
    push(pairer, RGB, ms, 1.0)
    push(pairer, stream, ms + odd_ms, 1.0)
    assert stamps(push(pairer, THERMAL, ms, 1.0)) == [(ms, ms)], "the frame that waited was kept"
    assert stamps(both(pairer, ms + 33, 1.033)) == [(ms + 33, ms + 33)]
    assert pairer.counters.resets == 0 and len(pairer) == 0
    assert dropped(pairer) == {"too_old": 0, "no_partner": 0, "superseded": 0, "backward_jump": 1}


@pytest.mark.parametrize("odd_ms", ODD_MS)
@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("count", [2, 3, 30])
def test_a_run_of_odd_stamps_does_not_stop_the_next_good_pair(stream, odd_ms, count):
    """Two in a row are believed: then the good pair is the one that jumps."""
    pairer = NearestPairer()
    ms = feed(pairer, 20)
    for k in range(count):
        push(pairer, stream, ms + odd_ms + 33 * k, 1.0 + 0.01 * k)
    for k in range(5):
        assert stamps(both(pairer, ms + 33 * k, 2.0 + 0.033 * k)) == [(ms + 33 * k, ms + 33 * k)]
    assert len(pairer) <= 2 + count


def test_both_streams_going_back_is_one_reset_even_before_any_pair():
    pairer = NearestPairer()
    for stream, ms in ((RGB, 10_000_000), (THERMAL, 9_000_000)):
        push(pairer, stream, ms)
    assert len(both(pairer, 1000)) == 1 and pairer.counters.resets == 1


def test_a_pair_that_is_not_newer_than_the_last_one_comes_with_a_reset():
    pairer = NearestPairer()
    push(pairer, THERMAL, 10_000)
    push(pairer, RGB, 10_040)
    assert len(pairer.poll(1.0)) == 1
    push(pairer, THERMAL, 10_030, 1.0)
    for ms in (HOUR, HOUR + 33):
        push(pairer, RGB, ms, 1.0)
    push(pairer, RGB, 10_035, 1.1)  # back to where thermal is, but before its own last pair
    assert stamps(pairer.poll(2.0)) == [(10_035, 10_030)] and pairer.counters.resets == 1


@pytest.mark.parametrize("order", [(RGB, THERMAL), (THERMAL, RGB)])
def test_both_cameras_at_another_time_are_believed_at_once(order):
    pairer = NearestPairer()
    ms = feed(pairer, 5)
    assert len([p for s in order for p in push(pairer, s, ms + HOUR, 1.0)]) == 1
    assert len([p for s in order for p in push(pairer, s, ms, 1.0)]) == 1
    assert pairer.counters.resets == 1 and len(pairer) == 0


def test_a_camera_pause_and_a_fast_bag_are_no_jumps():
    for speed in (1, 10):
        pairer = NearestPairer()
        ms = feed(pairer, 20)
        now = 1.0 + 180.0 / speed
        assert stamps(both(pairer, ms + 180_000, now)) == [(ms + 180_000, ms + 180_000)]
        assert sum(dropped(pairer).values()) == 0 and pairer.newest(RGB) == round((ms + 180_000) * MS)


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("first, second", [(HOUR, -HOUR), (-HOUR, HOUR), (HOUR, HOUR + 33), (-HOUR, 33 - HOUR)])
def test_two_bogus_frames_between_two_good_pairs(stream, first, second):
    pairer = NearestPairer()
    for k in range(5):
        assert len(both(pairer, HOUR + 33 * k, 0.033 * k)) == 1
    push(pairer, stream, HOUR + 133 + first, 0.14)
    push(pairer, stream, HOUR + 133 + second, 0.15)
    assert len(both(pairer, HOUR + 165, 0.165)) == 1


def test_clear_counts_what_was_held_and_a_clock_jump_is_a_reset():
    pairer = NearestPairer()
    ms = feed(pairer, 3)
    push(pairer, RGB, ms, 1.0)
    push(pairer, RGB, ms + HOUR, 1.0)  # suspect
    pairer.clear("backward_jump")
    assert pairer.counters.dropped[RGB]["backward_jump"] == 2 and pairer.counters.resets == 1 and len(pairer) == 0
    pairer.clear("no_partner")
    assert pairer.counters.resets == 1 and pairer.newest(RGB) is None and pairer.deadline() is None
    assert stamps(both(pairer, 5)) == [(5, 5)]
