"""A file is not a live stream: pairs by stamp whatever the order in it, advice that is right, stamps of zero."""

from __future__ import annotations

import random
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sartm_ros.bag import main
from sartm_ros.bags import mcap_index
from sartm_ros.bags.pairs import Pairing, all_pairs
from sartm_ros.bags.plan import make_plan, read_frames, restarts
from sartm_ros.bags.reading import Bag
from sartm_ros.bags.replay import bag_pairs
from sartm_ros.bags.skew import fixing_offset
from sartm_ros.bags.topics import Topics
from sartm_ros.bags.values import DEFAULTS
from sartm_ros.node.settings import Settings
from test.ros.bag_files import NS, RGB, START_NS, THERMAL, Frame, drive, images, messages, record
from test.ros.bag_files import write_params as params
from test.ros.mcap_files import Style, write

TOPICS = Topics(RGB, THERMAL)


def tiny(count: int, skew_s: float = 0.004) -> list[Frame]:
    """Pairs at 10 Hz whose pixels tell their number."""
    return [
        Frame(topic, k / 10 + skew_s * (topic == THERMAL), 0, np.full((2, 3, 3)[: 2 + (topic == RGB)], k, np.uint8))
        for k in range(count)
        for topic in (RGB, THERMAL)
    ]


def one_after_the_other(frames: list[Frame], step_s: float = 0.02) -> list[Frame]:
    """As a converter writes them: by topic, recorded when it came to them."""
    ordered = [f for f in frames if f.topic == RGB] + [f for f in frames if f.topic == THERMAL]
    return [Frame(f.topic, f.stamp_s, k * step_s, f.content) for k, f in enumerate(ordered)]


def test_case_17_topics_one_after_the_other_pair_by_stamp(tmp_path, capsys):
    bag = record(tmp_path / "drive", one_after_the_other(tiny(30, 0.001)))
    assert main(["info", str(bag)]) == 0
    said = capsys.readouterr().out
    assert "  30 pairs, 100.0 %" in said and "sync.thermal_offset +" not in said and "after rgb" not in said
    pairs = list(bag_pairs(bag, DEFAULTS))
    assert [int(p.rgb[0, 0, 0]) for p in pairs] == [int(p.thermal[0, 0]) for p in pairs] == list(range(30))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(1, 25), st.sampled_from([Style(), Style(per_chunk=0), Style(per_chunk=3, summary=False)]),
    st.randoms(use_true_random=False), st.booleans(),
)  # fmt: skip
def test_any_order_gives_the_same_pairs(tmp_path, count, style, shuffle, same_time):
    """same_time: recorded all at once, as some converters do."""
    frames = tiny(count)
    shuffle.shuffle(frames)
    frames = [Frame(f.topic, f.stamp_s, 0 if same_time else k / 100, f.content) for k, f in enumerate(frames)]
    path = tmp_path / "drive.mcap"
    path.write_bytes(write(frames, style)[0])
    with Bag(path) as bag:
        found = list(all_pairs(Pairing(bag, TOPICS, DEFAULTS, Settings.of(DEFAULTS))))
    assert [int(p.rgb.rgb()[0, 0, 0]) for p in found] == [int(p.thermal.thermal()[0, 0]) for p in found]
    assert [p.index for p in found] == list(range(count)) and {p.skew_ns for p in found} == {4_000_000}


def test_masks_of_a_recording_in_disorder(tmp_path):
    """Segmented while everything is copied: each mask stands with the later frame of its pair."""
    frames = [*drive(3)]
    random.Random(1).shuffle(frames)
    frames = [Frame(f.topic, f.stamp_s, k / 10, f.content) for k, f in enumerate(frames)]
    bag, out = record(tmp_path / "drive", frames), tmp_path / "out"
    options = ["--output", str(out), "--params", str(params(tmp_path / "p.yaml"))]
    assert main(["segment", str(bag), *options]) == 0
    stamps = sorted(h.stamp.sec * NS + h.stamp.nanosec - START_NS for h, _ in images(out, "/sartm/semantic_mask"))
    assert stamps == [0, 10**8, 2 * 10**8]
    assert [m for m in messages(out) if not m[0].startswith("/sartm")] == messages(bag)


def looped(count: int, loops: int, phase_s: float) -> list[Frame]:
    """A recording of a bag that was played again and again; each time a bit later in its time."""
    found = []
    for loop in range(loops):
        for f in tiny(count):
            found.append(
                Frame(f.topic, f.stamp_s + loop * phase_s, len(found) / 20, f.content + np.uint8(loop * count))
            )
    return found


@pytest.mark.parametrize("phase_s", [0.0, 0.002])
def test_time_that_starts_again_pairs_within_each_stretch(tmp_path, phase_s):
    bag = record(tmp_path / "drive", looped(12, 3, phase_s))
    with Bag(bag) as opened:
        pairing = Pairing(opened, TOPICS, DEFAULTS, Settings.of(DEFAULTS))
        found = [(int(p.rgb.rgb()[0, 0, 0]), int(p.thermal.thermal()[0, 0])) for p in all_pairs(pairing)]
    assert found == [(k, k) for k in range(36)] and pairing.counters.resets == 2


