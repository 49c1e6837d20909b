"""Registrations in files, and frames of data sets brought into the rgb view by them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from sartm_core.data.config import DataConfig
from sartm_core.data.sources import training_sources
from sartm_core.evaluate.config import FramesConfig
from sartm_core.evaluate.sources import open_frames
from sartm_core.preprocess.camera import Camera
from sartm_core.preprocess.parallax import DepthRegistration
from sartm_core.preprocess.registration import Registration
from sartm_core.preprocess.registration_file import in_rgb_view, read_registration

MATRIX = [1.0, 0.0, 2.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
PLANE = {"mode": "homography", "homography": MATRIX, "thermal_size": [16, 12], "rgb_size": [16, 12]}
SHIFT = [1.0, 0, 0, -0.1, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]
"""The thermal camera stands 10 cm to the right."""


def write_camera(path: Path) -> str:
    values = {
        "image_width": 16, "image_height": 12, "camera_name": "a", "distortion_model": "plumb_bob",
        "camera_matrix": {"rows": 3, "cols": 3, "data": [20.0, 0.0, 7.5, 0.0, 20.0, 5.5, 0.0, 0.0, 1.0]},
        "distortion_coefficients": {"rows": 1, "cols": 5, "data": [0.0] * 5},
    }  # fmt: skip
    path.write_text(yaml.safe_dump(values))
    return path.name


def depth_file(folder: Path, **more: object) -> Path:
    cameras = {name: write_camera(folder / f"{name}.yaml") for name in ("rgb_camera", "thermal_camera")}
    path = folder / "registration.yaml"
    path.write_text(yaml.safe_dump({"registration": {"mode": "depth", "rgb_to_thermal": SHIFT, **cameras, **more}}))
    return path


def test_what_calibrate_writes_is_read(tmp_path: Path) -> None:
    as_json, as_parameters = tmp_path / "a.json", tmp_path / "b.yaml"
    as_json.write_text(json.dumps({"model": "affine", "registration": {**PLANE, "scale": [1.0, 1.0], "shift": [2, 0]}}))
    as_parameters.write_text(yaml.safe_dump({"/**/segment": {"ros__parameters": {"registration": PLANE}}}))
    expected = Registration(MATRIX, (16, 12), (16, 12))
    assert read_registration(as_json) == read_registration(as_parameters) == expected
    live = {"mode": "scale_shift", "scale": [0.9, 0.9], "shift": [3.0, 0.0]}
    as_parameters.write_text(yaml.safe_dump({"registration": live}))
    assert read_registration(as_parameters) == Registration.scale_shift((0.9, 0.9), (3.0, 0.0))


def test_cameras_and_depth_are_read(tmp_path: Path) -> None:
    camera = Camera((16, 12), (20.0, 20.0), (7.5, 5.5))
    assert read_registration(depth_file(tmp_path)) == DepthRegistration(camera, camera, SHIFT)
    found = read_registration(depth_file(tmp_path, tolerance=3, homography=MATRIX))
    assert found == DepthRegistration(camera, camera, SHIFT, Registration(MATRIX), 3.0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1", "no section `registration`"),
        ("registration: {mode: depth}", "mode depth needs rgb_camera, thermal_camera, rgb_to_thermal"),
        ("registration: {mode: depht}", "mode: got 'depht'"),
        ("registration: {mode: homography, homograpy: [1]}", "got homograpy; expected keys"),
        ("registration: {homography: [1, 2]}", "9 finite numbers"),
        ("registration: {mode: depth, rgb_camera: no.yaml, thermal_camera: b, rgb_to_thermal: []}", "no.yaml: no such"),
        ("registration: [", "registration.yaml: "),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "registration.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=expected):
        read_registration(path)
    with pytest.raises(ValueError, match="gone.yaml: no such file"):
        read_registration(tmp_path / "gone.yaml")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_frame_in_the_rgb_view_keeps_its_type_and_values(dtype: type) -> None:
    thermal = (np.arange(12 * 16).reshape(12, 16) + 10).astype(dtype)
    moved = in_rgb_view(thermal, (12, 16), Registration(MATRIX))
    assert moved.dtype == dtype and moved.shape == (12, 16)
    np.testing.assert_allclose(moved[:, 2:], thermal[:, :-2], atol=1e-3)
    assert (np.abs(moved[:, :1].astype(float) - np.median(thermal)) <= 0.5).all()


def write_frames(root: Path, depth: np.ndarray | None) -> np.ndarray:
    """Two frames of a data set; returns their thermal picture (12, 16)."""
    thermal = np.tile(np.arange(16, dtype=np.uint8) * 10, (12, 1))
    for kind in ("rgb", "thermal", "labels", "depth"):
        (root / kind).mkdir(parents=True)
    for name in ("a", "b"):
        Image.fromarray(np.zeros((12, 16, 3), np.uint8)).save(root / "rgb" / f"{name}.png")
        Image.fromarray(thermal).save(root / "thermal" / f"{name}.png")
        Image.fromarray(np.zeros((12, 16), np.uint8)).save(root / "labels" / f"{name}.png")
        if depth is not None:
            Image.fromarray(depth).save(root / "depth" / f"{name}.png")
    return thermal


def frames(root: Path, registration: Path | None) -> list[np.ndarray]:
    config = DataConfig("folder", str(root), synthetic_train=0, registration=registration and str(registration))
    return [sample.thermal for source in training_sources(config) for sample in source.frames]


def test_training_frames_come_registered(tmp_path: Path) -> None:
    thermal = write_frames(tmp_path / "data", np.full((12, 16), 500, np.uint16))  # 0.5 m: 20 * 0.1 / 0.5 = 4 px
    plain = frames(tmp_path / "data", None)
    assert all((frame == thermal).all() for frame in plain) and plain
    plane = tmp_path / "plane.yaml"
    plane.write_text(yaml.safe_dump({"registration": PLANE}))
    for frame in frames(tmp_path / "data", plane):
        assert (frame[:, 2:] == thermal[:, :-2]).all()
    for frame in frames(tmp_path / "data", depth_file(tmp_path)):
        assert (frame[:, 4:] == thermal[:, :-4]).all()


def test_evaluation_sees_them_the_same(tmp_path: Path) -> None:
    thermal = write_frames(tmp_path / "data", None)
    plane = tmp_path / "plane.yaml"
    plane.write_text(yaml.safe_dump({"registration": PLANE}))
    config = FramesConfig(data=str(tmp_path / "data"), split=None, registration=str(plane))
    found, _ = open_frames(config, "folder")
    assert len(found) == 2 and all((frame.thermal[:, 2:] == thermal[:, :-2]).all() for frame in found)


def test_a_frame_without_its_depth_is_named(tmp_path: Path) -> None:
    write_frames(tmp_path / "data", None)
    with pytest.raises(ValueError, match=r"depth.a\.\*: no such file"):
        frames(tmp_path / "data", depth_file(tmp_path))
