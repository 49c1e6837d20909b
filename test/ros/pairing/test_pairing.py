"""Pairing: the rates of real cameras, waiting, offsets, late frames, queues. Odd stamps: test_pairing_jumps.py."""

from __future__ import annotations

import random

import pytest

from sartm_ros.pairing.nearest import NS, OTHER, REASONS, RGB, STREAMS, THERMAL, NearestPairer, Pair

MS = 1_000_000


def push(pairer: NearestPairer, stream: str, ms: float, now: float = 0.0) -> list[Pair]:
    return pairer.push(stream, round(ms * MS), (stream, ms), now)


def both(pairer: NearestPairer, ms: float, now: float = 0.0) -> list[Pair]:
    """A good pair: rgb, then thermal with the same stamp."""
    return push(pairer, RGB, ms, now) + push(pairer, THERMAL, ms, now)


def dropped(pairer: NearestPairer) -> dict[str, int]:
    return {reason: sum(pairer.counters.dropped[s][reason] for s in STREAMS) for reason in REASONS}


def stamps(pairs: list[Pair]) -> list[tuple[float, float]]:
    return [(p.rgb_stamp_ns / MS, p.thermal_stamp_ns / MS) for p in pairs]


def simulate(pairer: NearestPairer, events: list[tuple[float, str, float]]) -> list[tuple[Pair, float]]:
    """Feed (arrival s, stream, stamp ms), polling exactly when a wait ends, and return (pair, emission time)."""
    out = []
    for now, stream, ms in [*sorted(events, key=lambda e: e[0]), (float("inf"), "", 0.0)]:
        while (deadline := pairer.deadline()) is not None and deadline <= now:
            out += [(p, deadline) for p in pairer.poll(deadline)]
        if stream:
            out += [(p, now) for p in push(pairer, stream, ms, now)]
    return out


def cameras(
    rgb_hz, thermal_hz, seconds=20.0, phase=0.0, jitter_ms=0.0, delay_ms=(5.0, 5.0), delay_jitter_ms=0.0, seed=0
):
    """Arrival events of two cameras; phase of thermal in ms, jitter on stamps, transport delay per camera in ms."""
    dice, delay_dice = random.Random(seed), random.Random(seed + 1)
    events = []
    for stream, hz, start, delay in ((RGB, rgb_hz, 0.0, delay_ms[0]), (THERMAL, thermal_hz, phase, delay_ms[1])):
        arrival = 0.0
        for k in range(int(seconds * hz)):
            stamp = 1000.0 + start + k * 1000.0 / hz + dice.uniform(-jitter_ms, jitter_ms)
            arrival = max(
                arrival, stamp + delay + delay_dice.uniform(0.0, delay_jitter_ms)
            )  # one writer's frames keep order
            events.append((arrival / 1e3, stream, stamp))
    return events


@pytest.mark.parametrize("phase", [0.0, 3.0, 5.6, 9.0, 20.0])
@pytest.mark.parametrize("delay", [(5.0, 5.0), (5.0, 60.0), (60.0, 5.0)])
@pytest.mark.parametrize("jitter_ms, delay_jitter_ms", [(0.0, 0.0), (2.0, 15.0)])
def test_30_hz_with_9_hz_pairs_every_thermal_frame_with_its_nearest(phase, delay, jitter_ms, delay_jitter_ms):
    """Mean |skew| at most 9.5 ms (to the nearest of 30 Hz: 8.3 ms); no pair waits longer than max_wait."""
    pairer = NearestPairer()
    events = cameras(30, 9, 20.0, phase, jitter_ms, delay, delay_jitter_ms)
    arrived = {(stream, ms): now for now, stream, ms in events}
    emitted = simulate(pairer, events)
    skews = [abs(p.skew_ns) / MS for p, _ in emitted]
    assert len(emitted) >= 178
    assert sum(skews) / len(skews) <= 9.5 and max(skews) <= 1000 / 60 + 2 * jitter_ms + 0.1
    assert all(when <= max(arrived[p.rgb], arrived[p.thermal]) + 0.05 for p, when in emitted)


def test_9_hz_rgb_with_30_hz_thermal_pairs_every_rgb_frame():
    pairs = [p for p, _ in simulate(NearestPairer(), cameras(9, 30, phase=5.0))]
    assert len(pairs) >= 178 and max(abs(p.skew_ns) for p in pairs) <= 17 * MS


@pytest.mark.parametrize("phase", [0.0, 5.0, 10.0, -8.0])
def test_equal_rates_pair_without_waiting(phase):
    pairer = NearestPairer(max_wait=0.05)
    arrived = {}
    events = cameras(30, 30, phase=phase, jitter_ms=1.0)
    for now, stream, ms in events:
        arrived[stream, ms] = now
    emitted = simulate(pairer, events)
    assert len(emitted) >= 0.99 * 600
    waits = [when - max(arrived[p.rgb], arrived[p.thermal]) for p, when in emitted[20:]]
    assert max(waits) == 0.0


