"""The table of parameters on a bare node: what is refused at the start and later, with which words."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: pip install '.[ros]', or source a distro")
import rclpy
from rclpy.parameter import Parameter

from sartm_ros.errors import ParameterError
from sartm_ros.node import parameter_checks, parameters
from test.ros.processes import ROOT

pytestmark = pytest.mark.alone

IDENTITY = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
NAN, INF = float("nan"), float("inf")


@pytest.fixture
def declared(context):
    """`declared(name=value, ...)` ("__" for a dot): a bare node with the parameters, checked when they change."""
    made = []

    def make(**values):
        overrides = [Parameter(name.replace("__", "."), value=value) for name, value in values.items()]
        node = rclpy.create_node("segment", context=context, parameter_overrides=overrides)
        made.append(node)
        parameters.declare(node)
        node.add_on_set_parameters_callback(lambda changes: parameters.checked(node, changes)[0])
        return node

    yield make
    for node in made:
        node.destroy_node()


UNUSABLE = [
    ("homography", [1.0, 2.0, 0.0, 2.0, 4.0, 0.0, 0.0, 0.0, 1.0], "cannot be inverted"),
    ("homography", [NAN, *IDENTITY[1:]], "expected 9 finite numbers"),
    ("homography", [1e308, *IDENTITY[1:]], "cannot be inverted"),
    ("thermal_size", [-1, 5], "expected [width, height]"),
    ("rgb_size", [640, 0], "expected [width, height]"),
    ("shift", [INF, 0.0], "expected two numbers"),
    ("scale", [0.0, 1.0], "expected two numbers above 0"),
    ("scale", [NAN, 1.0], "expected two numbers above 0"),
]


@pytest.mark.parametrize("mode", ["none", "homography", "scale_shift"])
@pytest.mark.parametrize(("key", "value", "reason"), UNUSABLE)
def test_a_registration_that_cannot_be_used_is_refused_in_every_mode(declared, mode, key, value, reason):
    """Regression: only homographies were looked at, and only in that mode; the mode can be switched later."""
    name = f"registration.{key}"
    with pytest.raises(ParameterError) as at_start:
        declared(registration__mode=mode, **{f"registration__{key}": value})
    node = declared(registration__mode=mode)
    result = node.set_parameters([Parameter(name, value=value)])[0]
    assert not result.successful and list(node.get_parameter(name).value) != value
    for text in (str(at_start.value), result.reason):
        assert text.startswith(f"{name}: got ") and reason in text and text.count(f"{name}:") == 1, text


def test_scale_and_shift_that_make_no_matrix_are_told_by_their_names(declared):
    with pytest.raises(ParameterError) as error:
        declared(registration__scale=[1e-9, 1.0])
    assert str(error.value).startswith("registration.scale, registration.shift: got ")


def test_a_measured_registration_is_taken_at_once_or_key_by_key(declared):
    matrix = [1.6, 0.02, -30.0, -0.01, 1.9, 12.0, 1e-5, -2e-5, 1.0]
    values = {"homography": matrix, "thermal_size": [320, 256], "rgb_size": [640, 480], "mode": "homography"}
    declared(**{f"registration__{key}": value for key, value in values.items()})
    node = declared()
    for key, value in values.items():
        result = node.set_parameters([Parameter(f"registration.{key}", value=value)])[0]
        assert result.successful, result.reason
    assert parameters.read(node)["registration.homography"] == matrix


def test_repositories_of_the_hub_are_no_files_to_look_for():
    values = {
        "checkpoint": "hf:owner/name@v1",
        "sam2": "none",
        "adapters": "night=hf:owner/night, hf:owner/rain.v2@main",
    }
    assert parameter_checks.files(values, values) == []
    assert parameter_checks.adapters(values) == {"night": "hf:owner/night", "rain.v2": "hf:owner/rain.v2@main"}
    values["adapters"] += ", gone.safetensors"
    (problem,) = parameter_checks.files(values, values)
    assert "gone.safetensors" in problem and "hf:" not in problem


def test_parameters_are_checked_without_torch():
    """It takes seconds, and the node is to say that it loads meanwhile."""
    code = """
import sys
from sartm_ros.node import parameters
values = {spec.name: spec.default for spec in parameters.SPECS}
assert parameters.check(values, set(values)) == []
assert parameters.check(values | {"registration.mode": "scale_shift"}, []) == []
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.parametrize(
    ("name", "value", "taken"),
    [
        ("confidence_threshold", 1.0000005, 1.0),
        ("overlay_alpha", 1.0000005, 1.0),
        ("sync.max_wait", 10.000005, 10.0),
        ("degraded.timeout", 0.04999998, 0.05),
    ],
)
def test_a_value_a_hair_outside_its_range_is_brought_inside(declared, name, value, taken):
    """Regression: rclpy lets a millionth more pass; with such a threshold no frame gave a mask."""
    node = declared(**{name.replace(".", "__"): value})
    assert parameters.read(node)[name] == taken
    node = declared()
    changes = [Parameter(name, value=value)]
    assert node.set_parameters(changes)[0].successful and parameters.read(node)[name] == taken
    assert parameters.checked(node, changes)[1][name] == taken


@pytest.mark.parametrize("value", [1.1, -0.5, NAN, INF])
def test_a_value_outside_its_range_is_refused(declared, value):
    with pytest.raises(ParameterError, match="confidence_threshold"):
        declared(confidence_threshold=value)
    node = declared()
    assert not node.set_parameters([Parameter("confidence_threshold", value=value)])[0].successful
    assert parameters.read(node)["confidence_threshold"] == 0.0


@pytest.mark.parametrize("start", [True, False])
def test_what_matters_at_the_start_only_cannot_be_changed_later(declared, start):
    """Regression: autostart could be set on a running node, without any effect."""
    node = declared(autostart=start)
    assert parameters.read(node)["autostart"] is start
    result = node.set_parameters([Parameter("autostart", value=not start)])[0]
    assert not result.successful and "read-only" in result.reason and "autostart" in result.reason
    read_only = [spec.name for spec in parameters.SPECS if node.describe_parameter(spec.name).read_only]
    assert read_only == ["autostart"]
