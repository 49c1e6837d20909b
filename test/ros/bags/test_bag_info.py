"""`sartm bag info`: topics, rates, pairing, offsets; and what it says of bad input."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sartm_ros.bag import main
from sartm_ros.bags.reading import Bag, BagError
from sartm_ros.bags.skew import fixing_offset, nearest
from sartm_ros.bags.topics import Look, choose, score
from sartm_ros.pairing import stamps
from test.ros.bag_files import NS, RGB, THERMAL, Frame, drive, record, scene

COLOR, GREY, SIXTEEN = Look("6x4", "rgb8", True, False), Look("6x4", "mono8", False, True), Look("6x4", "16UC1", 0, 0)
TIMES = st.lists(st.integers(0, 10**6), min_size=1, max_size=30, unique=True).map(sorted)


def info(tmp_path, *arguments: object) -> tuple[int, dict]:
    """Exit code and what --json holds."""
    try:
        code = main(["info", *map(str, arguments), "--json", str(tmp_path / "info.json")])
    except SystemExit as end:
        return int(end.code or 0), {}
    return code, json.loads((tmp_path / "info.json").read_text())


@pytest.mark.parametrize("storage", ["sqlite3", "mcap"])
def test_topics_rates_and_pairing(tmp_path, capsys, storage):
    bag = record(tmp_path / "drive", drive(11, skew_s=0.02), storage)
    code, found = info(tmp_path, bag)
    assert code == 0 and found["storage"] == storage and found["messages"] == 44
    rgb, thermal = found["topics"][RGB], found["topics"][THERMAL]
    assert rgb["hz"] == pytest.approx(10) and rgb["looks"] == [{"size": "96x64", "encoding": "rgb8", "frames": 11}]
    assert thermal["looks"][0]["encoding"] == "mono16" and thermal["unreadable"] == 0
    pairing = found["pairing"]
    assert (pairing["rgb_topic"], pairing["thermal_topic"], pairing["pairs"]) == (RGB, THERMAL, 11)
    assert pairing["paired_share"] == 1 and pairing["abs_dt_p95_s"] == pytest.approx(0.02)
    assert pairing["offset"]["seconds"] == pytest.approx(-0.02)
    shown = capsys.readouterr().out
    assert "11 pairs, 100.0 %" in shown and "sync.thermal_offset -0.0200 would take out" in shown


def test_offset_that_info_advises_pairs_what_did_not_pair(tmp_path):
    bag = record(tmp_path / "drive", drive(8, skew_s=0.04))
    _, before = info(tmp_path, bag, "--tolerance", "0.01")
    assert before["pairing"]["pairs"] == 0
    assert before["pairing"]["dropped"] == {"rgb": {}, "thermal": {}} or before["pairing"]["dropped"]["rgb"]
    advised = before["pairing"]["offset"]["seconds"]
    _, after = info(tmp_path, bag, "--tolerance", "0.01", "--thermal-offset", advised)
    assert after["pairing"]["pairs"] == 8 and after["pairing"]["abs_dt_p95_s"] == 0


def test_a_clock_that_is_off_by_many_periods_is_found_by_the_times_of_recording(tmp_path, capsys):
    frames = [Frame(f.topic, f.stamp_s - 60 * (f.topic == THERMAL), f.logged_s, f.content) for f in drive(6)]
    _, found = info(tmp_path, record(tmp_path / "drive", frames))
    offset = found["pairing"]["offset"]
    assert offset["by_arrival"] and offset["seconds"] == pytest.approx(60 - 0.004) and offset["within"] == 1
    assert "thermal frames were recorded 60000.0 ms after rgb frames of the same stamp" in capsys.readouterr().out


def test_compressed_topics_and_broken_frames(tmp_path, capsys):
    frames = [*drive(3, compressed=True), Frame(RGB, 0.31, 0.32, b"\xff\xd8 no picture")]
    code, found = info(tmp_path, record(tmp_path / "drive", frames))
    assert code == 1 and found["topics"][RGB]["unreadable"] == 1 and found["pairing"]["pairs"] == 3
    assert "1 unreadable; the first: they are no readable JPEG" in capsys.readouterr().out


def test_two_topics_that_do_not_tell_what_they_are(tmp_path, capsys):
    grey = scene(0)[1].astype(np.uint8)
    bag = record(tmp_path / "drive", [Frame(f"/{name}/image", 0, 0.1, grey) for name in ("one", "two")])
    assert info(tmp_path, bag)[1]["pairing"] is None and "cannot be told" in capsys.readouterr().out
    with Bag(bag) as opened, pytest.raises(BagError, match="cannot tell which .* image topics: /one/image, /two/image"):
        choose(opened, None, None)
    assert info(tmp_path, bag, "--rgb-topic", "/one/image", "--thermal-topic", "/two/image")[1]["pairing"]["pairs"] == 1


@pytest.mark.parametrize("topic", ["/flir/ir/image_raw", "/thermal/image_raw", "/camera/lwir"])
@pytest.mark.parametrize("seen", [GREY, SIXTEEN])
def test_a_thermal_camera_is_told_by_its_name(topic, seen):
    assert score(topic, seen, "thermal") > score("/camera/color/image_raw", COLOR, "thermal")
    assert score(topic, seen, "thermal") > 0 > score(topic, seen, "rgb")
    assert score("/camera/depth/image_raw", SIXTEEN, "thermal") < 0 > score("/sartm/overlay", COLOR, "rgb")


@pytest.mark.parametrize(
    "what, said",
    [
        ("missing", "no such bag"),
        ("rubbish", "not an MCAP file"),
        ("empty", "has no metadata.yaml"),
        ("topic", "no image topic of that name .* image topics: /cam/color/image_raw, /flir/image_raw"),
        ("no images", "has no image topics at all"),
    ],
)
def test_bad_input_is_one_clear_line(tmp_path, capsys, what, said):
    bag, options = tmp_path / "drive", []
    if what == "empty":
        bag.mkdir()
    elif what != "missing":
        record(bag, [] if what == "no images" else drive(2))
    if what == "rubbish":
        (bag / "drive.mcap").write_bytes(bytes(1000))
    elif what == "topic":
        options = ["--thermal-topic", "/nobody"]
    assert info(tmp_path, bag, *options)[0] == 2
    error = capsys.readouterr().err
    assert error.startswith("bag: ") and error.count("\n") == 1
    import re

    assert re.search(said, error), error


def test_an_unknown_option_is_answered_with_the_nearest(tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["segment", "drive", "--output", "out", "--overlayy"])
    assert "did you mean --overlay?" in capsys.readouterr().err


@given(TIMES, TIMES)
def test_nearest_is_what_the_node_calls_skews(rgb, thermal):
    assert nearest(rgb, thermal).tolist() == stamps.skews(rgb, thermal)


@given(st.integers(-45, 45), st.integers(5, 40))
def test_a_constant_skew_below_half_a_period_is_found_exactly(skew_ms, count):
    rgb = [(k / 10, k * NS // 10) for k in range(count)]
    thermal = [(k / 10, k * NS // 10 + skew_ms * 10**6) for k in range(count)]
    offset = fixing_offset(rgb, thermal, 0.05)
    assert offset is not None and offset.seconds == pytest.approx(-skew_ms / 1e3)
    assert offset.within == 1 and offset.spread_s == 0


def test_names_from_outside_do_not_steer_the_terminal(tmp_path, capsys):
    """Names of topics, and of the recording itself; whole in the JSON."""
    evil = "/cam\x1b[2J\x1b[31m/image_raw\nbag: all is well"
    frames = [Frame(evil if f.topic == RGB else f.topic, f.stamp_s, f.logged_s, f.content) for f in drive(3)]
    code, found = info(tmp_path, record(tmp_path / "dr\x1bive", frames))
    told = "".join(capsys.readouterr())
    assert code == 0 and evil in found["topics"] and found["pairing"]["pairs"] == 3
    assert "\x1b" not in told and "\nbag: all is well" not in told and "\\x1b[31m/image_raw\\nbag" in told
