"""`sartm calibrate --target`: boards rendered through known cameras must give these cameras back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

pytest.importorskip("cv2", reason="no OpenCV here: pip install opencv-python-headless")
pytest.importorskip("skimage", reason="no scikit-image here: pip install scikit-image")
from sartm_core.preprocess.homography import project
from sartm_core.preprocess.parallax import DepthRegistration
from sartm_core.preprocess.registration_file import read_camera_info, read_registration
from sartm_ros import calibrate
from sartm_ros.calibration import rig_files, rig_pictures, rig_trust
from sartm_ros.calibration.corners import Seen, see
from sartm_ros.calibration.needs import CalibrationError
from sartm_ros.calibration.rig import Rig
from sartm_ros.calibration.rig import calibrate as solve
from sartm_ros.calibration.sources import FramePair
from sartm_ros.calibration.target import Target

from .boards import RGB, RGB_TO_THERMAL, THERMAL, pairs, placed

BOARD = Target("chessboard", 8, 6, 0.03)
SIZES = {"rgb": RGB.size, "thermal": THERMAL.size}
VIEWS = 8


@pytest.fixture(scope="module")
def frames() -> list[FramePair]:
    """The black squares are the warm ones."""
    return pairs(BOARD, VIEWS, warm="black")


@pytest.fixture(scope="module")
def seen(frames) -> list[Seen]:
    return see(frames, BOARD, lambda: None)


def ideal(count: int, target: Target = BOARD, noise: float = 0.05) -> list[Seen]:
    """Points where the cameras have them, with a little noise: no picture is drawn."""
    rng = np.random.default_rng(1)
    views = []
    for index in range(count):
        angles = (-30 + 30 * (index % 3), 30 * np.sin(2.4 * index), 15 * np.cos(index))
        where = 0.1 * np.cos(2.2 * index), 0.08 * np.sin(2.2 * index), 0.5 + 0.05 * (index % 4)
        board = placed(target, angles, where)
        points = []
        for camera, pose in ((RGB, board), (THERMAL, RGB_TO_THERMAL @ board)):
            x, y, z = pose[:3, :3] @ target.points().T + pose[:3, 3:]
            at = np.stack(camera.pixels(x / z, y / z), axis=-1)
            points.append((at + rng.normal(0, noise, at.shape)).astype(np.float32))
        views.append(Seen(f"view_{index}", *points))
    return views


def check(rig: Rig) -> None:
    """Focal length within 1 %, the mounting within 2 mm and 0.2 degrees."""
    for lens, camera in ((rig.rgb, RGB), (rig.thermal, THERMAL)):
        np.testing.assert_allclose(np.diag(lens.matrix)[:2], camera.focal, rtol=0.01)
    turned = rig.rgb_to_thermal[:3, :3] @ RGB_TO_THERMAL[:3, :3].T
    assert np.degrees(np.arccos(np.clip((np.trace(turned) - 1) / 2, -1, 1))) < 0.2
    np.testing.assert_allclose(rig.rgb_to_thermal[:3, 3], RGB_TO_THERMAL[:3, 3], atol=0.002)


def test_drawn_views_give_the_cameras_back(seen) -> None:
    assert all(view.rgb is not None for view in seen) and sum(view.thermal is not None for view in seen) >= VIEWS - 2
    rig = solve(seen, BOARD, SIZES)
    check(rig)
    assert rig_trust.objections(rig) == []
    assert max(map(max, rig.errors.values())) < 0.3


@pytest.mark.parametrize("kind", ["circles:6x4:0.04", "asymmetric_circles:4x9:0.02"])
@pytest.mark.parametrize("warm", ["white", "black"])
def test_circles_are_found_whatever_is_warm(kind: str, warm: str) -> None:
    target = Target.parse(kind)
    (view,) = see(pairs(target, 1, warm), target, lambda: None)
    (true,) = ideal(1, target, noise=0)
    assert view.rgb.shape == view.thermal.shape == true.rgb.shape
    for points in (view.rgb, view.thermal):
        assert np.linalg.det(target.axes(points)) > 0
    assert (target.axes(view.rgb) * target.axes(view.thermal)).sum() > 1.9


def test_both_cameras_have_the_corners_in_one_order(seen) -> None:
    """Where black is white, a chessboard upside down looks like itself."""
    for view in seen:
        if view.thermal is not None:
            assert (BOARD.axes(view.rgb) * BOARD.axes(view.thermal)).sum() > 1.9


def test_a_bad_view_is_left_out_and_named() -> None:
    views = ideal(10, noise=0.02)
    moved = views[3].thermal + np.float32(3)  # the target moved between the two frames
    views[3] = Seen("view_3", views[3].rgb, moved)
    bent = views[6].rgb + np.random.default_rng(0).normal(0, 3, views[6].rgb.shape).astype(np.float32)
    views[6] = Seen("view_6", bent, views[6].thermal)
    rig = solve(views, BOARD, SIZES)
    assert (list(rig.rgb.left_out), list(rig.left_out)) == (["view_6"], ["view_3"])
    check(rig)
    text = "\n".join(rig_trust.remarks(rig, views))
    assert "bad rgb views, left out: view_6" in text and "view_3 (" in text


def test_frames_of_different_moments_are_left_out() -> None:
    """One that is far off must not spoil the fit in which it would be found."""
    views = ideal(9, noise=0.02)
    views[4] = Seen("view_4", views[4].rgb, views[5].thermal)
    rig = solve(views, BOARD, SIZES)
    assert list(rig.left_out) == ["view_4"]
    check(rig)


def test_views_of_one_camera_alone_serve_its_lens() -> None:
    views = ideal(12, noise=0.02)
    views[8:] = [Seen(view.name, view.rgb, None) for view in views[8:]]
    rig = solve(views, BOARD, SIZES)
    assert (len(rig.rgb.errors), len(rig.thermal.errors), len(rig.errors)) == (12, 8, 8)
    check(rig)
    assert "no target in the thermal frames of view_8" in "\n".join(rig_trust.remarks(rig, views))


def test_views_from_the_front_alone_are_refused() -> None:
    views = []
    for index, view in enumerate(ideal(6)):
        board = placed(BOARD, (0, 0, 10 * index), (0.01 * index, 0, 0.5))
        x, y, z = board[:3, :3] @ BOARD.points().T + board[:3, 3:]
        at = np.stack(RGB.pixels(x / z, y / z), axis=-1).astype(np.float32)
        noise = np.random.default_rng(index).normal(0, 0.1, at.shape).astype(np.float32)
        views.append(Seen(view.name, at + noise, view.thermal))
    assert any("turn the target" in text for text in rig_trust.objections(solve(views, BOARD, SIZES)))


def test_the_node_takes_the_registration(context, tmp_path) -> None:
    """One file is for training and for the node."""
    import rclpy

    from sartm_ros.node import parameters

    rig_files.write(solve(ideal(6), BOARD, SIZES), tmp_path, 3.0, ["a comment"], (0, 0, 0, 0))
    path = tmp_path / "registration.yaml"
    node = rclpy.create_node("segment", context=context, cli_args=["--ros-args", "--params-file", str(path)])
    try:
        given = parameters.overrides(node)
        assert parameters.unknown(given) == []
        parameters.declare(node)
        assert node.get_parameter("registration.mode").value == "depth"
        matrix = node.get_parameter("registration.rgb_to_thermal").value
    finally:
        node.destroy_node()
    assert tuple(matrix) == read_registration(path).rgb_to_thermal


def save(frames: list[FramePair], root: Path) -> list[str]:
    for name in ("rgb", "thermal"):
        (root / name).mkdir(parents=True)
        for frame in frames:
            Image.fromarray(getattr(frame, name)).save(root / name / f"{frame.name}.png")
    return ["--data", str(root)]


def test_the_command_writes_cameras_registration_and_report(frames, tmp_path, capsys) -> None:
    out = tmp_path / "out"
    options = [*save(frames[:6], tmp_path / "data"), "--target", str(BOARD), "--output", str(out)]
    assert calibrate.main(options) == 0
    assert {path.name for path in out.iterdir()} == {"rgb.yaml", "thermal.yaml", "registration.yaml", "report.html"}
    printed = capsys.readouterr().out
    assert "reprojection error" in printed and "report.html" in printed
    for name, camera in (("rgb", RGB), ("thermal", THERMAL)):
        info = yaml.safe_load((out / f"{name}.yaml").read_text())
        assert info["camera_name"] == name and info["distortion_model"] == "plumb_bob"
        shapes = {key: (block["rows"], block["cols"]) for key, block in info.items() if isinstance(block, dict)}
        assert shapes == {
            "camera_matrix": (3, 3), "distortion_coefficients": (1, 5),
            "rectification_matrix": (3, 3), "projection_matrix": (3, 4),
        }  # fmt: skip
        read = read_camera_info(out / f"{name}.yaml")
        assert read.size == camera.size
        np.testing.assert_allclose(read.focal, camera.focal, rtol=0.01)
    registration = read_registration(out / "registration.yaml")
    assert isinstance(registration, DepthRegistration) and registration.fallback is not None
    board = placed(BOARD, (0, 0, 0), (0.05, 0, 0.5))
    ends = []
    for camera, pose in ((THERMAL, RGB_TO_THERMAL @ board), (RGB, board)):
        x, y, z = pose[:3, :3] @ BOARD.points().T + pose[:3, 3:]
        ends.append(np.stack(camera.pixels(x / z, y / z), axis=-1))
    matrix = np.array(registration.fallback.matrix).reshape(3, 3)
    assert np.abs(project(matrix, ends[0]) - ends[1]).max() < 25  # the fallback is of the distance of the views
    page = (out / "report.html").read_text()
    assert all(frame.name in page for frame in frames[:6]) and page.count("data:image/png") == 2


def test_cropped_frames_leave_a_file_for_the_driver(frames, tmp_path) -> None:
    padded = [
        FramePair(frame.name, frame.rgb, np.pad(frame.thermal, ((0, 4), (0, 0)), mode="edge")) for frame in frames[:5]
    ]
    options = [*save(padded, tmp_path / "data"), "--target", str(BOARD), "--output", str(tmp_path / "out")]
    assert calibrate.main([*options, "--thermal-crop", "0", "4", "0", "0", "--distance", "3"]) == 0
    cropped, whole = (read_camera_info(tmp_path / "out" / name) for name in ("thermal.yaml", "thermal_driver.yaml"))
    assert whole.size == (THERMAL.size[0], THERMAL.size[1] + 4) and whole.cropped(bottom=4) == cropped
    assert "things 3.00 m away" in (tmp_path / "out" / "registration.yaml").read_text()


def test_another_board_is_refused_with_a_report(frames, tmp_path, capsys) -> None:
    options = [*save(frames[:2], tmp_path / "data"), "--target", "circles:5x4:0.03", "--output", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as stop:
        calibrate.main(options)
    assert stop.value.code == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["report.html"]
    assert "found in 0 of 2 rgb frames" in capsys.readouterr().err


def test_the_thermal_edges_of_the_report_lie_on_the_boards(frames, seen) -> None:
    """At the target's distance the thermal frame, brought onto rgb, is the rgb frame's negative."""
    rig = solve(seen, BOARD, SIZES)
    index = next(i for i, view in enumerate(seen) if view.name in rig.errors)
    warped = rig_pictures.at_target(frames[index], seen[index], rig, RGB.size[0])
    low, high = np.floor(seen[index].rgb.min(axis=0)).astype(int), np.ceil(seen[index].rgb.max(axis=0)).astype(int)
    part = np.s_[low[1] : high[1], low[0] : high[0]]
    grey = frames[index].rgb[..., 0].astype(float)[part]
    known = np.isfinite(warped[part])
    assert np.corrcoef(warped[part][known], grey[known])[0, 1] < -0.9


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("chessboard", "expected KIND:COLUMNSxROWS:METRES"),
        ("tags:9x6:0.03", "expected one of chessboard"),
        ("chessboard:9x2:0.03", "at least 3x3"),
        ("circles:9x6:0", "metres above 0"),
        ("circles:9x6:0.0.3", "expected KIND"),
    ],
)
def test_a_target_that_cannot_be_is_refused(text: str, reason: str) -> None:
    with pytest.raises(CalibrationError, match=reason):
        Target.parse(text)


def test_orders_are_those_that_look_alike() -> None:
    """Turned half round, mirrored both ways; a square one eight; an asymmetric one with odd rows only upside down."""
    targets = BOARD, Target("circles", 4, 4, 1.0), Target("asymmetric_circles", 4, 11, 1.0)
    assert [len(target.orders()) for target in targets] == [4, 8, 2]
    for order in BOARD.orders():
        assert sorted(order.tolist()) == list(range(48))
