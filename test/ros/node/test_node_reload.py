"""New weights while the node works: swapped between two frames, or the old ones stay."""

from __future__ import annotations

import threading

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: pip install '.[ros]', or source a distro")
from rclpy.parameter import Parameter
from std_srvs.srv import Trigger

from sartm_ros import segment_node
from test.ros.fake_segmenter import DEADLINE_S, FakeSegmenter

pytestmark = pytest.mark.alone


@pytest.fixture
def weights(tmp_path):
    """Two files to name in `checkpoint`."""
    paths = [tmp_path / f"{name}.safetensors" for name in ("old", "new")]
    for path in paths:
        path.touch()
    return [str(path) for path in paths]


def test_masks_go_on_while_weights_load_and_each_frame_has_one_model(rig):
    names, go_on = iter(["first", "second"]), threading.Event()

    def load(values):
        name = next(names)
        if name != "first":
            go_on.wait(DEADLINE_S)
        return FakeSegmenter(name)

    r = rig(load=load)
    r.ready()
    r.masks_after(1)
    client = r.peer.create_client(Trigger, "/sartm/segment/reload")
    r.until(client.service_is_ready, "service")
    future = client.call_async(Trigger.Request())
    r.masks_after(5, "masks while the new weights load")
    assert not future.done() and r.node.model.name == "first"
    go_on.set()
    r.stream_until(future.done, "reload")
    assert future.result().success and "second" in future.result().message and r.node.model.name == "second"
    r.masks_after(2)
    r.stream_until(lambda: r.numbers()["model.name"] == "second", "diagnostics")
    assert "second" in r.numbers()["model.reload"]


class Broken(FakeSegmenter):
    """Loads, but gives no usable scores."""

    def check(self, rgb, thermal):
        assert rgb is not None and thermal is not None, "tried on the latest real frame"
        raise ValueError("scores are not finite")


@pytest.mark.parametrize(
    ("outcome", "part"),
    [
        (RuntimeError("truncated file"), "truncated file"),
        (Broken("broken"), "scores are not finite"),
        (FakeSegmenter("wrong", classes=("unlabeled", "tram")), "allow_class_change"),
    ],
)
def test_a_failed_reload_changes_nothing_not_even_the_parameters(rig, weights, outcome, part):
    def load(values):
        if values["checkpoint"] == weights[0]:
            return FakeSegmenter("running")
        if isinstance(outcome, Exception):
            raise type(outcome)(*outcome.args)  # a new one: the parameter itself would keep its frames, and the node
        return outcome

    r = rig(load=load, parameters={"checkpoint": weights[0]})
    r.ready()
    r.masks_after(1)
    assert r.node.set_parameters([Parameter("checkpoint", value=weights[1])])[0].successful
    response = r.reload()
    assert not response.success and part in response.message and "kept running" in response.message
    assert r.node.model.name == "running" and r.node.get_parameter("checkpoint").value == weights[0]
    r.masks_after(2)
    r.stream_until(lambda: part in r.numbers()["model.reload"], "diagnostics")


def test_other_classes_are_loaded_when_that_is_allowed(rig):
    models = iter([FakeSegmenter("a"), FakeSegmenter("b", classes=("unlabeled", "tram"))])
    r = rig(load=lambda values: next(models), parameters={"allow_class_change": True})
    r.ready()
    r.masks_after(1)
    assert r.reload().success and r.node.model.classes == ("unlabeled", "tram")


def test_weights_whose_classes_do_not_fit_the_remap_are_refused(rig):
    models = iter([FakeSegmenter("a"), FakeSegmenter("b", classes=("unlabeled", "tram"))])
    r = rig(load=lambda values: next(models), parameters={"allow_class_change": True, "class_remap": "car=9"})
    r.ready()
    r.masks_after(1)
    response = r.reload()
    assert not response.success and "class_remap" in response.message and r.node.model.name == "a"


def test_a_missing_file_is_refused_when_it_is_set(rig):
    r = rig()
    (result,) = r.node.set_parameters([Parameter("checkpoint", value="gone.safetensors")])
    assert not result.successful and "gone.safetensors" in result.reason and r.node.values["checkpoint"] == "default"


def test_the_file_of_the_running_model_may_disappear(rig, weights, tmp_path):
    r = rig(parameters={"checkpoint": weights[0]})
    r.ready()
    (tmp_path / "old.safetensors").unlink()
    assert r.node.set_parameters([Parameter("overlay_alpha", value=0.2)])[0].successful


def test_a_reload_that_takes_too_long_is_given_up(rig):
    go_on, first = threading.Event(), FakeSegmenter("first")
    models = iter([lambda: first, lambda: go_on.wait(DEADLINE_S)])
    r = rig(load=lambda values: next(models)(), parameters={"load_timeout": 1.0})
    r.ready()
    response = r.reload()
    go_on.set()
    assert not response.success and "load_timeout (1 s)" in response.message and r.node.model is first


def test_nothing_to_reload_before_configure(rig):
    r = rig(parameters={"autostart": False})
    client = r.peer.create_client(Trigger, "/sartm/segment/reload")
    r.until(client.service_is_ready, "service")
    future = client.call_async(Trigger.Request())
    r.until(future.done, "answer")
    assert not future.result().success and "configure" in future.result().message


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
    expected = "another model was loaded meanwhile" if configured_again else "cleaned up meanwhile"
    assert not future.result().success and expected in future.result().message
    assert r.node.model.name == "third" if configured_again else r.node.model is None
