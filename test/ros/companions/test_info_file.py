"""camera_info out of files, as camera_calibration of ROS writes them."""

from __future__ import annotations

import pytest

from sartm_ros.companions.info_file import NONE, PARAMETERS, files_of, path_of
from sartm_ros.companions.topics import THERMAL_INFO

TEXT = """\
image_width: 640
image_height: 512
camera_name: thermal
camera_matrix: {rows: 3, cols: 3, data: [500.5, 0, 319.5, 0, 510, 255.5, 0, 0, 1]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [0.1, -0.05, 0.001, 0.002, 0]}
rectification_matrix: {rows: 3, cols: 3, data: [1, 0, 0, 0, 1, 0, 0, 0, 1]}
projection_matrix: {rows: 3, cols: 4, data: [480, 0, 318, 0, 0, 490, 254, 0, 0, 0, 1, 0]}
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "thermal.yaml"
    path.write_text(TEXT)
    return path


def values(thermal):
    return dict.fromkeys(PARAMETERS.values(), NONE) | {PARAMETERS[THERMAL_INFO]: str(thermal)}


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_all_numbers_are_there(file, form):
    found = files_of(values(form.format(file)))
    assert list(found) == [THERMAL_INFO]
    info = found[THERMAL_INFO]
    assert (info.width, info.height, info.distortion_model) == (640, 512, "plumb_bob")
    assert info.k[:3] == (500.5, 0.0, 319.5) and info.p[4:8] == (0.0, 490.0, 254.0, 0.0)
    assert info.d == (0.1, -0.05, 0.001, 0.002, 0.0) and len(info.r) == 9


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("image_width: 640\n", "", "'image_width' is missing"),
        ("500.5", "0", "focal lengths above 0"),
        ("[1, 0, 0, 0, 1, 0, 0, 0, 1]", "[1]", "got rectification_matrix of 1 numbers, expected 9"),
        ("plumb_bob", "equidistant", "distortion model 'equidistant'"),
        ("rows: 3", "rows: [", "thermal.yaml"),
    ],
)
def test_what_is_wrong_is_said_with_parameter_and_file(file, old, new, part):
    file.write_text(TEXT.replace(old, new))
    with pytest.raises(ValueError, match="thermal_camera_info_url: .*thermal.yaml") as error:
        files_of(values(file))
    assert part in str(error.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match=r"thermal_camera_info_url: .*no file .*nowhere.yaml"):
        files_of(values(tmp_path / "nowhere.yaml"))


def test_packages_are_looked_up(tmp_path, monkeypatch):
    pytest.importorskip("ament_index_python", reason="no ROS 2 here")
    index = tmp_path / "share/ament_index/resource_index/packages"
    index.mkdir(parents=True)
    (index / "robot").touch()
    (tmp_path / "share/robot").mkdir()
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    assert path_of("package://robot/a/b.yaml") == tmp_path / "share/robot/a/b.yaml"
    with pytest.raises(ValueError, match="no package 'no_such'"):
        path_of("package://no_such/b.yaml")
