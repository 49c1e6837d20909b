"""The segment node between start and end: parameters, transitions, new weights."""

from __future__ import annotations

import importlib.util
import threading
from types import SimpleNamespace

import pytest
import yaml

pytest.importorskip("rclpy", reason="no ROS 2 here: pip install '.[ros]', or source a distro")
from fake_segmenter import DEADLINE_S, FakeSegmenter
from processes import ROOT
from rclpy.parameter import Parameter
from std_msgs.msg import Header
from std_srvs.srv import Trigger

from sartm_ros import outputs, segment_node
from sartm_ros.parameters import BY_NAME, SPECS, ParameterError


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
    assert good.successful and r.node.pairer.tolerance_ns == 200_000_000


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
    assert r.logs.having("error", "no such weights")
    r.until(lambda: r.states and r.states[-1] == "unconfigured", "state after the failure")
    assert r.node.trigger_configure() == segment_node.SUCCESS
    for _ in range(2):
        assert r.node.trigger_activate() == segment_node.SUCCESS
        r.ready()
        r.masks_after(1)
        assert r.node.trigger_deactivate() == segment_node.SUCCESS
        assert not [t for t in threading.enumerate() if t.name == "sartm-worker"]
    assert r.node.trigger_cleanup() == segment_node.SUCCESS
    assert r.node.segmenter is None


def test_reload_swaps_weights_or_keeps_the_old_ones(rig):
    names = iter(["first", "second", RuntimeError("truncated file")])
    go_on = threading.Event()

    def load(values):
        name = next(names)
        if name != "first":
            go_on.wait(DEADLINE_S)
        if isinstance(name, Exception):
            raise name
        return FakeSegmenter(name)

    r = rig(load=load)
    r.ready()
    r.masks_after(1)
    client = r.peer.create_client(Trigger, "/sartm/segment/reload")
    r.until(client.service_is_ready, "service")
    for success, part in ((True, "second"), (False, "truncated file")):
        go_on.clear()
        future = client.call_async(Trigger.Request())
        r.masks_after(5, "masks while the new weights load")
        assert not future.done()
        go_on.set()
        r.stream_until(future.done, "reload")
        assert future.result().success is success and part in future.result().message
        assert r.node.segmenter.name == "second"
        r.masks_after(2)


@pytest.mark.parametrize("configured_again", [False, True])
def test_reload_after_a_cleanup_drops_the_new_model(rig, configured_again):
    go_on, names = threading.Event(), iter(["first", "late", "third"])

    def load(values):
        name = next(names)
        if name == "late":
            go_on.wait(DEADLINE_S)
        return FakeSegmenter(name)

    r = rig(load=load)
    r.ready()
    client = r.peer.create_client(Trigger, "/sartm/segment/reload")
    r.until(client.service_is_ready, "service")
    future = client.call_async(Trigger.Request())
    r.until(lambda: [t for t in threading.enumerate() if t.name == "sartm-reload"], "loading")
    assert r.node.trigger_deactivate() == r.node.trigger_cleanup() == segment_node.SUCCESS
    if configured_again:
        assert r.node.trigger_configure() == segment_node.SUCCESS
    go_on.set()
    r.until(future.done, "answer")
    assert not future.result().success and "cleaned up meanwhile" in future.result().message
    assert r.node.segmenter.name == "third" if configured_again else r.node.segmenter is None


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
