"""`sync.policy`: the factory, and message_filters' synchronizers behind the interface of `NearestPairer`."""

from __future__ import annotations

import gc
import importlib.util
import threading
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sartm_ros.errors import ParameterError
from sartm_ros.pairing.filters import FilterPairer
from sartm_ros.pairing.nearest import RGB, STREAMS, THERMAL, NearestPairer
from sartm_ros.pairing.policies import make_pairer
from sartm_ros.pairing.timeline import QUEUE_MAX
from test.ros.pairing.test_pairing import MS, both, cameras, dropped, push
from test.ros.pairing.test_pairing_properties import HOUR, accounted

pytestmark = pytest.mark.alone

VALUES = {
    "sync.policy": "nearest",
    "sync.tolerance": 0.02,
    "sync.max_wait": 0.03,
    "sync.queue_size": 0,
    "sync.rgb_offset": 0.5,
    "sync.thermal_offset": -0.5,
}
HERE = importlib.util.find_spec("message_filters") is not None
needs_filters = pytest.mark.skipif(not HERE, reason="message_filters comes with a ROS distro only")


def test_nearest_takes_all_its_settings():
    pairer = make_pairer(VALUES)
    assert isinstance(pairer, NearestPairer) and pairer.queue_size == 0 and pairer.max_wait == 0.03
    assert pairer.tolerance_ns == 20 * MS and pairer.offset_ns == {RGB: 500 * MS, THERMAL: -500 * MS}


@pytest.mark.skipif(HERE, reason="message_filters is installed")
@pytest.mark.parametrize("policy", ["approximate", "exact"])
def test_a_missing_message_filters_is_named(policy):
    with pytest.raises(ParameterError, match=f"sync.policy: got '{policy}'.*message_filters.*nearest"):
        make_pairer(VALUES | {"sync.policy": policy})


@needs_filters
@pytest.mark.parametrize("policy", ["approximate", "exact"])
def test_the_policies_of_message_filters_are_made(policy):
    pairer = make_pairer(VALUES | {"sync.policy": policy})
    assert pairer.policy == policy and pairer.poll(1.0) == [] and pairer.deadline() is None and len(pairer) == 0


@needs_filters
def test_approximate_pairs_within_tolerance_and_counts_the_rest():
    pairer = FilterPairer("approximate", tolerance=0.02, queue_size=10)
    pairs = []
    for k in range(30):
        pairs += push(pairer, RGB, 33 * k, 0.033 * k)
        if k % 3 == 0:
            pairs += push(pairer, THERMAL, 33 * k + 5, 0.033 * k)
    assert len(pairs) == 10 and all(p.skew_ns == 5 * MS for p in pairs)
    assert pairs[1].rgb == (RGB, 99) and pairer.counters.dropped[RGB]["superseded"] >= 16
    assert list(pairer.counters.skews_ns) == [5 * MS] * 10 and pairer.newest(RGB) == 957 * MS
    accounted(pairer)


@needs_filters
def test_exact_pairs_equal_stamps_after_the_offset():
    pairer = FilterPairer("exact", tolerance=0.05, queue_size=10, thermal_offset=-0.005)
    pairs = []
    for k in range(10):
        pairs += push(pairer, RGB, 33 * k) + push(pairer, THERMAL, 33 * k + 5)
    assert len(pairs) == 10 and pairs[3].thermal_stamp_ns == 104 * MS and pairs[3].skew_ns == 0
    assert push(pairer, RGB, 400) + push(pairer, THERMAL, 404) == [], "not exact, whatever the tolerance"


@needs_filters
@pytest.mark.parametrize("skew, expected", [(20, 1), (-20, 1), (20.001, 0)])
def test_the_tolerance_is_inclusive_as_in_nearest(skew, expected):
    pairer = FilterPairer("approximate", tolerance=0.02)
    push(pairer, RGB, 1000)
    assert len(push(pairer, THERMAL, 1000 + skew)) == expected


@needs_filters
@pytest.mark.parametrize("policy", ["approximate", "exact"])
@pytest.mark.parametrize("length", [9, 40])
def test_a_bag_in_a_loop_goes_on(policy, length):
    """9 frames are 0.3 s: shorter than a jump. message_filters alone may never pair again (FACTS 4)."""
    pairer = FilterPairer(policy, tolerance=0.02)
    pairs = []
    for loop in range(5):
        for k in range(length):
            pairs += both(pairer, 33 * k, now=0.033 * (loop * length + k))
    assert len(pairs) >= 5 * length - 4 * 3 and pairer.counters.resets == 4
    accounted(pairer)


@needs_filters
@pytest.mark.parametrize("policy", ["approximate", "exact"])
def test_a_late_frame_still_pairs(policy):
    pairer = FilterPairer(policy, tolerance=0.005)
    for ms in (100, 166):
        push(pairer, RGB, ms)
    assert len(push(pairer, THERMAL, 100)) == 1
    push(pairer, THERMAL, 200)
    assert len(push(pairer, THERMAL, 166)) == 1, "overtaken by the frame of 200"
    assert push(pairer, THERMAL, 133) == [] and dropped(pairer)["too_old"] == 1
    accounted(pairer)


