"""Pairing: what always holds (hypothesis): on orderly cameras, against a brute-force oracle, on any stamps at all."""

from __future__ import annotations

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sartm_ros.pairing.nearest import OTHER, RGB, STREAMS, THERMAL, NearestPairer, Pair
from sartm_ros.pairing.timeline import QUEUE_MAX
from test.ros.pairing.test_pairing import MS, push, simulate

HOUR = 3_600_000
SETTINGS = settings(max_examples=200, deadline=None, derandomize=True)


def accounted(pairer) -> None:
    """received = paired + dropped + held, in each stream."""
    for stream in STREAMS:
        gone = sum(pairer.counters.dropped[stream].values()) + pairer.counters.pairs
        assert pairer.counters.received[stream] == gone + pairer.held(stream)


# Orderly cameras: stamps rise, one writer's frames arrive in order.

# One stream's frames: gaps between stamps and arrival delays, both in whole milliseconds; order of arrival kept.
frames = st.lists(st.tuples(st.integers(1, 80), st.integers(0, 60)), max_size=40)


def events_of(stream: str, gaps: list[tuple[int, int]], start: int) -> list[tuple[float, str, float]]:
    events, stamp, arrival = [], start, 0.0
    for gap, delay in gaps:
        stamp += gap
        arrival = max(arrival, (stamp + delay) / 1e3)  # one writer's messages do not overtake each other
        events.append((arrival, stream, stamp))
    return events


@SETTINGS
@given(
    rgb=frames,
    thermal=frames,
    start=st.integers(0, 100),
    tolerance=st.integers(0, 60),
    max_wait=st.integers(0, 80),
    queue=st.integers(0, 12),
    predict=st.booleans(),
)
def test_what_always_holds_on_orderly_cameras(rgb, thermal, start, tolerance, max_wait, queue, predict):
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
    assert all(pairer.held(s) <= (queue or QUEUE_MAX) for s in STREAMS)
    assert pairer.counters.resets == 0 and len(pairs) == pairer.counters.pairs
    accounted(pairer)


@SETTINGS
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


def brute_force(rgb: list[int], thermal: list[int], tolerance: int) -> list[tuple[int, int]]:
    """The pairs someone who knows all stamps makes: the oldest mutually nearest one, again and again."""
    pairs = []
    while True:
        mutual = [
            (r, t)
            for r in rgb
            for t in thermal
            if abs(r - t) <= tolerance
            and t == min(thermal, key=lambda x: (abs(x - r), x))
            and r == min(rgb, key=lambda x: (abs(x - t), x))
        ]
        if not mutual:
            return pairs
        r0, t0 = min(mutual)
        pairs.append((r0, t0))
        rgb, thermal = [r for r in rgb if r > r0], [t for t in thermal if t > t0]


short = st.lists(st.tuples(st.integers(1, 80), st.integers(0, 60)), max_size=15)


@SETTINGS
@given(rgb=short, thermal=short, start=st.integers(0, 100), tolerance=st.integers(0, 60))
def test_with_patience_the_pairs_are_those_of_brute_force(rgb, thermal, start, tolerance):
    """Whatever the delays: one who waits long enough misses nothing and takes nothing worse."""
    pairer = NearestPairer(tolerance / 1e3, max_wait=1e3, queue_size=1000, predict=False)
    events = events_of(RGB, rgb, 0) + events_of(THERMAL, thermal, start)
    found = [(p.rgb[1], p.thermal[1]) for p, _ in simulate(pairer, events)]
    stamps = {s: [ms for _, stream, ms in events if stream == s] for s in STREAMS}
    assert found == brute_force(stamps[RGB], stamps[THERMAL], tolerance)


# Any stamps at all: small steps, duplicates, reversals, jumps of an hour, with any passage of time, polls in between.

steps = st.one_of(
    st.integers(-700, 700),
    st.sampled_from([0, 33, 33, 33, 110, -33, 1500, -1500]),
    st.sampled_from([HOUR, -HOUR, HOUR + 33, 33 - HOUR]),
)
"""From the last stamp of the same stream or of the other one, whole milliseconds."""
chaos = st.lists(
    st.tuples(st.sampled_from([*STREAMS, "poll"]), st.booleans(), steps, st.sampled_from([0, 1, 33, 33, 110, 2000])),
    max_size=60,
)
pairers = st.builds(
    NearestPairer,
    tolerance=st.sampled_from([0.0, 0.01, 0.05, 0.4]),
    max_wait=st.sampled_from([0.0, 0.05, 1.0]),
    queue_size=st.sampled_from([0, 0, 1, 2, 5]),
    rgb_offset=st.sampled_from([0.0, 0.5]),
    thermal_offset=st.sampled_from([0.0, -0.5]),
)


def run(pairer: NearestPairer, operations):
    """Do it; yields (pairs that left, resets before, time). An operation is a push, or a poll when the wait is over."""
    last = dict.fromkeys(STREAMS, 10_000_000)
    now = 50.0
    for number, (what, across, step, later) in enumerate(operations):
        now += later / 1e3
        before = pairer.counters.resets
        if what == "poll":
            yield pairer.poll(now), before, now
            continue
        last[what] = last[OTHER[what] if across else what] + step
        pairs = pairer.push(what, last[what] * MS, (number, what), now)
        assert pairer.held(what) <= pairer.room(what) + 1 <= QUEUE_MAX + 1, "bounded; one suspect frame on top"
        yield pairs, before, now


