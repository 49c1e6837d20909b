"""What a review found in the segment node, each as a test: the state lied, the process ended, ids were mixed."""

from __future__ import annotations

import threading

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: pip install '.[ros]', or source a distro")
from rclpy.parameter import Parameter
from std_srvs.srv import Trigger

from sartm_ros import segment_node
from sartm_ros.node.lifecycle import StartupError
from test.ros.fake_segmenter import DEADLINE_S, FakeSegmenter

pytestmark = pytest.mark.alone


def gated_load(later: FakeSegmenter, go_on: threading.Event, first: FakeSegmenter):
    """A `load` that gives `first`, then waits for `go_on` and gives `later`."""
    models = iter([lambda: first, lambda: go_on.wait(DEADLINE_S) and later])
    return lambda values: next(models)()


def call_reload(r):
    """Begin ~/reload over DDS; the future of its answer."""
    client = r.peer.create_client(Trigger, "/sartm/segment/reload")
    r.until(client.service_is_ready, "service")
    return client.call_async(Trigger.Request())


def test_a_mask_of_the_old_model_never_follows_the_classes_of_the_new_one(rig):
    old = FakeSegmenter("old", gate=threading.Event())
    new = FakeSegmenter("new", classes=("unlabeled", "tram"))
    models = iter([old, new])
    r = rig(load=lambda values: next(models), parameters={"allow_class_change": True})
    r.ready()
    r.stream_until(lambda: old.batches, "the old model to be busy")
    future = call_reload(r)
    r.until(future.done, "reload while the old model works")
    assert future.result().success
    old.gate.set()
    r.stream_until(lambda: new.batches and r.masks, "masks of the new model")
    assert len(r.masks) <= len(new.calls), "the old model's mask was published under the new classes"


def test_a_manager_that_shuts_down_while_loading_is_obeyed(rig):
    go_on = threading.Event()
    r = rig(load=lambda values: go_on.wait(DEADLINE_S) and FakeSegmenter())
    r.until(lambda: "loading" in r.states, "loading")
    assert r.node.trigger_shutdown() == segment_node.SUCCESS
    go_on.set()
    r.until(lambda: r.states[-1] == "finalized", "state")
    seen = len(r.diagnostics)
    r.until(lambda: len(r.diagnostics) > seen, "the node lives on")


def test_a_manager_that_configures_while_loading_takes_over(rig):
    go_on = threading.Event()
    r = rig(load=lambda values: go_on.wait(DEADLINE_S) and FakeSegmenter())
    r.until(lambda: "loading" in r.states, "loading")
    threading.Timer(0.05, go_on.set).start()
    assert r.node.trigger_configure() == segment_node.SUCCESS
    seen = len(r.diagnostics)
    r.until(lambda: len(r.diagnostics) > seen + 1, "the node lives on, inactive")
    assert r.states[-1] == "inactive"
    assert r.node.trigger_activate() == segment_node.SUCCESS
    r.ready()
    r.masks_after(1)


@pytest.mark.parametrize("where", ["message", "health", "diagnostics"])
def test_a_bug_in_a_callback_costs_this_call_and_is_told(rig, monkeypatch, where):
    r = rig()
    r.ready()
    r.masks_after(1)

    def broken(*args, **kwargs):
        raise RuntimeError("CUDA error: device-side assert triggered")

    with monkeypatch.context() as patch:
        target = {
            "message": (r.node.intake.pairer, "push"),
            "health": (r.node.monitor, "check"),
            "diagnostics": (r.fake, "memory_mb"),
        }[where]
        patch.setattr(*target, broken)
        r.stream_until(lambda: r.logs.having("error", "device-side assert"), "the error")
    r.masks_after(2)
    r.stream_until(lambda: int(r.numbers()["internal_errors"]) >= 1, "diagnostics")


def test_the_oom_fallback_is_live(rig, monkeypatch):
    r = rig()
    r.fake.device = "cuda:0"
    r.ready()
    r.masks_after(1)
    assert r.node.set_parameters([Parameter("oom_fallback", value="inactive")])[0].successful

    def hungry(requests):
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(r.fake, "batch", hungry)
    r.stream_until(lambda: r.states[-1].startswith("inactive: the GPU ran out of memory"), "state")


def test_weights_set_during_a_reload_are_refused_with_the_reason(rig, tmp_path):
    path = tmp_path / "c.safetensors"
    path.touch()
    go_on = threading.Event()
    r = rig(load=gated_load(FakeSegmenter("b"), go_on, FakeSegmenter("a")))
    r.ready()
    future = call_reload(r)
    r.until(lambda: r.node.server.reloading, "loading")
    (result,) = r.node.set_parameters([Parameter("checkpoint", value=str(path))])
    assert not result.successful and "reload is under way" in result.reason
    go_on.set()
    r.until(future.done, "reload")
    assert future.result().success
    assert r.node.set_parameters([Parameter("checkpoint", value=str(path))])[0].successful


def test_a_hung_model_does_not_hang_the_node(rig):
    r = rig()
    r.fake.gate = threading.Event()
    r.ready()
    r.stream_until(lambda: r.fake.batches, "the model to hang")
    assert r.node.trigger_deactivate() == segment_node.SUCCESS
    r.fake.gate.set()


def test_activate_without_a_model_fails(rig):
    r = rig(parameters={"autostart": False})
    assert r.node.trigger_configure() == segment_node.SUCCESS
    r.node.server.leave(r.node)
    assert r.node.trigger_activate() == segment_node.FAILURE
    assert r.logs.having("error", "no model") and r.node.mailbox is None


def test_ctrl_c_in_the_middle_of_the_activation_is_no_failed_start(rig, monkeypatch):
    """Found by the soak: the signal came between `listening to` and the end of the transition; exit code 1."""
    r = rig()

    def interrupted():
        r.context.try_shutdown()
        return segment_node.FAILURE

    monkeypatch.setattr(r.node, "trigger_activate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        r.until(lambda: False, "the end")


def test_autostart_says_why_other_weights_are_refused_in_one_process(rig):
    first = rig(parameters={"autostart": False})
    first.node.server.users.append("another node")
    first.node.server.values = {**first.node.values, "checkpoint": "other"}
    with pytest.raises(StartupError, match="share one model"):
        first.node._autostart()
