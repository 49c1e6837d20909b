"""What the node does not do unless somebody asks for it, and when it did what it did."""

from __future__ import annotations

from dataclasses import asdict

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: pip install '.[ros]', or source a distro")
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from std_msgs.msg import String

from sartm_ros.inference.timing import from_json
from sartm_ros.node import delivery
from test.ros.processes import stamp_ns
from test.ros.rig import RELIABLE

pytestmark = pytest.mark.alone

TOPIC = "/sartm/segment/timing"


def test_the_steps_of_each_mask_are_told_in_their_order(rig):
    r = rig()
    told: list[String] = []
    r.peer.create_subscription(String, TOPIC, told.append, RELIABLE)
    r.ready()
    r.until(r.node.outputs.timing_wanted, "a listener")
    r.masks_after(3)
    r.until(lambda: len(told) >= 3, "timings")
    masks = {stamp_ns(mask) for mask in r.masks}
    for message in told[:3]:
        t, content = from_json(message.data)
        moments = list(asdict(t).values())
        assert moments[0] > 0 and moments == sorted(moments)
        assert content["stamp_ns"] in masks and content["model_ms"] == {"forward": 1.0}
        assert 0 <= content["waited_s"] < 10


def test_without_a_listener_no_timing_is_written(rig, monkeypatch):
    r = rig()
    written: list[object] = []
    monkeypatch.setattr(delivery, "to_json", lambda *args: written.append(args))
    r.ready()
    r.masks_after(3)
    assert written == []


def test_confidence_is_asked_of_the_model_only_for_a_listener(rig):
    r = rig()
    r.ready()
    r.masks_after(2)
    assert not any(request.confidence for request in r.fake.requests)
    heard: list[Image] = []
    r.peer.create_subscription(Image, "/sartm/confidence", heard.append, RELIABLE)
    r.stream_until(lambda: heard, "a confidence")
    assert r.fake.requests[-1].confidence and set(heard[0].data) == {200}


def test_decoding_ahead_is_for_models_that_leave_the_cpu_alone(rig):
    r = rig()
    r.ready()

    def ahead(choice: str, device: str) -> bool:
        r.fake.device = device
        assert r.node.set_parameters([Parameter("decode_ahead", value=choice)])[0].successful
        return r.node.delivery.ahead()

    assert [ahead("auto", device) for device in ("cpu", "cuda:0")] == [False, True]
    assert ahead("always", "cpu") and not ahead("never", "cuda:0")


def test_masks_of_frames_decoded_ahead(rig):
    r = rig(parameters={"decode_ahead": "always"})
    r.ready()
    masks = r.masks_after(10)
    stamps = [stamp_ns(mask) for mask in masks]
    assert stamps == sorted(set(stamps))


def test_the_log_and_the_diagnostics_say_what_runs_the_model(rig):
    r = rig()
    r.fake.engine, r.fake.precision, r.fake.choice = "openvino", "bf16", "engine openvino (fastest on cpu), bf16"
    r.ready()
    assert r.logs.having("info", "model fake: engine openvino (fastest on cpu), bf16")
    r.stream_until(lambda: r.diagnostics and r.numbers().get("model.engine"), "diagnostics")
    assert (r.numbers()["model.engine"], r.numbers()["model.precision"]) == ("openvino", "bf16")
