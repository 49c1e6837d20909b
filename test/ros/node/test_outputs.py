"""What goes out, over real DDS: exact masks, remapped ids, colours and names, and no work for topics nobody hears."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image as PilImage

pytest.importorskip("rclpy", reason="no ROS 2 here: pip install '.[ros]', or source a distro")
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header, String

from sartm_core.support.classes import MFNET
from sartm_core.support.visualize import overlay, thermal_to_gray
from sartm_ros.companions.companions import Companions
from sartm_ros.frames.images import parse
from sartm_ros.node import outputs, parameters
from sartm_ros.node.class_map import ClassMap
from sartm_ros.node.settings import Settings
from sartm_ros.outputs import pictures, scene
from sartm_ros.outputs.scene import Scene
from sartm_ros.outputs.table import TABLE, Output
from test.ros.fake_segmenter import DEADLINE_S
from test.ros.processes import new_domain

pytestmark = pytest.mark.alone

H, W = 24, 32
PLAIN = ClassMap.parse("none", MFNET.names, MFNET.palette)
REMAP = ClassMap.parse("bike=person, car=10, curve=ignore", MFNET.names, MFNET.palette)
RGB = np.random.default_rng(1).integers(0, 256, (H, W, 3), dtype=np.uint8)
THERMAL = np.random.default_rng(2).integers(28000, 31000, (H, W), dtype=np.uint16)
MASK = np.random.default_rng(3).choice(np.array([*range(9), 255], np.uint8), (H, W))
RESULT = SimpleNamespace(
    mask=MASK, confidence=np.random.default_rng(4).integers(0, 256, (H, W), dtype=np.uint8), scores=None, drawn={}
)
KINDS = {"semantic_mask": Image, "semantic_mask/compressed": CompressedImage, "confidence": Image, "overlay": Image}
SETTINGS = Settings.of({spec.name: spec.default for spec in parameters.SPECS})


class Bench:
    """An active lifecycle node with `Outputs`, and a listener beside it."""

    def __init__(self, table: Any = TABLE) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=new_domain())
        self.node = LifecycleNode("segment", namespace="sartm", context=self.context)
        self.outputs = outputs.Outputs(self.node, table)
        self.companions = Companions(self.node)
        self.node.trigger_configure()
        self.node.trigger_activate()
        self.peer = rclpy.create_node("peer", namespace="sartm", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.peer)
        self.heard: dict[str, list[Any]] = {}
        self.header = Header(frame_id="rgb_optical")
        self.header.stamp.sec, self.header.stamp.nanosec = 5, 6

    def listen(self, *topics: str) -> None:
        """Subscribe, and wait until the node knows it."""
        before = self.outputs.subscribers()
        for topic in topics:
            self.heard[topic] = []
            self.peer.create_subscription(KINDS[topic], topic, self.heard[topic].append, 10)
        self.until(lambda: self.outputs.subscribers() == before + len(topics))

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, f"not in time; heard {self.heard}"
            self.executor.spin_once(timeout_sec=0.01)

    def publish(self, class_map: ClassMap = PLAIN, rgb: Any = RGB, result: Any = RESULT) -> dict[str, Any]:
        """Publish one result; what came out of each topic listened to."""
        for messages in self.heard.values():
            messages.clear()
        self.outputs.publish(self.scene(class_map, rgb, result))
        self.until(lambda: all(self.heard.values()))
        return {topic: messages[0] for topic, messages in self.heard.items()}

    def scene(self, class_map: ClassMap = PLAIN, rgb: Any = RGB, result: Any = RESULT) -> Scene:
        settings = replace(SETTINGS, class_map=class_map)
        return Scene(self.header, rgb, THERMAL, result, settings, self.companions, self.outputs.alarm)

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        self.peer.destroy_node()
        rclpy.try_shutdown(context=self.context)


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


def pixels(message: Any) -> np.ndarray:
    if isinstance(message, CompressedImage):
        with PilImage.open(io.BytesIO(message.data)) as picture:
            assert picture.format == "PNG" and picture.mode == "L"
            return np.asarray(picture)
    frame = parse(message, "rgb", "topic")
    return frame.rgb() if message.encoding == "rgb8" else frame.rgb()[..., 0]


def test_every_output_carries_the_exact_pixels_under_the_cameras_header(bench):
    bench.listen(*KINDS)
    out = bench.publish()
    for message in out.values():
        assert message.header == bench.header
    assert np.array_equal(pixels(out["semantic_mask"]), MASK) and out["semantic_mask"].encoding == "mono8"
    assert np.array_equal(pixels(out["semantic_mask/compressed"]), MASK)
    assert out["semantic_mask/compressed"].format == "mono8; png compressed "
    assert np.array_equal(pixels(out["confidence"]), RESULT.confidence)
    assert np.array_equal(pixels(out["overlay"]), overlay(RGB, MASK, MFNET.palette, 0.5))


def test_remapped_ids_reach_mask_png_and_overlay(bench):
    bench.listen(*KINDS)
    out = bench.publish(REMAP)
    expected = REMAP.apply(MASK)
    assert not np.array_equal(expected, MASK)
    assert np.array_equal(pixels(out["semantic_mask"]), expected)
    assert np.array_equal(pixels(out["semantic_mask/compressed"]), expected)
    shown = pixels(out["overlay"])
    assert np.array_equal(shown, overlay(RGB, expected, REMAP.palette, 0.5))
    curve = np.isin(MASK, MFNET.names.index("curve"))
    assert np.array_equal(shown[curve], RGB[curve]), "ignored classes stay clear"
    assert np.array_equal(pixels(out["confidence"]), RESULT.confidence)


def test_the_overlay_of_a_thermal_camera_alone(bench):
    bench.listen("overlay")
    shown = pixels(bench.publish(rgb=None)["overlay"])
    assert np.array_equal(shown, overlay(thermal_to_gray(THERMAL), MASK, MFNET.palette, 0.5))


def test_pictures_that_a_gpu_drew_are_sent_as_they_are(bench):
    drawn = {name: np.full((H, W, 3), value, np.uint8) for value, name in enumerate(("overlay", "color_mask"), 1)}
    bench.listen("overlay")
    sent = bench.publish(result=SimpleNamespace(**{**vars(RESULT), "drawn": drawn}))
    assert np.array_equal(pixels(sent["overlay"]), drawn["overlay"])
    one = pictures.color_mask(Image(), bench.scene(result=SimpleNamespace(**{**vars(RESULT), "drawn": drawn})))
    assert np.array_equal(pixels(one), drawn["color_mask"])


@pytest.mark.parametrize("topic", [one.name for one in TABLE])
def test_nothing_is_computed_for_topics_without_subscribers(topic):
    """Of every output: made for its own subscribers alone, and what it needs is asked for then alone."""
    calls: list[str] = []

    def counted(one: Output) -> Output:
        return replace(one, make=lambda message, scene: calls.append(one.name))

    bench = Bench([counted(one) for one in TABLE])
    try:
        output = next(one for one in TABLE if one.name == topic)
        kind = outputs.message_type(output)
        bench.outputs.publish(bench.scene())
        assert not calls and not bench.outputs.wanted() and not bench.outputs.needs()
        if kind is None:
            pytest.skip(f"{output.package} is not installed (a ROS distro has it)")
        bench.peer.create_subscription(kind, topic, lambda message: None, 10)
        bench.until(bench.outputs.wanted)
        bench.outputs.publish(bench.scene())
        assert calls == [topic] and bench.outputs.subscribers() == 1
        assert bench.outputs.needs() == set(output.needs)
    finally:
        bench.close()


def test_what_is_costly_is_made_once_for_all_outputs_of_a_frame(bench, monkeypatch):
    made: list[str] = []
    original = scene.objects
    monkeypatch.setattr(scene, "objects", lambda *args: made.append("objects") or original(*args))
    one = bench.scene()
    assert [found.name for found in one.objects] == [found.name for found in one.objects] and made == ["objects"]


def test_classes_tell_the_published_ids(bench):
    heard: list[String] = []
    bench.outputs.classes(SimpleNamespace(name="nano"), 0.4, REMAP)
    bench.peer.create_subscription(String, "classes", heard.append, outputs.LATCHED)  # latched: later is early enough
    bench.until(lambda: bool(heard))
    told = json.loads(heard[0].data)
    assert (told["model"], told["unlabelled"]) == ("nano", 255)
    assert [c["id"] for c in told["classes"]] == [0, 2, 5, 6, 7, 8, 10]
    assert told["classes"][1] == {"id": 2, "name": "person+bike", "color": [64, 64, 0]}
    assert told["classes"][-1] == {"id": 10, "name": "car", "color": [64, 0, 128]}


def test_label_info_tells_the_published_ids(bench):
    vision_msgs = pytest.importorskip("vision_msgs.msg", reason="vision_msgs is not installed (a ROS distro has it)")
    if not hasattr(vision_msgs, "LabelInfo"):
        pytest.skip("this vision_msgs is older than 4.1, it has no LabelInfo")
    heard: list[Any] = []
    bench.outputs.label_info(SimpleNamespace(name="nano"), 0.5, REMAP)
    bench.peer.create_subscription(vision_msgs.LabelInfo, "label_info", heard.append, outputs.LATCHED)
    bench.until(lambda: bool(heard))
    assert heard[0].threshold == 0.5
    assert [(c.class_id, c.class_name) for c in heard[0].class_map][:2] == [(0, "unlabeled"), (2, "person+bike")]
