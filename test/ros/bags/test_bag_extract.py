"""`sartm bag extract`: a folder that check_data and training read, with the frames asked for."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sartm_core.check_data.__main__ import main as check_data
from sartm_core.data.layouts.folder import FolderPairs
from sartm_core.runtime.segmenter import Segmenter
from sartm_ros.bag import main
from sartm_ros.bags.choice import SceneChange, least_confident
from test.ros.bag_files import PERIOD_S, RGB, THERMAL, Frame, drive, record, scene
from test.ros.bag_files import write_params as params


def extract(tmp_path, frames: list[Frame], *options: object, **values: object) -> tuple[int, FolderPairs | None]:
    """Exit code and the folder as training reads it."""
    bag, out = record(tmp_path / "drive", frames), tmp_path / "out"
    arguments = ["extract", bag, "--output", out, "--params", params(tmp_path / "p.yaml", **values), *options]
    try:
        code = main([str(a) for a in arguments])
    except SystemExit as end:
        code = int(end.code or 0)
    return code, FolderPairs(out) if out.exists() else None


def test_every_kth_pair_with_pre_labels(tmp_path, capsys):
    code, pairs = extract(tmp_path, drive(5), "--every", 2)
    assert code == 0 and pairs.names == [f"drive_{k:06d}" for k in (0, 2, 4)]
    assert "labels/ holds pre-labels of the model" in capsys.readouterr().out
    segmenter = Segmenter.load(engine="torch", precision="fp32", device="cpu", input_size=(64, 96))
    assert pairs.label_set.names == segmenter.classes and pairs.label_set.palette == segmenter.palette
    for sample, index in zip(pairs, (0, 2, 4), strict=True):
        rgb, thermal = scene(index)
        assert np.array_equal(sample.rgb, rgb) and np.array_equal(sample.thermal, thermal)
        assert sample.thermal.dtype == np.uint16
        assert np.array_equal(sample.label, segmenter(rgb, thermal).mask)
    assert check_data(["--dataset", "folder", "--data", str(tmp_path / "out")]) == 0
    source = json.loads((tmp_path / "out" / "extract.json").read_text())
    assert source["pairs_in_bag"] == 5 and [f["name"] for f in source["frames"]] == pairs.names
    assert "pre-labels" in source["labels"] and str(tmp_path) not in source["bag"]


def test_a_jpeg_is_kept_as_the_camera_made_it_and_ids_of_255_too(tmp_path):
    frames = drive(2, compressed=True)
    code, pairs = extract(tmp_path, frames, "--every", 1, "--confidence-threshold", "1")
    assert code == 0 and pairs.files["drive_000001"].rgb.read_bytes() == frames[2].content
    assert np.array_equal(pairs[1].thermal, scene(1)[1]) and (pairs[1].label == 255).all()


def test_float_temperatures_are_kept(tmp_path):
    frames = [
        Frame(THERMAL, f.stamp_s, f.logged_s, f.content.astype(np.float32) / 100) if f.topic == THERMAL else f
        for f in drive(2)
    ]
    _, pairs = extract(tmp_path, frames, "--every", 1)
    assert pairs.files["drive_000000"].thermal.suffix == ".tiff"
    assert np.array_equal(pairs[1].thermal, frames[3].content) and pairs[1].thermal.dtype == np.float32


def test_a_registered_thermal_frame_is_written_in_the_rgb_view(tmp_path):
    shift = {"registration": {"mode": "scale_shift", "scale": [1.0, 1.0], "shift": [8.0, 0.0]}}
    _, pairs = extract(tmp_path, drive(1), **shift)
    _, thermal = scene(0)
    assert np.array_equal(pairs[0].thermal[:, 8:], thermal[:, :-8]) and pairs[0].thermal.dtype == np.uint16
    assert set(np.unique(pairs[0].thermal[:, :8])) == {round(float(np.median(thermal)))}


def test_only_scenes_that_changed(tmp_path):
    still, other = scene(0), (255 - scene(0)[0], scene(0)[1])
    frames = []
    for index, (rgb, thermal) in enumerate([still, still, other, other, still]):
        at = index * PERIOD_S
        frames += [Frame(RGB, at, at, rgb), Frame(THERMAL, at, at + 0.001, thermal)]
    _, pairs = extract(tmp_path, frames, "--scene-change", 0.1)
    assert pairs.names == [f"drive_{k:06d}" for k in (0, 2, 4)]


def test_the_pairs_of_lowest_confidence(tmp_path):
    """They are those that --every 1 lists with the lowest numbers."""
    frames = drive(6)
    (tmp_path / "all").mkdir()
    extract(tmp_path / "all", frames, "--every", 1)
    listed = json.loads((tmp_path / "all" / "out" / "extract.json").read_text())["frames"]
    lowest = sorted(sorted(listed, key=lambda frame: frame["confidence"])[:2], key=lambda frame: frame["name"])
    _, pairs = extract(tmp_path, frames, "--lowest-confidence", 2, "--spacing", 0)
    assert pairs.names == [frame["name"] for frame in lowest]


def test_a_broken_picture_is_skipped(tmp_path, capsys):
    frames = drive(3, compressed=True)
    frames[2] = Frame(RGB, frames[2].stamp_s, frames[2].logged_s, frames[2].content[:-200])
    code, pairs = extract(tmp_path, frames, "--every", 1)
    assert code == 1 and pairs.names == ["drive_000000", "drive_000002"]
    assert "could not be used: 1 of /cam/color/image_raw" in capsys.readouterr().err


@pytest.mark.parametrize("option", [("--every", "0"), ("--scene-change", "2"), ("--lowest-confidence", "-1")])
def test_bad_options(tmp_path, capsys, option):
    assert extract(tmp_path, drive(1), *option) == (2, None)
    assert capsys.readouterr().err.startswith(f"bag: {option[0]}: got {option[1]}, expected")


def test_no_pairs_leave_no_folder(tmp_path, capsys):
    assert extract(tmp_path, drive(2)[::2]) == (2, None)
    assert "cannot tell which topics" in capsys.readouterr().err
    assert {p.name for p in tmp_path.iterdir()} == {"drive", "p.yaml"}


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.integers(1, 10), st.floats(0, 5), st.randoms())
def test_least_confident_are_few_apart_and_begin_with_the_lowest(confidences, count, spacing, random):
    times = sorted(random.uniform(0, 20) for _ in confidences)
    chosen = least_confident(confidences, times, count, spacing)
    assert 1 <= len(chosen) <= count and int(np.argmin(confidences)) in chosen
    assert all(times[b] - times[a] >= spacing for a, b in zip(chosen, chosen[1:], strict=False))
    if not spacing:
        worst = sorted(confidences)[: len(chosen)]
        assert sorted(confidences[k] for k in chosen) == worst and len(chosen) == min(count, len(confidences))


def test_a_dark_scene_changes_by_its_thermal_frame():
    dark = np.zeros((48, 64, 3), np.uint8)
    changed = SceneChange(0.1)
    assert [changed(dark, scene(k, 48, 64)[1]) for k in (0, 0, 6)] == [True, False, True]
