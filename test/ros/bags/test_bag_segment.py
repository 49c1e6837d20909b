"""`sartm bag segment`: the same masks as the node's, everything else as it was."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sartm_core.runtime.segmenter import Segmenter
from sartm_core.support.visualize import overlay
from sartm_ros.bag import main
from sartm_ros.bags.model import BagModel
from sartm_ros.bags.writing import new_folder
from sartm_ros.frames import compressed
from test.ros.bag_files import (
    CHATTER,
    RGB,
    START_NS,
    THERMAL,
    AnyReader,
    Frame,
    drive,
    images,
    messages,
    record,
    scene,
    serialized,
)
from test.ros.bag_files import write_params as params

MASK, CONFIDENCE, OVERLAY, CLASSES = (f"/sartm/{n}" for n in ("semantic_mask", "confidence", "overlay", "classes"))
NO_ROS = ("rclpy", "sensor_msgs", "std_msgs", "rcl_interfaces", "builtin_interfaces", "diagnostic_msgs")


def run(*arguments: object) -> int:
    """The exit code of the command."""
    try:
        return main([str(a) for a in arguments])
    except SystemExit as end:
        return int(end.code or 0)


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter.load(engine="torch", precision="fp32", device="cpu", input_size=(64, 96))


@pytest.mark.parametrize("packed", [False, True], ids=["raw", "compressed"])
@pytest.mark.parametrize("storage", ["sqlite3", "mcap"])
def test_masks_are_those_of_the_segmenter_and_the_rest_is_copied(tmp_path, segmenter, storage, packed):
    frames = drive(3, compressed=packed)
    bag = record(tmp_path / "drive", frames, storage)
    out = tmp_path / "out"
    extra = ("--confidence", "--overlay", "--params", params(tmp_path / "p.yaml"))
    assert run("segment", bag, "--output", out, *extra) == 0
    written = messages(out)
    assert [m for m in written if not m[0].startswith("/sartm/")] == messages(bag)
    rgb = [f.content if not packed else compressed.rgb(f.content, "jpeg") for f in frames if f.topic == RGB]
    thermal = [f.content if not packed else compressed.thermal(f.content, "png") for f in frames if f.topic == THERMAL]
    found = zip(images(out, MASK), images(out, CONFIDENCE), images(out, OVERLAY), strict=True)
    for index, ((header, mask), (_, confidence), (_, shown)) in enumerate(found):
        expected = segmenter(rgb[index], thermal[index])
        assert np.array_equal(mask, expected.mask) and np.array_equal(confidence, expected.confidence)
        assert np.array_equal(shown, overlay(rgb[index], mask, segmenter.palette))
        stamp = header.stamp.sec * 10**9 + header.stamp.nanosec
        assert (stamp, header.frame_id) == (START_NS + index * 10**8, "cam")
    assert index == 2
    assert {p.name for p in out.iterdir()} == {"metadata.yaml", f"out.{'db3' if storage == 'sqlite3' else 'mcap'}"}
    assert {p.name for p in tmp_path.iterdir()} == {"drive", "out", "p.yaml"}


def test_masks_are_recorded_with_the_later_frame_and_qos_is_kept(tmp_path):
    bag = record(tmp_path / "drive", drive(2), "mcap")
    out = tmp_path / "deep" / "out"
    yaml = params(tmp_path / "p.yaml")
    assert run("segment", bag, "--output", out, "--params", yaml, "--storage", "sqlite3") == 0
    logged = {topic: [when for name, when, _ in messages(out) if name == topic] for topic in (MASK, THERMAL, CLASSES)}
    assert logged[MASK] == logged[THERMAL] and len(logged[CLASSES]) == 1
    with AnyReader([bag]) as before, AnyReader([out]) as after:
        qos = {c.topic: c.ext.offered_qos_profiles for c in after.connections}
        assert all(qos[c.topic] == c.ext.offered_qos_profiles for c in before.connections)
        assert qos[MASK][0].reliability.name == "RELIABLE" and qos[CLASSES][0].durability.name == "TRANSIENT_LOCAL"
        (text,) = [after.deserialize(d, c.msgtype) for c, _, d in after.messages() if c.topic == CLASSES]
    assert [c["name"] for c in json.loads(text.data)["classes"]][:2] == ["unlabeled", "car"]


def test_pairs_by_the_parameters_of_the_node(tmp_path):
    """A constant skew beyond the tolerance, taken out; a class at another id; nothing certain enough."""
    bag = record(tmp_path / "drive", drive(3, skew_s=0.03))
    tight = {"sync": {"tolerance": 0.01, "thermal_offset": -0.03}, "class_remap": "unlabeled=77"}
    out = tmp_path / "out"
    assert run("segment", bag, "--output", out, "--params", params(tmp_path / "p.yaml", **tight)) == 0
    masks = [mask for _, mask in images(out, MASK)]
    assert len(masks) == 3 and 77 in np.unique(masks) and 0 not in np.unique(masks)
    strict = params(tmp_path / "q.yaml", confidence_threshold=1.0)
    assert run("segment", bag, "--output", tmp_path / "other", "--params", strict) == 0
    assert set(np.unique([mask for _, mask in images(tmp_path / "other", MASK)])) == {255}


def test_without_pairs_nothing_is_written(tmp_path, capsys):
    bag = record(tmp_path / "drive", drive(3, skew_s=0.04))
    yaml = params(tmp_path / "p.yaml")
    assert run("segment", bag, "--output", tmp_path / "out", "--params", yaml, "--tolerance", "0.01") == 2
    said = capsys.readouterr().err
    assert "no pairs within 10 ms: 3 usable frames of /cam/color/image_raw, 3 usable" in said
    assert said.startswith("bag: ") and said.count("\n") == 1
    assert {p.name for p in tmp_path.iterdir()} == {"drive", "p.yaml"}


def test_pairs_none_of_which_can_be_used(tmp_path, capsys):
    frames = drive(1, compressed=True)
    frames[0] = Frame(RGB, frames[0].stamp_s, frames[0].logged_s, frames[0].content[:-200])
    bag = record(tmp_path / "drive", frames)
    assert run("segment", bag, "--output", tmp_path / "out", "--params", params(tmp_path / "p.yaml")) == 2
    assert "none of 1 pairs could be used; first problem: /cam/color/image_raw" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_interrupted_nothing_is_left(tmp_path, monkeypatch, capsys):
    bag = record(tmp_path / "drive", drive(3))
    calls = []

    def interrupted(self, pair, confidence):
        calls.append(pair.index)
        assert [p for p in tmp_path.iterdir() if p.name.startswith(".out.")]  # written elsewhere until it is whole
        raise KeyboardInterrupt

    monkeypatch.setattr(BagModel, "__call__", interrupted)
    yaml = params(tmp_path / "p.yaml")
    assert run("segment", bag, "--output", tmp_path / "out", "--params", yaml) == 130
    assert calls == [0] and "interrupted" in capsys.readouterr().err
    assert {p.name for p in tmp_path.iterdir()} == {"drive", "p.yaml"}


def test_an_existing_output_is_refused(tmp_path, capsys):
    bag = record(tmp_path / "drive", drive(1))
    before = messages(bag)
    assert run("segment", bag, "--output", bag) == 2
    assert "exists already" in capsys.readouterr().err and messages(bag) == before


def test_masks_that_are_there_need_another_namespace(tmp_path, capsys):
    yaml = params(tmp_path / "p.yaml")
    bag = record(tmp_path / "drive", drive(1))
    first, second = tmp_path / "first", tmp_path / "second"
    assert run("segment", bag, "--output", first, "--params", yaml) == 0
    assert run("segment", first, "--output", second, "--params", yaml) == 2
    assert "has a topic /sartm/classes already; give --namespace" in capsys.readouterr().err
    assert run("segment", first, "--output", second, "--params", yaml, "--namespace", "again") == 0
    assert [m for m in messages(second) if not m[0].startswith("/again/")] == messages(first)


def test_frames_that_cannot_be_used_are_skipped_and_told(tmp_path, capsys):
    frames = drive(3, compressed=True)
    frames[0] = Frame(RGB, frames[0].stamp_s, frames[0].logged_s, b"\xff\xd8 no picture")  # refused at once
    cut = frames[2].content[:-200]
    frames[2] = Frame(RGB, frames[2].stamp_s, frames[2].logged_s, cut)  # found broken when it is decoded
    bag, out = record(tmp_path / "drive", frames), tmp_path / "out"
    assert run("segment", bag, "--output", out, "--params", params(tmp_path / "p.yaml")) == 1
    assert "could not be used: 2 of /cam/color/image_raw; the first: /cam/color/image_raw" in capsys.readouterr().err
    assert len(images(out, MASK)) == 1 and len([m for m in messages(out) if m[0] == CHATTER]) == 6


def test_as_a_process_without_ros(tmp_path):
    """Like `sartm bag`, but no ROS package can be imported."""
    bag = record(tmp_path / "drive", drive(2), "sqlite3")
    script = tmp_path / "run.py"
    script.write_text(
        f"import runpy, sys\nsys.modules.update(dict.fromkeys({NO_ROS!r}))\n"
        "runpy.run_module('sartm_ros.bag', run_name='__main__', alter_sys=True)\n"
    )
    arguments = ["segment", bag, "--output", tmp_path / "out", "--params", params(tmp_path / "p.yaml")]
    where = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True, env=where)
    assert done.returncode == 0 and "Error" not in done.stderr, done.stderr
    assert "2 masks of /cam/color/image_raw and /flir/image_raw" in done.stdout
    assert [mask.shape for _, mask in images(tmp_path / "out", MASK)] == [scene(0)[1].shape] * 2


def old_recording(path: Path, frames: list[Frame]) -> Path:
    """A .db3 file as ROS 2 Humble records it: no message definitions; one topic of a type that only its owner knows."""
    topics = {topic: number for number, topic in enumerate(dict.fromkeys(f.topic for f in frames), start=2)}
    with contextlib.closing(sqlite3.connect(path)) as file, file:
        file.execute(
            "CREATE TABLE topics(id INTEGER PRIMARY KEY, name, type, serialization_format, offered_qos_profiles)"
        )
        file.execute("CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id, timestamp, data)")
        file.execute("INSERT INTO topics VALUES (1, '/own', 'own_msgs/msg/Secret', 'cdr', '')")
        file.execute("INSERT INTO messages VALUES (NULL, 1, ?, ?)", (START_NS, b"\x00\x01\x00\x00own"))
        for topic, number in topics.items():
            kind = next(serialized(f)[0] for f in frames if f.topic == topic)
            file.execute("INSERT INTO topics VALUES (?, ?, ?, 'cdr', '')", (number, topic, kind))
        for frame in frames:
            logged = START_NS + round(frame.logged_s * 10**9)
            row = (topics[frame.topic], logged, serialized(frame)[1])
            file.execute("INSERT INTO messages VALUES (NULL, ?, ?, ?)", row)
    return path


@pytest.mark.parametrize("storage", ["sqlite3", "mcap"])
def test_a_recording_without_message_definitions(tmp_path, storage):
    bag, out = old_recording(tmp_path / "drive.db3", drive(2)), tmp_path / "out"
    assert run("segment", bag, "--output", out, "--params", params(tmp_path / "p.yaml"), "--storage", storage) == 0
    written = messages(out)
    assert ("/own", START_NS, b"\x00\x01\x00\x00own") in written and len(images(out, MASK)) == 2
    assert [m[2] for m in written if m[0] == RGB] == [serialized(f)[1] for f in drive(2) if f.topic == RGB]


def test_a_single_mcap_file_with_a_type_of_its_own(tmp_path):
    """Such a file names no hashes: they are made from the definitions, which readers check."""
    bag = record(tmp_path / "own", drive(2), own=True)
    out = tmp_path / "out"
    assert run("segment", bag / "own.mcap", "--output", out, "--params", params(tmp_path / "p.yaml")) == 0
    with AnyReader([out]) as reader:
        (outer,) = [reader.deserialize(data, c.msgtype) for c, _, data in reader.messages() if c.topic == "/own"]
    assert outer.one == 7 and len(outer.more) == 0


def test_what_a_killed_process_left_goes_first(tmp_path):
    """Its folder is as large as the recording, and has a name that nobody sees."""
    left, other = (tmp_path / f".{name}.{dead_process()}.tmp" for name in ("out", "other"))
    (left / "out").mkdir(parents=True)
    other.mkdir()
    with new_folder(tmp_path / "out") as folder:
        folder.mkdir()
    assert not left.exists() and other.exists() and (tmp_path / "out").is_dir()


def dead_process() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid
