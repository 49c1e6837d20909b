"""The segment node between start and end: parameters, transitions, new weights."""

from __future__ import annotations

import importlib.util
import threading
from types import SimpleNamespace

import pytest
import yaml

pytest.importorskip("rclpy", reason="no ROS 2 here: pip install '.[ros]', or source a distro")
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.parameter import Parameter
from std_msgs.msg import Header

from sartm_ros import segment_node
from sartm_ros.errors import ParameterError
from sartm_ros.node import outputs
from sartm_ros.node.parameters import BY_NAME, SPECS
from test.ros.fake_segmenter import DEADLINE_S, FakeSegmenter
from test.ros.processes import ROOT

pytestmark = pytest.mark.alone


def test_unknown_parameters_are_named_with_the_nearest_known_one(monkeypatch, rig):
    said = []
    monkeypatch.setattr(
        "rclpy.impl.rcutils_logger.RcutilsLogger.warning", lambda self, text, **_: said.append(text) or True
    )
    rig(parameters={"sync.tolerence": 0.1, "confidence_treshold": 0.5, "autostart": False})
    assert any("'sync.tolerence'" in line and "'sync.tolerance'" in line for line in said)
    assert any("'confidence_treshold'" in line and "'confidence_threshold'" in line for line in said)


@pytest.mark.parametrize(
    ("name", "value", "part"),
    [
        ("sync.policy", "closest", "nearest, approximate, exact"),
        ("sync.tolerance", -1.0, "sync.tolerance"),
        ("checkpoint", 5, "expected a str"),
        ("thermal.scale", 0.0, "thermal.scale"),
        ("checkpoint", "no/such.safetensors", "checkpoint: got 'no/such.safetensors'.*no such file"),
        ("device", "gpu", "device: got 'gpu', expected auto, cpu, cuda or cuda:N"),
        ("input_size", "480x641", "input_size: got '480x641'.*multiples of 32"),
        ("registration.scale", [1.0, 0.0], "registration.scale"),
        ("registration.homography", [1.0, 2.0], "registration.homography: got 2 numbers, expected 9"),
        ("class_remap", "", "class_remap: got an empty string"),
    ],
)
def test_bad_parameters_stop_the_start_with_the_reason(rig, name, value, part):
    with pytest.raises(ParameterError, match=part):
        rig(parameters={name: value, "autostart": False})


def test_parameters_are_described_and_bad_values_change_nothing(rig):
    r = rig(parameters={"autostart": False, "confidence_threshold": 1})
    assert r.node.get_parameter("confidence_threshold").value == 1.0
    for spec in SPECS:
        assert spec.description in r.node.describe_parameter(spec.name).description
    results = r.node.set_parameters([Parameter("sync.policy", value="closest"), Parameter("overlay_alpha", value=2.0)])
    assert [x.successful for x in results] == [False, False]
    assert "nearest" in results[0].reason
    assert r.node.values["sync.policy"] == "nearest" and r.node.get_parameter("overlay_alpha").value == 0.5
    (good,) = r.node.set_parameters([Parameter("sync.tolerance", value=0.2)])
    assert good.successful and r.node.intake.pairer.tolerance_ns == 200_000_000


def test_shipped_yaml_names_every_parameter_with_its_default():
    text = (ROOT / "config" / "segment.yaml").read_text()
    (root,) = yaml.safe_load(text).values()

    def flat(tree, prefix=""):
        for key, value in tree.items():
            if isinstance(value, dict):
                yield from flat(value, f"{prefix}{key}.")
            else:
                yield prefix + key, value

    assert "percentile" in text and "cancel out" in text and "cancel out" in BY_NAME["thermal.scale"].description
    assert dict(flat(root["ros__parameters"])) == {spec.name: spec.default for spec in SPECS}


@pytest.mark.skipif(bool(importlib.util.find_spec("message_filters")), reason="message_filters is installed here")
def test_message_filters_policies_say_what_is_missing(rig):
    r = rig(parameters={"sync.policy": "approximate"})
    with pytest.raises(segment_node.StartupError):
        r.until(lambda: False, "failure")
    assert r.logs.having("error", "sync.policy", "message_filters")


def test_lifecycle_by_hand_and_a_failing_configure(rig):
    outcomes = iter([FileNotFoundError("no such weights"), FakeSegmenter()])

    def load(values):
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    r = rig(load=load, parameters={"autostart": False})
    assert r.node.trigger_configure() == segment_node.FAILURE
    assert r.logs.having("error", "no such weights") and not r.node.server.users
    r.until(lambda: r.states and r.states[-1] == "unconfigured", "state after the failure")
    assert r.node.trigger_configure() == segment_node.SUCCESS
    for _ in range(2):
        assert r.node.trigger_activate() == segment_node.SUCCESS
        r.ready()
        r.masks_after(1)
        assert r.node.trigger_deactivate() == segment_node.SUCCESS
        assert not [t for t in threading.enumerate() if t.name == "sartm-worker"]
    assert r.node.trigger_cleanup() == segment_node.SUCCESS
    assert r.node.model is None and r.node.server.model is None


@pytest.mark.parametrize("asked", [Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_UNCONFIGURED_SHUTDOWN])
def test_a_transition_that_is_not_possible_is_refused_and_masks_go_on(rig, asked):
    """Regression: rclpy raised in the executor, and the node's process ended."""
    r = rig()
    r.ready()
    client = r.node.create_client(ChangeState, "~/change_state")
    r.until(client.service_is_ready, "service")
    answer = client.call_async(ChangeState.Request(transition=Transition(id=asked)))
    r.until(answer.done, "answer")
    assert not answer.result().success
    assert r.logs.having("error", "change_state:", "is not possible in this state", "autostart")
    r.masks_after(1)


def test_loading_leaves_the_executor_free_and_is_seen(rig):
    go_on = threading.Event()

    def load(values):
        go_on.wait(DEADLINE_S)
        return FakeSegmenter()

    r = rig(load=load)
    r.until(lambda: "loading" in r.states, "state")
    count = len(r.diagnostics)
    r.until(lambda: len(r.diagnostics) >= count + 2, "diagnostics while loading")
    assert r.node.set_parameters([Parameter("overlay_alpha", value=0.1)])[0].successful
    go_on.set()
    r.ready()
    r.masks_after(1)


@pytest.mark.parametrize("by_itself", [True, False])
def test_a_model_that_takes_too_long_fails_the_configure(rig, by_itself):
    go_on = threading.Event()
    r = rig(load=lambda values: go_on.wait(DEADLINE_S), parameters={"autostart": by_itself, "load_timeout": 1.0})
    if by_itself:
        with pytest.raises(segment_node.StartupError):
            r.until(lambda: False, "failure")
    else:
        assert r.node.trigger_configure() == segment_node.FAILURE
    assert r.logs.having("error", "not loaded within load_timeout (1 s)")
    assert r.node.model is None and not r.node.server.users
    go_on.set()


def test_parameters_that_do_not_fit_the_model_fail_the_configure(rig):
    r = rig(parameters={"class_remap": "tram=car", "autostart": False})
    assert r.node.trigger_configure() == segment_node.FAILURE
    assert r.logs.having("error", "class_remap", "tram")
    (good,) = r.node.set_parameters([Parameter("class_remap", value="car=7")])
    assert good.successful and r.node.trigger_configure() == segment_node.SUCCESS
    (bad,) = r.node.set_parameters([Parameter("class_remap", value="tram=car")])
    assert not bad.successful and "tram" in bad.reason and r.node.values["class_remap"] == "car=7"


def test_a_singular_homography_is_refused_with_the_reason(rig):
    r = rig(parameters={"autostart": False, "registration.mode": "homography"})
    before = r.node.intake.settings.registration
    (bad,) = r.node.set_parameters(
        [Parameter("registration.homography", value=[1.0, 2.0, 0.0, 2.0, 4.0, 0.0, 0.0, 0.0, 1.0])]
    )
    assert not bad.successful and "registration.homography" in bad.reason
    assert r.node.intake.settings.registration == before


def test_integers_in_a_list_of_floats_are_taken(rig):
    r = rig(parameters={"autostart": False, "registration.scale": [2, 3]})
    assert r.node.values["registration.scale"] == [2.0, 3.0]


def test_every_parameter_tells_its_values(rig):
    r = rig(parameters={"autostart": False})
    for spec in SPECS:
        assert r.node.describe_parameter(spec.name).additional_constraints, spec.name


def test_a_live_threshold_reaches_label_info(rig, monkeypatch):
    """vision_msgs is on no registry: its two messages are stood in for."""
    published = []
    r = rig(parameters={"autostart": False})
    monkeypatch.setattr(outputs, "LabelInfo", lambda threshold: SimpleNamespace(threshold=threshold, header=Header()))
    monkeypatch.setattr(outputs, "VisionClass", SimpleNamespace)
    r.node.outputs._label_info = SimpleNamespace(publish=published.append)
    threshold = Parameter("confidence_threshold", value=0.3)
    assert r.node.set_parameters([threshold])[0].successful and not published, "no classes are known yet"
    assert r.node.trigger_configure() == segment_node.SUCCESS
    assert r.node.set_parameters([Parameter("confidence_threshold", value=0.6)])[0].successful
    assert r.node.set_parameters([Parameter("overlay_alpha", value=0.1)])[0].successful
    assert [info.threshold for info in published] == [0.3, 0.6]
    assert [c.class_name for c in published[-1].class_map] == ["unlabeled", "car"]