@needs_filters
@pytest.mark.parametrize("policy", ["approximate", "exact"])
def test_no_frame_is_kept_alive(policy):
    class Item:
        pass

    pairer = FilterPairer(policy, tolerance=0.02, queue_size=5)
    alive: weakref.WeakSet = weakref.WeakSet()
    for k in range(200):
        for stream in STREAMS:
            if stream == RGB or k % 3 == 0:
                item = Item()
                alive.add(item)
                pairer.push(stream, 33 * k * MS, item, 0.033 * k)
                del item
    gc.collect()
    assert len(alive) == len(pairer) <= 10
    pairer.clear("no_partner")
    gc.collect()
    assert not alive
    accounted(pairer)


@needs_filters
@pytest.mark.parametrize("policy", ["approximate", "exact"])
def test_an_exception_inside_message_filters_does_not_block_pairing(policy, caplog):
    """It runs callbacks under a lock that an exception never releases: the next frame would wait for ever."""
    pairer = FilterPairer(policy, tolerance=0.02)
    push(pairer, RGB, 100)

    def fail(*_):
        raise RuntimeError("from inside")

    pairer._sync.registerCallback(fail)
    assert push(pairer, THERMAL, 100) == [] and "message_filters failed" in caplog.text
    accounted(pairer)
    done = []
    thread = threading.Thread(target=lambda: done.extend(both(pairer, 133)), daemon=True)
    thread.start()
    thread.join(10.0)
    assert len(done) == 1
    accounted(pairer)


@needs_filters
@pytest.mark.parametrize("stamp_ns", [0, -1, 2**31 * 1_000_000_000 + 5, 2**62])
def test_stamps_that_no_message_can_carry_are_survived(stamp_ns):
    pairer = FilterPairer("exact", tolerance=0.0, thermal_offset=-0.3)
    for k in range(3):
        for stream in STREAMS:
            pairer.push(stream, stamp_ns + k, "odd", 0.1 * k)
    accounted(pairer)
    assert len(both(FilterPairer("exact", tolerance=0.0, thermal_offset=-0.3), 5)) == 0
    out = push(pairer, RGB, 1_000_000, 1.0) + push(pairer, THERMAL, 1_000_300, 1.0)
    assert [p.skew_ns for p in out] == [0]


@needs_filters
def test_the_queue_follows_rate_and_lag():
    """message_filters with a queue of 10 loses the pairs of a camera 500 ms late; ours is sized for it."""
    events = sorted(cameras(30, 9, delay_ms=(5.0, 505.0)))
    counts = {}
    for size in (0, 10):
        pairer = FilterPairer("approximate", tolerance=0.05, queue_size=size)
        counts[size] = sum(len(push(pairer, stream, ms, now)) for now, stream, ms in events)
        accounted(pairer)
    assert counts[0] >= 170 and counts[10] <= 5


@needs_filters
@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    policy=st.sampled_from(["approximate", "exact"]),
    queue=st.sampled_from([0, 1, 3, 10]),
    tolerance=st.sampled_from([0.0, 0.02, 0.2]),
    pushes=st.lists(
        st.tuples(
            st.sampled_from(STREAMS),
            st.booleans(),
            st.one_of(st.integers(-700, 700), st.sampled_from([0, 33, 33, HOUR, -HOUR])),
        ),
        max_size=60,
    ),
)
def test_what_always_holds_on_any_stamps(policy, queue, tolerance, pushes):
    pairer = FilterPairer(policy, tolerance, queue, thermal_offset=-0.1)
    ms, used, last = dict.fromkeys(STREAMS, 10_000_000), set(), None
    for number, (stream, across, step) in enumerate(pushes):
        ms[stream] = ms[RGB if across else stream] + step
        resets = pairer.counters.resets
        pairs = pairer.push(stream, ms[stream] * MS, (stream, number), 0.033 * number)
        last = last if resets == pairer.counters.resets else None
        for p in pairs:
            assert not {p.rgb, p.thermal} & used and p.rgb[0] == RGB and p.thermal[0] == THERMAL
            used |= {p.rgb, p.thermal}
            assert p.skew_ns == p.thermal_stamp_ns - 100 * MS - p.rgb_stamp_ns
            assert abs(p.skew_ns) <= (0 if policy == "exact" else tolerance * 1000 * MS)
            assert last is None or (p.rgb_stamp_ns > last[0] and p.thermal_stamp_ns > last[1])
            last = (p.rgb_stamp_ns, p.thermal_stamp_ns)
        assert all(pairer.held(s) <= (queue or QUEUE_MAX) for s in STREAMS)
        accounted(pairer)
