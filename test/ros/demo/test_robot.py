"""Parts of `make demo-robot` that need no node."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image as Picture

pytest.importorskip("rclpy", reason="no ROS 2 here: pip install '.[ros]', or source a distro")
from sartm_core.preprocess.camera import Camera
from sartm_ros.demo import robot, robot_pictures

CAMERA = Camera((64, 48), (50.0, 50.0), (31.5, 23.5))


def scene() -> SimpleNamespace:
    label = np.zeros((48, 64), np.uint8)
    label[20:40, 30:50] = 1
    rgb, depth = np.full((48, 64, 3), 90, np.uint8), np.full((48, 64), 5.0, np.float32)
    return SimpleNamespace(rgb=rgb, label=label, depth=depth, camera=CAMERA)


def test_the_wheel_is_hot_where_the_thermal_camera_sees_it():
    kelvin = np.full((48, 64), 290.0, np.float32)
    robot.heat_a_wheel(kelvin, scene())
    rows, columns = np.nonzero(kelvin > robot.HOT_ABOVE)
    assert rows.size and 28 < rows.mean() < 40
    assert columns.mean() == pytest.approx(30 + 0 - round(50 * robot.BASELINE / 5.0), abs=1), "parallax"


def test_the_extrinsic_is_the_baseline():
    matrix = np.reshape(robot.PARAMETERS["registration.rgb_to_thermal"], (4, 4))
    assert np.array_equal(matrix[:3, :3], np.eye(3)) and matrix[0, 3] == -robot.BASELINE


def test_objects_are_drawn(tmp_path):
    one = {"class": "car", "score": 0.9, "box": [30, 20, 20, 20], "pixels": 400, "kelvin": {"median": 300, "max": 310}}
    heard = {"objects_json": SimpleNamespace(data=json.dumps({"objects": [one]}))}
    (path,) = robot_pictures.draw(scene(), np.zeros((48, 64), np.uint16), heard, tmp_path)
    drawn = np.asarray(Picture.open(path))
    assert path.name == "objects_json.png" and tuple(drawn[39, 40]) == robot_pictures.SPARE_COLORS[0]


def test_of_two_points_the_nearer_one_is_seen():
    points = np.array([[0, 0, 20.0], [0, 0, 5.0]])
    colors = np.array([[255, 0, 0], [0, 255, 0]], np.uint8)
    picture = robot_pictures.side(points, colors, 0.0, 0.0, (64, 48))
    assert tuple(picture[24, 32]) == (0, 255, 0) and picture.any(axis=2).sum() == 4


def test_texts_of_boxes_at_one_place_stand_below_one_another():
    picture, taken = robot_pictures.Image.new("RGB", (200, 100)), []
    for _ in range(3):
        robot_pictures.label(picture, (10, 30, 20, 20), "person", robot_pictures.HOT, taken)
    robot_pictures.label(picture, (120, 30, 20, 20), "car", robot_pictures.HOT, taken)
    tops = [top for _, _, top in taken]
    first, second, third, other = tops
    assert first == other and second - first == third - second > robot_pictures.TEXT_PIXELS
