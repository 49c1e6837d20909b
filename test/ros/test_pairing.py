"""Pairing: what always holds (hypothesis), the rates of real cameras, and every reason a frame is not used."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sartm_ros.pairing import NS, OTHER, REASONS, RGB, STREAMS, THERMAL, NearestPairer, Pair

MS = 1_000_000


def push(pairer: NearestPairer, stream: str, ms: float, now: float = 0.0) -> list[Pair]:
    return pairer.push(stream, round(ms * MS), (stream, ms), now)


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


# One stream's frames: gaps between stamps and arrival delays, both in whole milliseconds; order of arrival kept.
frames = st.lists(st.tuples(st.integers(1, 80), st.integers(0, 60)), max_size=40)


def events_of(stream: str, gaps: list[tuple[int, int]], start: int) -> list[tuple[float, str, float]]:
    events, stamp, arrival = [], start, 0.0
    for gap, delay in gaps:
        stamp += gap
        arrival = max(arrival, (stamp + delay) / 1e3)  # one writer's messages do not overtake each other
        events.append((arrival, stream, stamp))
    return events


@settings(max_examples=300, deadline=None)
@given(
    rgb=frames,
    thermal=frames,
    start=st.integers(0, 100),
    tolerance=st.integers(0, 60),
    max_wait=st.integers(0, 80),
    queue=st.integers(1, 12),
    predict=st.booleans(),
)
def test_what_always_holds(rgb, thermal, start, tolerance, max_wait, queue, predict):
    pairer = NearestPairer(tolerance / 1e3, max_wait / 1e3, queue, predict=predict)
    events = events_of(RGB, rgb, 0) + events_of(THERMAL, thermal, start)
    arrived_at = {(stream, ms): now for now, stream, ms in events}
    emitted = simulate(pairer, events)
    pairs = [p for p, _ in emitted]
    for attribute in ("rgb_stamp_ns", "thermal_stamp_ns"):
        used = [getattr(p, attribute) for p in pairs]
        assert used == sorted(set(used)), "in order, each frame once"
    assert all(abs(p.skew_ns) <= tolerance * MS for p in pairs)
    assert all(p.skew_ns == p.thermal_stamp_ns - p.rgb_stamp_ns for p in pairs)
    for p, when in emitted:
        complete = max(arrived_at[p.rgb], arrived_at[p.thermal])
        assert complete <= when <= complete + max_wait / 1e3 + 1e-9, "no longer wait than allowed"
    for stream in STREAMS:  # every frame is accounted for
        held = len(pairer._streams[stream].queue)
        assert held <= queue
        gone = sum(pairer.counters.dropped[stream].values())
        assert pairer.counters.received[stream] == len(pairs) + gone + held


@settings(max_examples=300, deadline=None)
@given(rgb=frames, thermal=frames, start=st.integers(0, 100), tolerance=st.integers(0, 60), max_wait=st.integers(0, 80))
def test_the_nearest_partner_is_chosen_whenever_it_arrived_in_time(rgb, thermal, start, tolerance, max_wait):
    pairer = NearestPairer(tolerance / 1e3, max_wait / 1e3, queue_size=1000, predict=False)
    events = events_of(RGB, rgb, 0) + events_of(THERMAL, thermal, start)
    used_before: set[tuple[str, float]] = set()
    last = {RGB: -1.0, THERMAL: -1.0}
    for p, when in simulate(pairer, events):
        for stream, frame, partner in ((RGB, p.rgb, p.thermal), (THERMAL, p.thermal, p.rgb)):
            for arrival, other, ms in events:
                if other != stream and arrival < when and (other, ms) not in used_before and ms > last[other]:
                    assert abs(ms - frame[1]) >= abs(partner[1] - frame[1]), f"{frame} had a nearer one: {ms}"
        used_before |= {p.rgb, p.thermal}
        last = {RGB: p.rgb[1], THERMAL: p.thermal[1]}


def cameras(rgb_hz, thermal_hz, seconds=20.0, phase=0.0, jitter_ms=0.0, delay_ms=(5.0, 5.0), seed=0):
    """Arrival events of two cameras; phase of thermal in ms, jitter on stamps, transport delay per camera in ms."""
    dice = random.Random(seed)
    events = []
    for stream, hz, start, delay in ((RGB, rgb_hz, 0.0, delay_ms[0]), (THERMAL, thermal_hz, phase, delay_ms[1])):
        for k in range(int(seconds * hz)):
            stamp = 1000.0 + start + k * 1000.0 / hz + dice.uniform(-jitter_ms, jitter_ms)
            events.append(((stamp + delay) / 1e3, stream, stamp))
    return events


@pytest.mark.parametrize("phase", [0.0, 3.0, 5.6, 9.0, 20.0])
@pytest.mark.parametrize("delay", [(5.0, 5.0), (5.0, 60.0), (60.0, 5.0)])
def test_30_hz_with_9_hz_pairs_every_thermal_frame_with_its_nearest(phase, delay):
    pairer = NearestPairer()
    pairs = [p for p, _ in simulate(pairer, cameras(30, 9, phase=phase, delay_ms=delay))]
    skews = [abs(p.skew_ns) / MS for p in pairs]
    assert len(pairs) >= 178
    assert sum(skews) / len(skews) <= 9.5 and max(skews) <= 1000 / 60 + 0.1


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
    assert dropped(pairer)["no_partner"] == 1  # the rgb frame; the thermal one may still find a later rgb frame


@pytest.mark.parametrize("stream", STREAMS)
def test_late_and_repeated_stamps_are_too_old(stream):
    pairer = NearestPairer()
    push(pairer, stream, 100)
    for ms in (100, 90, 100):
        push(pairer, stream, ms)
    assert dropped(pairer)["too_old"] == 3 and len(pairer) == 1


@pytest.mark.parametrize("jump_ms", [3_600_000, 2_000, 700])
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
    assert len(pairs) >= 9 and pairer.counters.resets >= 1
    assert dropped(pairer)["backward_jump"] >= 1


def test_a_short_bag_in_a_loop_is_noticed():
    pairer = NearestPairer()
    pairs = []
    for _ in range(5):
        for k in range(9):  # 0.3 s long: less than a jump
            for stream in STREAMS:
                pairs += push(pairer, stream, 33 * k)
    assert len(pairs) >= 9 + 4 * 5


def test_a_lost_stream_keeps_memory_bounded():
    pairer = NearestPairer(queue_size=5)
    for k in range(1000):
        push(pairer, RGB, 33 * k)
    assert len(pairer) == 5 and pairer.counters.dropped[RGB]["no_partner"] == 995


def test_clocks_apart_pair_nothing_and_keep_memory_bounded():
    pairer = NearestPairer(queue_size=5)
    pairs = []
    for k in range(1000):
        pairs += push(pairer, RGB, 33 * k) + push(pairer, THERMAL, 33 * k + 1e9)
    assert not pairs and len(pairer) <= 10


@pytest.mark.parametrize("bad", [{"tolerance": -1}, {"max_wait": -0.1}, {"queue_size": 0}])
def test_impossible_settings_are_refused(bad):
    with pytest.raises(ValueError, match="NearestPairer"):
        NearestPairer(**bad)


def test_nanoseconds_survive():
    pairer = NearestPairer(tolerance=0.0)
    stamp = 1_700_000_000 * NS + 1
    assert pairer.push(RGB, stamp, None, 0.0) == []
    assert pairer.push(THERMAL, stamp, None, 0.0)[0].rgb_stamp_ns == stamp


# message_filters behind the same interface


@pytest.fixture
def filter_pairer():
    pytest.importorskip("message_filters", reason="message_filters comes with a ROS distro only")
    from sartm_ros.policies import FilterPairer

    return FilterPairer


def test_approximate_pairs_within_tolerance_and_counts_the_rest(filter_pairer):
    pairer = filter_pairer("approximate", tolerance=0.02, queue_size=10)
    pairs = []
    for k in range(30):
        pairs += push(pairer, RGB, 33 * k)
        if k % 3 == 0:
            pairs += push(pairer, THERMAL, 33 * k + 5)
    assert len(pairs) == 10 and all(p.skew_ns == 5 * MS for p in pairs)
    assert pairs[1].rgb == (RGB, 99) and pairer.counters.dropped[RGB]["superseded"] >= 16
    assert sum(len(w) for w in pairer._waiting.values()) <= 20
    looped = []
    for k in range(10):
        looped += push(pairer, RGB, 33 * k - 600_000) + push(pairer, THERMAL, 33 * k - 600_000)
    assert len(looped) >= 9 and pairer.counters.resets >= 1


def test_exact_pairs_equal_stamps_after_the_offset(filter_pairer):
    pairer = filter_pairer("exact", tolerance=0.0, queue_size=10, thermal_offset=-0.005)
    pairs = []
    for k in range(10):
        pairs += push(pairer, RGB, 33 * k) + push(pairer, THERMAL, 33 * k + 5)
    assert len(pairs) == 10 and pairs[3].thermal_stamp_ns == 104 * MS and pairs[3].skew_ns == 0
