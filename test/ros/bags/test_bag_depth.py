"""`sartm bag segment` with `registration.mode: depth`: the depth and the cameras of the recording itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sartm_core.preprocess.camera import Camera as Lens
from sartm_core.preprocess.parallax import DepthRegistration
from sartm_core.runtime.segmenter import Segmenter
from test.ros.bag_files import HEIGHT, RGB, THERMAL, WIDTH, Camera, Frame, drive, images, messages, record, write_params
from test.ros.bags.test_bag_segment import MASK, NO_ROS, run

DEPTH = "/depth/image_raw"
SIZE = (WIDTH, HEIGHT)
NEXT = [1.0, 0.0, 0.0, -0.5, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0]
"""The thermal camera half a metre to the right."""


def depth(index: int) -> np.ndarray:
    """Millimetres: a wall that comes nearer."""
    return np.full((HEIGHT, WIDTH), 4000 - 500 * index, np.uint16)


def with_depth(count: int = 3, infos: tuple[str, ...] = ("rgb", "thermal"), late_s: float = 0.0) -> list[Frame]:
    frames = drive(count)
    first, second = (topic.rpartition("/")[0] for topic in (RGB, THERMAL))
    names = {"rgb": f"{first}/camera_info", "thermal": f"{second}/camera_info"}
    frames += [Frame(names[name], 0.0, 0.001, Camera(SIZE)) for name in infos]
    stamps = sorted({f.stamp_s for f in frames if f.topic == RGB})
    return frames + [Frame(DEPTH, at + late_s, at + late_s + 0.01, depth(i)) for i, at in enumerate(stamps)]


def settings(path: Path, **more: object) -> Path:
    return write_params(path, registration={"mode": "depth", "rgb_to_thermal": NEXT}, **more)


def test_thermal_is_seen_through_the_recorded_depth(tmp_path, capsys):
    frames = with_depth()
    bag, out = record(tmp_path / "drive", frames), tmp_path / "out"
    assert run("segment", bag, "--output", out, "--params", settings(tmp_path / "p.yaml")) == 0
    assert "without depth" not in capsys.readouterr().err
    assert [m for m in messages(out) if not m[0].startswith("/sartm/")] == messages(bag)
    segmenter = Segmenter.load(engine="torch", precision="fp32", device="cpu", input_size=(HEIGHT, WIDTH))
    lens = Lens.of(*SIZE, [80.0, 0.0, WIDTH / 2, 0.0, 80.0, HEIGHT / 2, 0.0, 0.0, 1.0])
    cameras = DepthRegistration(lens, lens, tuple(NEXT), None)
    rgb, thermal = ([f.content for f in frames if f.topic == topic] for topic in (RGB, THERMAL))
    masks = [mask for _, mask in images(out, MASK)]
    views = [cameras.at(depth(i)) for i in range(3)]
    expected = [
        segmenter(*pair, registration=view).mask
        for pair, view in zip(zip(rgb, thermal, strict=True), views, strict=True)
    ]
    assert len(masks) == 3 and all(np.array_equal(*both) for both in zip(masks, expected, strict=True))
    sides = (HEIGHT, WIDTH)
    far = cameras.at(np.full(sides, 40000, np.uint16)).thermal_pixels(sides, sides)
    assert not np.array_equal(views[0].thermal_pixels(sides, sides), far)  # ten pixels of parallax, and one


@pytest.mark.parametrize(
    "frames, said",
    [
        (with_depth(infos=("rgb",)), "no /flir/camera_info in the recording; thermal_camera_info_url names a file"),
        (with_depth(late_s=0.05), "the depth image nearest to an rgb frame is 50 ms away, depth.tolerance is 20 ms"),
    ],
    ids=["no camera_info", "depth of another time"],
)
def test_what_is_missing_is_counted_and_told(tmp_path, capsys, frames, said):
    bag = record(tmp_path / "drive", frames)
    assert run("segment", bag, "--output", tmp_path / "out", "--params", settings(tmp_path / "p.yaml")) == 0
    told = capsys.readouterr().err
    assert "3 pairs without depth, no registration instead" in told and said in told
    assert len(images(tmp_path / "out", MASK)) == 3


@pytest.mark.parametrize(
    "frames, more, options, said",
    [
        (drive(2), {}, (), "registration.mode depth needs one depth topic; found none; give --depth-topic"),
        (with_depth(), {}, ("--depth-topic", "/deep"), "--depth-topic /deep: no raw image topic of that name"),
    ],
    ids=["no depth", "wrong topic"],
)
def test_a_recording_without_that_depth_is_refused(tmp_path, capsys, frames, more, options, said):
    bag = record(tmp_path / "drive", frames)
    assert run("segment", bag, "--output", tmp_path / "out", "--params", settings(tmp_path / "p.yaml"), *options) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_tf_needs_the_node(tmp_path, capsys):
    bag = record(tmp_path / "drive", with_depth())
    yaml = write_params(tmp_path / "p.yaml", registration={"mode": "depth", "extrinsic": "tf"})
    assert run("segment", bag, "--output", tmp_path / "out", "--params", yaml) == 2
    assert "registration.extrinsic: got 'tf', which needs the node" in capsys.readouterr().err


def test_depth_needs_no_ros():
    code = f"import sys, sartm_ros.bags.depth; print([name for name in {NO_ROS} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
