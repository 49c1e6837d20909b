"""Adapters side by side: the parameter `adapter` switches between two frames, and each mask is of one of them."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: pip install '.[ros]', or source a distro")
import torch
from fake_segmenter import FakeSegmenter
from rclpy.parameter import Parameter
from rig import LATCHED
from std_msgs.msg import String
from std_srvs.srv import Trigger

from sartm_core import SARTM, ModelConfig, Segmenter
from sartm_core.preprocess import PreprocessConfig
from sartm_ros.model import load_segmenter

PLAIN = {"device": "cpu", "engine": "torch", "precision": "fp32"}
CLASSES = ("unlabeled", "car", "person")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Three trained files of one base; the last one has other classes."""
    folder, found = tmp_path_factory.mktemp("adapters"), {}
    for seed, (name, classes) in enumerate(
        {"urban": CLASSES, "underground": CLASSES, "sea": ("unlabeled", "boat")}.items()
    ):
        torch.manual_seed(0)
        model = SARTM(ModelConfig(backbone="hiera_nano", classes=classes))
        torch.manual_seed(seed)
        for key, parameter in model.named_parameters():
            if "lora_b" in key or key.startswith("mask_decoder"):
                torch.nn.init.normal_(parameter, std=0.2)
        model.info = replace(model.info, preprocess=PreprocessConfig(input_size=(64, 96)))
        found[name] = model.save(folder / f"{name}.safetensors", kind="full")
    return found


def set_adapter(r, name: str):
    return r.node.set_parameters([Parameter("adapter", value=name)])[0]


def pixels(message) -> np.ndarray:
    return np.frombuffer(message.data, np.uint8).reshape(message.height, message.width)


def test_masks_change_between_two_frames_to_those_of_the_file_alone(rig, files) -> None:
    parameters = {"checkpoint": str(files["urban"]), "adapters": str(files["underground"]), "warmup": False, **PLAIN}
    r = rig(load=load_segmenter, parameters=parameters)
    rgb = np.full((48, 64, 3), 100, np.uint8)  # what the rig's cameras send
    thermal = np.arange(20 * 30, dtype=np.uint16).reshape(20, 30)
    alone = {name: Segmenter.load(files[name], **PLAIN)(rgb, thermal).mask for name in ("urban", "underground")}
    assert not np.array_equal(alone["urban"], alone["underground"])
    r.ready()
    assert all(np.array_equal(pixels(mask), alone["urban"]) for mask in r.masks_after(2))
    for name, expected in (("underground", "underground"), ("checkpoint", "urban")):
        assert set_adapter(r, name).successful
        count = len(r.masks)
        r.stream_until(lambda count=count: len(r.masks) > count + 3, "masks")
        which = [next(n for n, mask in alone.items() if np.array_equal(pixels(m), mask)) for m in r.masks[count:]]
        assert which == sorted(which, key=lambda n: n == expected) and which[-1] == expected  # old ones first, if any
        r.stream_until(lambda expected=expected: r.numbers()["model.name"] == expected, "diagnostics")
    assert r.numbers()["model.adapters"] == "urban, underground"


def test_one_that_is_not_loaded_is_refused_and_named(rig) -> None:
    r = rig()
    r.ready()
    result = set_adapter(r, "forest")
    assert not result.successful and "adapter: got 'forest', loaded are" in result.reason
    assert r.node.get_parameter("adapter").value == "checkpoint"
    assert r.masks_after(1)


def with_other(classes: tuple[str, ...]) -> FakeSegmenter:
    model = FakeSegmenter("urban")
    model.others["sea"] = FakeSegmenter("sea", classes=classes)
    return model


def test_other_classes_need_to_be_allowed_and_are_told(rig) -> None:
    r = rig(load=lambda values: with_other(("unlabeled", "boat")))
    told: list[dict] = []
    r.peer.create_subscription(String, "/sartm/classes", lambda m: told.append(json.loads(m.data)), LATCHED)
    r.ready()
    refused = set_adapter(r, "sea")
    assert not refused.successful and "allow_class_change" in refused.reason
    assert r.node.set_parameters([Parameter("allow_class_change", value=True)])[0].successful
    assert set_adapter(r, "sea").successful
    r.until(lambda: told and told[-1]["model"] == "sea", "classes")
    assert [entry["name"] for entry in told[-1]["classes"]] == ["unlabeled", "boat"]
    fake = r.node.model
    r.stream_until(lambda: fake.requests and fake.requests[-1].adapter == "sea", "a frame for the other adapter")


def test_an_adapter_that_was_never_loaded_stops_the_start(rig) -> None:
    r = rig(parameters={"adapter": "forest", "autostart": False})
    from rclpy.lifecycle import TransitionCallbackReturn

    assert r.node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert r.logs.having("error", "adapter: got 'forest'")


def test_a_reload_without_the_adapter_in_use_is_refused(rig) -> None:
    models = iter([with_other(("unlabeled", "car")), FakeSegmenter("new")])
    r = rig(load=lambda values: next(models), parameters={"adapter": "sea"})
    r.ready()
    client = r.peer.create_client(Trigger, "/sartm/segment/reload")
    r.until(client.service_is_ready, "service")
    future = client.call_async(Trigger.Request())
    r.stream_until(future.done, "reload")
    assert not future.result().success and "adapter: got 'sea'" in future.result().message
    assert r.node.model.name == "urban" and r.masks_after(1)


def test_missing_files_are_refused_when_they_are_set(rig, tmp_path) -> None:
    r, there = rig(), tmp_path / "there.safetensors"
    there.touch()
    result = r.node.set_parameters([Parameter("adapters", value=f"{there}, gone.safetensors")])[0]
    assert not result.successful and "adapters: got 'gone.safetensors'" in result.reason