def test_it_waits_for_a_better_partner_and_takes_it():
    pairer = NearestPairer(tolerance=0.05, max_wait=0.05)
    assert push(pairer, RGB, 100, now=0.0) == []
    assert push(pairer, THERMAL, 120, now=0.001) == []
    assert pairer.deadline() == pytest.approx(0.051)
    assert push(pairer, RGB, 125, now=0.03) == []  # nearer; a thermal frame at 126 would be nearer still
    assert stamps(push(pairer, THERMAL, 231, now=0.06)) == [(125, 120)]
    assert dropped(pairer)["superseded"] == 1


def test_the_wait_ends_after_max_wait():
    pairer = NearestPairer(tolerance=0.05, max_wait=0.05)
    push(pairer, RGB, 100, now=0.0)
    push(pairer, THERMAL, 120, now=0.01)
    assert pairer.poll(0.0599) == []
    assert stamps(pairer.poll(0.0601)) == [(100, 120)]
    assert pairer.deadline() is None


def test_an_exact_match_leaves_at_once():
    pairer = NearestPairer()
    push(pairer, THERMAL, 100)
    assert stamps(push(pairer, RGB, 100)) == [(100, 100)]


def test_offsets_move_stamps_for_comparison_only():
    pairer = NearestPairer(tolerance=0.01, thermal_offset=-0.3, rgb_offset=0.1)
    push(pairer, RGB, 1000)
    (pair,) = push(pairer, THERMAL, 1400)
    assert (pair.rgb_stamp_ns, pair.thermal_stamp_ns, pair.skew_ns) == (1000 * MS, 1400 * MS, 0)


def test_the_tolerance_is_inclusive_and_never_exceeded():
    for skew, expected in ((50.0, 1), (50.001, 0)):
        pairer = NearestPairer(tolerance=0.05, max_wait=0.0)
        push(pairer, RGB, 100)
        assert len(push(pairer, THERMAL, 100 + skew)) == expected
    assert len(pairer) == 2, "both wait: a late frame may still be the partner"


@pytest.mark.parametrize("stream", STREAMS)
def test_only_repeated_stamps_and_those_before_the_last_pair_are_too_old(stream):
    pairer = NearestPairer()
    both(pairer, 100)
    push(pairer, stream, 300)
    for ms in (300, 100, 67):
        push(pairer, stream, ms)
    assert pairer.counters.dropped[stream]["too_old"] == 3 and len(pairer) == 1


@pytest.mark.parametrize("late", STREAMS)
def test_a_late_frame_takes_its_place_and_still_finds_its_partner(late):
    pairer = NearestPairer()
    both(pairer, 100)
    for ms in (133, 166):
        push(pairer, OTHER[late], ms)
    assert stamps(push(pairer, late, 166)) == [(166, 166)]
    pairer = NearestPairer(tolerance=0.01)
    both(pairer, 100)
    for ms in (133, 200):
        push(pairer, OTHER[late], ms)
    push(pairer, late, 233)
    assert stamps(push(pairer, late, 133)) == [(133, 133)], "overtaken by the frame of 233"
    assert stamps(push(pairer, late, 200)) == [(200, 200)]
    assert pairer.counters.resets == 0 and dropped(pairer)["too_old"] == 0


def test_a_lost_stream_keeps_memory_bounded():
    pairer = NearestPairer(queue_size=5)
    for k in range(1000):
        push(pairer, RGB, 33 * k)
    assert len(pairer) == 5 and pairer.counters.dropped[RGB]["no_partner"] == 995


def test_a_pair_that_waits_leaves_when_the_queue_is_full():
    pairer = NearestPairer(queue_size=1, max_wait=10.0)
    assert push(pairer, THERMAL, 100) + push(pairer, RGB, 110) == []
    assert stamps(push(pairer, RGB, 200)) == [(110, 100)]


def test_clocks_apart_pair_nothing_and_keep_memory_bounded():
    pairer = NearestPairer(queue_size=5)
    pairs = []
    for k in range(1000):
        pairs += push(pairer, RGB, 33 * k, k * 0.033) + push(pairer, THERMAL, 33 * k + 1e9, k * 0.033)
    assert not pairs and len(pairer) == 10 and pairer.counters.resets == 0


def test_the_queue_is_sized_by_rate_and_lag():
    """A thermal camera 300 ms late: the rgb frames it needs are kept, and not many more."""
    events = cameras(30, 9, delay_ms=(5.0, 305.0), delay_jitter_ms=10.0)
    pairer = NearestPairer()
    assert len(simulate(pairer, events)) >= 176
    assert 13 <= pairer.room(RGB) <= 16 and pairer.room(THERMAL) == 6
    small = NearestPairer(queue_size=5)
    assert len(simulate(small, events)) <= 1 and small.room(RGB) == 5


@pytest.mark.parametrize("bad", [{"tolerance": -1}, {"max_wait": -0.1}, {"queue_size": -1}])
def test_impossible_settings_are_refused(bad):
    with pytest.raises(ValueError, match="NearestPairer"):
        NearestPairer(**bad)


def test_nanoseconds_survive():
    pairer = NearestPairer(tolerance=0.0)
    stamp = 1_700_000_000 * NS + 1
    assert pairer.push(RGB, stamp, None, 0.0) == []
    assert pairer.push(THERMAL, stamp, None, 0.0)[0].rgb_stamp_ns == stamp
