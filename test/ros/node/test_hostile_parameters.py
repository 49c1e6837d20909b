"""A parameter must never end the node: whatever its value, at the start or live, the answer is words."""

from __future__ import annotations

import errno

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: pip install '.[ros]', or source a distro")
import rclpy
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rclpy.parameter import Parameter

from sartm_core.support.text import LONGEST
from sartm_ros.errors import ParameterError
from sartm_ros.node import parameters
from sartm_ros.node.parameters import BY_NAME, SPECS
from sartm_ros.segment_node import SegmentNode
from test.ros.fake_segmenter import FakeSegmenter

pytestmark = pytest.mark.alone

PATHS = ["x" * 5000, "/" * 5000, "a/" * 3000, "/", "/dev/zero", "a\nb", "\x1b[31mred", "", "=", "a=b=c", "hf:", ",,"]
NUMBERS = [float("nan"), float("inf"), -float("inf"), 1e308, -1e308, 5e-324, 0.0]
WHOLE = [2**63 - 1, -(2**63), 0, -1]
VALUES = st.one_of(
    st.sampled_from(
        [*PATHS, *NUMBERS, *WHOLE, True, False, None, [1.0] * 10_000, [NUMBERS[0]] * 9, [2**40] * 2, ["x"]]
    ),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=50),
    st.floats(),
    st.integers(-(2**63), 2**63 - 1),
    st.lists(st.floats(), max_size=9),
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3),
)
EXAMPLES = settings(max_examples=400, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def node(context):
    """With a model, not spinning."""
    made = SegmentNode(lambda values: FakeSegmenter(), context=context)
    made.trigger_configure()
    yield made
    made.close()
    made.destroy_node()


@EXAMPLES
@given(name=st.sampled_from(list(BY_NAME)), value=VALUES)
@example(name="checkpoint", value="x" * 5000)
@example(name="adapters", value="a=" + "x" * 5000)
@example(name="overlay_alpha", value=None)
def test_no_value_ends_a_running_node(node, name, value):
    """Regression: a path of 5,000 characters did."""
    before = parameters.read(node)
    (result,) = node.set_parameters([Parameter(name, value=value)])
    assert len(result.reason) <= 2 * LONGEST and "\x1b" not in result.reason
    assert result.successful or (result.reason and parameters.read(node) == before)
    assert list(parameters.read(node)) == [spec.name for spec in SPECS], "none is lost"
    assert node.monitor._mistakes.count == 0


@settings(EXAMPLES, max_examples=60)
@given(name=st.sampled_from(list(BY_NAME)), value=VALUES.filter(lambda value: value is not None))
@example(name="sam2", value="x" * 5000)
def test_no_value_is_a_traceback_at_the_start(context, name, value):
    bare = rclpy.create_node("segment", context=context, parameter_overrides=[Parameter(name, value=value)])
    try:
        parameters.declare(bare)
    except ParameterError as error:
        assert name in str(error) and len(str(error)) <= 2 * LONGEST
    finally:
        bare.destroy_node()


@pytest.mark.parametrize("name", ["checkpoint", "sam2", "adapters"])
def test_a_folder_that_may_not_be_entered_is_a_word(node, name, monkeypatch):
    def closed(_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("sartm_core.support.files.os.stat", closed)
    (result,) = node.set_parameters([Parameter(name, value="/closed/a.safetensors")])
    assert not result.successful and result.reason.startswith(f"{name}: got '/closed/a")
    assert result.reason.endswith("permission denied")


def test_an_error_of_our_own_is_a_refusal(node, monkeypatch):
    monkeypatch.setattr(parameters, "check", lambda *_: 1 / 0)
    (result,) = node.set_parameters([Parameter("overlay_alpha", value=0.25)])
    assert not result.successful and "overlay_alpha: cannot be used (division by zero)" in result.reason
    node.monitor._mistakes.count = 0
