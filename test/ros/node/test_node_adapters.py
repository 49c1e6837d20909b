"""Adapters side by side: the parameter `adapter` switches between two frames, and each mask is of one of them."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: pip install '.[ros]', or source a distro")
import torch
from rclpy.parameter import Parameter
from std_msgs.msg import String
from std_srvs.srv import Trigger

from sartm_core import SARTM, ModelConfig, Segmenter
from sartm_core.preprocess.config import PreprocessConfig
from sartm_ros.inference.jobs import Request
from sartm_ros.node.parameter_checks import adapters
from sartm_ros.node.parameters import SPECS
from sartm_ros.node.settings import Settings
from sartm_ros.node.weights import load_segmenter
from test.ros.fake_segmenter import DEADLINE_S, FakeSegmenter
from test.ros.rig import LATCHED

pytestmark = pytest.mark.alone

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
    response = r.reload()
    assert not response.success and "the new weights do not fit: adapter: got 'sea'" in response.message
    assert r.node.model.name == "urban" and r.masks_after(1)


def test_what_comes_by_reload_may_bring_other_adapters(rig) -> None:
    new = FakeSegmenter("new")
    new.others["snow"] = FakeSegmenter("snow")
    models = iter([with_other(("unlabeled", "car")), new])
    r = rig(load=lambda values: next(models))
    r.ready()
    r.masks_after(1)
    assert r.reload().success and r.node.model.adapters == ("new", "snow")
    assert set_adapter(r, "snow").successful and not set_adapter(r, "sea").successful


def test_an_adapter_set_during_a_reload_does_not_bring_other_classes(rig) -> None:
    """Regression: classes were compared at the beginning of the reload only."""
    new, go_on = with_other(("unlabeled", "boat")), threading.Event()
    models = iter([with_other(("unlabeled", "car")), new])
    loaded: list[FakeSegmenter] = []

    def load(values):
        if loaded:
            go_on.wait(DEADLINE_S)
        loaded.append(next(models))
        return loaded[-1]

    trial, tried = threading.Event(), threading.Event()
    new.check = lambda rgb, thermal: (tried.set(), trial.wait(DEADLINE_S))
    r = rig(load=load)
    r.ready()
    r.masks_after(1)
    client = r.peer.create_client(Trigger, "/sartm/segment/reload")
    r.until(client.service_is_ready, "service")
    future = client.call_async(Trigger.Request())
    r.until(lambda: r.node.reloader.last == "loading", "the reload")
    go_on.set()
    r.until(tried.is_set, "the trial, after the classes were compared")
    assert set_adapter(r, "sea").successful
    trial.set()
    r.stream_until(future.done, "the end of the reload")
    assert not future.result().success and "allow_class_change" in future.result().message
    assert r.node.model is loaded[0]


def test_a_frame_under_way_through_a_reload_to_a_file_of_another_name_gets_its_mask(files) -> None:
    """Regression: the name of the old file went with the frame, and the new model did not know it."""
    values = {spec.name: spec.default for spec in SPECS} | PLAIN | {"warmup": False}
    before, after = (load_segmenter(values | {"checkpoint": str(files[name])}) for name in ("urban", "underground"))
    adapter = Settings.of(values, before).adapter
    request = Request(np.zeros((64, 96, 3), np.uint8), None, adapter=adapter)
    assert [model.batch([request])[0].adapter for model in (before, after)] == ["urban", "underground"]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("{a}, {b}", "are both called 'weights'; give a name: NAME="),
        ("checkpoint={a}", "cannot be called 'checkpoint'"),
    ],
)
def test_names_that_do_not_tell_apart_are_refused(rig, tmp_path, text, part) -> None:
    """Every training calls its file weights.safetensors."""
    paths = {name: tmp_path / name / "weights.safetensors" for name in "ab"}
    for path in paths.values():
        path.parent.mkdir()
        path.touch()
    r = rig()
    result = r.node.set_parameters([Parameter("adapters", value=text.format(**paths))])[0]
    assert not result.successful and part in result.reason
    named = Parameter("adapters", value=f"town={paths['a']}, wood={paths['b']}")
    assert r.node.set_parameters([named])[0].successful
    assert adapters(r.node.values) == {"town": str(paths["a"]), "wood": str(paths["b"])}


def test_missing_files_are_refused_when_they_are_set(rig, tmp_path) -> None:
    r, there = rig(), tmp_path / "there.safetensors"
    there.touch()
    result = r.node.set_parameters([Parameter("adapters", value=f"{there}, gone.safetensors")])[0]
    assert not result.successful and "adapters: got 'gone.safetensors'" in result.reason