@SETTINGS
@given(pairer=pairers, operations=chaos)
def test_what_always_holds_on_any_stamps(pairer, operations):
    used, last = set(), None
    count = 0
    for pairs, resets, _ in run(pairer, operations):
        last = last if resets == pairer.counters.resets else None
        for p in pairs:
            count += 1
            assert p.rgb[1] == RGB and p.thermal[1] == THERMAL
            assert not {p.rgb, p.thermal} & used, "no frame is used twice"
            used |= {p.rgb, p.thermal}
            aligned = [p.rgb_stamp_ns + pairer.offset_ns[RGB], p.thermal_stamp_ns + pairer.offset_ns[THERMAL]]
            assert p.skew_ns == aligned[1] - aligned[0] and abs(p.skew_ns) <= pairer.tolerance_ns
            assert last is None or (aligned[0] > last[0] and aligned[1] > last[1]), "in order between two resets"
            last = aligned
        accounted(pairer)
    assert count == pairer.counters.pairs


@SETTINGS
@given(pairer=pairers, operations=chaos)
def test_the_deadline_is_honoured(pairer, operations):
    """Before the deadline a poll gives nothing, at it something, and then nothing that could leave still waits."""
    for _, _, now in run(pairer, operations):
        deadline = pairer.deadline()
        if deadline is None:
            assert pairer.poll(now + 1e6) == []
        else:
            assert now < deadline <= now + pairer.max_wait, "push and poll leave nothing that is over already"
            assert pairer.poll((now + deadline) / 2) == []
            assert pairer.deadline() == deadline
    if (deadline := pairer.deadline()) is not None:
        assert pairer.poll(deadline)
        assert pairer.deadline() is None or pairer.deadline() > deadline


def clean(pairer: NearestPairer, aligned_ns: int) -> bool:
    """The precondition of `test_a_good_pair_is_emitted_whatever_came_before`."""
    streams = pairer._streams.values()
    held = [f.aligned_ns for s in streams for f in [*s.frames, s.time.suspect] if f is not None]
    newest = [s.time.newest for s in streams if s.time.newest is not None]
    return all(abs(aligned_ns - x) > pairer.tolerance_ns for x in held) and all(
        aligned_ns > x or aligned_ns < x - pairer.back_ns for x in newest
    )


@SETTINGS
@given(
    pairer=pairers,
    operations=chaos,
    near=st.integers(0, 60),
    step=st.one_of(st.sampled_from([33, 110, 1000, -1000, 5000, -5000]), st.integers(-10_000, 10_000)),
    later=st.sampled_from([0, 33, 5000]),
)
def test_a_good_pair_is_emitted_whatever_came_before(pairer, operations, near, step, later):
    """rgb and thermal of one stamp, pushed in succession, leave as a pair by the second push at the latest.

    Precondition: (1) no frame still held (queued or suspect) of either stream lies within the tolerance of the pair's
    stamp: it would be a legitimate partner; (2) the stamp is newer than each stream's believed newest one or more than
    `back_ns` (0.5 s, or twice the tolerance) behind it: else it may be older than a pair that has left. Both hold for a
    stamp 1 s (or twice the tolerance) away from all that came before, and for the next stamp of cameras whose earlier
    frames were all paired, however many frames of +-1 h came in between.
    """
    stamps = [10_000_000]
    last = dict.fromkeys(STREAMS, 10_000_000)
    for what, across, change, _ in operations:
        if what != "poll":
            last[what] = last[OTHER[what] if across else what] + change
            stamps.append(last[what])
    now = max([50.0, *(when for _, _, when in run(pairer, operations))])
    good_ns = (stamps[-1 - near % len(stamps)] + step) * MS
    assume(clean(pairer, good_ns))
    out: list[Pair] = []
    for stream in STREAMS:
        out += pairer.push(stream, good_ns - pairer.offset_ns[stream], "good", now + later / 1e3)
    assert ("good", "good") in [(p.rgb, p.thermal) for p in out]
    accounted(pairer)


odd = st.lists(
    st.tuples(
        st.integers(0, 40),  # before which good pair, or within it
        st.booleans(),
        st.sampled_from(STREAMS),
        st.one_of(
            st.sampled_from([HOUR, -HOUR]),
            st.integers(60_000, HOUR),
            st.integers(-HOUR, -60_000),
            st.integers(-20, 0).map(lambda k: 100 * k),  # sent again, or in reverse
        ),
    ),
    max_size=40,
)


@SETTINGS
@given(odd=odd, queue=st.sampled_from([0, 1, 3]))
def test_good_pairs_between_odd_frames_are_all_emitted(odd, queue):
    """10 Hz cameras among repeated, reversed and far-off frames: before the pairs, and of thermal between their frames.

    Of rgb none in between: after two bogus frames in a row the good rgb frame is suspect, and a third would replace it.
    """
    pairer = NearestPairer(queue_size=queue)
    for k in range(40):
        ms, now, out = 10_000_000 + 100 * k, 50.0 + 0.1 * k, []
        for within in (False, True):
            for at, inside, stream, step in odd:
                if (at, inside) == (k, within) and not (within and stream == RGB):
                    out += push(pairer, stream, ms + step - 100 * (abs(step) < HOUR // 60), now)
            out += push(pairer, STREAMS[within], ms, now)
        assert (ms, ms) in [(p.rgb[1], p.thermal[1]) for p in out]
    accounted(pairer)