def test_one_odd_stamp_is_no_restart():
    steady = np.arange(20) * 10**8
    for odd in (0, 10**12):
        times = steady + 10**10
        times[7] = odd
        assert restarts(times) == []
    assert restarts(np.concatenate([steady, steady])) == [20]


def test_case_18_stamps_of_zero_are_named_and_the_time_of_recording_pairs(tmp_path, capsys):
    frames = [Frame(f.topic, -START_NS / NS, f.logged_s, f.content) for f in drive(4)]
    bag, out = record(tmp_path / "drive", frames), tmp_path / "out"
    options = ["--output", str(out), "--params", str(params(tmp_path / "p.yaml"))]
    assert main(["info", str(bag)]) == 0
    assert f"{RGB}: header stamps are zero in 4 of 4 frames; --log-time" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        main(["segment", str(bag), *options])
    assert "header stamps are zero" in capsys.readouterr().err
    assert main(["segment", str(bag), *options, "--log-time"]) == 0
    assert len(images(out, "/sartm/semantic_mask")) == 4


def test_some_zeros_and_stamps_that_stand_still_are_named(tmp_path, capsys):
    frames = [
        Frame(f.topic, -START_NS / NS if k in (4, 6) else f.stamp_s, f.logged_s, f.content)
        for k, f in enumerate(drive(5))
    ]
    assert main(["info", str(record(tmp_path / "some", frames))]) == 0
    said = capsys.readouterr().out
    assert (
        f"{RGB}: header stamps are zero in 2 of 5 frames" in said
        and "  3 pairs" in said
        and THERMAL + ": h" not in said
    )
    still = [Frame(f.topic, 5.0, f.logged_s, f.content) for f in drive(5)]
    assert main(["info", str(record(tmp_path / "still", still))]) == 0
    assert f"{THERMAL}: header stamps stand still, 1 different in 5 frames; --log-time" in capsys.readouterr().out


def test_segment_warns_of_the_constant_skew_that_info_finds(tmp_path, capsys):
    bag, yaml = record(tmp_path / "drive", drive(4, skew_s=0.03)), params(tmp_path / "p.yaml")
    advised = "sync.thermal_offset -0.0300 would take out the constant skew"
    main(["info", str(bag)])
    assert advised in capsys.readouterr().out
    for name, options in (("a", []), ("b", ["--thermal-offset", "-0.03"])):
        assert main(["segment", str(bag), "--output", str(tmp_path / name), "--params", str(yaml), *options]) == 0
        assert (advised in capsys.readouterr().err) == (name == "a")


@given(st.integers(5, 40), st.integers(1, 10**6), st.randoms(use_true_random=False))
def test_no_offset_is_advised_where_none_pairs_most_frames(count, apart_s, noise):
    """Two cameras that were not there at the same time, as if from two drives; what was recorded says nothing."""
    rgb = [(k / 50, k * NS // 10) for k in range(count)]
    thermal = [(noise.uniform(0, 90), round(noise.uniform(0, 900) * NS) + apart_s * 10**3 * NS) for _ in range(count)]
    offset = fixing_offset(rgb, thermal, 0.005)
    assert offset is None or offset.within >= 0.5


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(2, 30), st.integers(-40, 40), st.randoms(use_true_random=False))
def test_the_plan_is_that_of_sorted_frames(tmp_path, count, skew_ms, shuffle):
    frames = tiny(count, skew_ms / 1000)
    sound, odd = tmp_path / "sound.mcap", tmp_path / "odd.mcap"
    by_stamp = sorted(frames, key=lambda f: f.stamp_s)
    sound.write_bytes(write([Frame(f.topic, f.stamp_s, 100 + f.stamp_s, f.content) for f in by_stamp])[0])
    shuffle.shuffle(frames)
    odd.write_bytes(write([Frame(f.topic, f.stamp_s, k / 10, f.content) for k, f in enumerate(frames)])[0])
    plans = []
    for path in (sound, odd):
        with Bag(path) as bag:
            plan = make_plan(read_frames(bag, TOPICS), TOPICS, DEFAULTS)
            stamps = [plan.frames[s].stamp_ns[plan.pairs[:, k]].tolist() for k, s in enumerate(("rgb", "thermal"))]
            plans.append((stamps, plan.counters.dropped))
    assert plans[0] == plans[1] and len(plans[0][0][0]) == count


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_memory_does_not_grow_with_a_recording_in_disorder(tmp_path, monkeypatch, storage):
    """Topic after topic: no picture waits for its partner, it is read again."""
    monkeypatch.setattr(mcap_index, "KEPT_BYTES", 1 << 20)  # reached by the short recording, too
    peaks = []
    for count in (12, 48):
        pixels = {RGB: np.zeros((200, 500, 3), np.uint8), THERMAL: np.zeros((200, 500), np.uint8)}
        frames = [Frame(f.topic, f.stamp_s, 0, pixels[f.topic]) for f in tiny(count)]
        bag = record(tmp_path / f"{storage}{count}", one_after_the_other(frames), storage)
        tracemalloc.start()
        with Bag(bag) as opened:
            pairing = Pairing(opened, TOPICS, DEFAULTS, Settings.of(DEFAULTS))
            assert sum(1 for _ in all_pairs(pairing)) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 2_000_000
