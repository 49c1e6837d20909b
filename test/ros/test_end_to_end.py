"""Replay node and segment node as processes over real DDS: cameras in, masks out. Nothing is mocked."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

pytest.importorskip("rclpy", reason="no ROS 2 here: pip install '.[ros]', or source a distro")
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import String

from sartm_core import SARTM, ModelConfig
from sartm_core.preprocess.config import PreprocessConfig
from test.core.conftest import stepped
from test.ros.processes import Domain, stamp_ns

pytestmark = pytest.mark.alone

CLASSES = ("unlabeled", "car", "person", "bike")
MASKS = 8


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hardly trained nano weights at a small input size: the path is under test, not the masks."""
    path = tmp_path_factory.mktemp("weights") / "nano.safetensors"
    model = stepped(SARTM(ModelConfig(backbone="hiera_nano", classes=CLASSES)))
    model.info = replace(model.info, preprocess=PreprocessConfig(input_size=(96, 128)))
    model.save(path)
    return path


def pixels(message: Image) -> np.ndarray:
    return np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)


def test_from_two_cameras_to_masks(tmp_path: Path, checkpoint: Path) -> None:
    domain = Domain(tmp_path)
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    node_args = ["--params-file", "config/segment.yaml", "-p", f"checkpoint:={checkpoint}", "-p", "threads:=1"]
    node_args += ["-p", "engine:=torch", "-p", "precision:=fp32"]  # the demos below take what auto picks
    replay_args = ["-p", "rate:=5.0", "-p", "loop:=true", "-p", "count:=12", "-p", "wait_for_subscribers:=true"]
    replay_args += ["-p", "rgb_frame_id:=left_eye"]
    with domain.listener() as listener:
        rgb = listener.hear("/sartm/rgb/image_raw", Image)
        masks = listener.hear("/sartm/semantic_mask", Image, 10)
        confidences = listener.hear("/sartm/confidence", Image, 10)
        overlays = listener.hear("/sartm/overlay", Image, 10)
        classes = listener.hear("/sartm/classes", String, latched)
        with domain.process("sartm_ros.segment_node", *node_args) as node:
            listener.wait_for(lambda: bool(classes))
            with domain.process("sartm_ros.replay_node", *replay_args) as replay:
                listener.wait_for(lambda: min(map(len, (rgb, masks, confidences, overlays))) >= MASKS)
                assert replay.interrupt() == 0
            assert node.interrupt() == 0
    assert "Traceback" not in node.output + replay.output
    assert [entry["name"] for entry in json.loads(classes[-1].data)["classes"]] == list(CLASSES)

    headers = {stamp_ns(message): message.header.frame_id for message in rgb}
    for message in (*masks, *confidences, *overlays):
        if stamp_ns(message) < min(headers):
            continue  # the replay found the node before this listener, which missed its first frames
        assert headers.get(stamp_ns(message)) == "left_eye"  # the rgb header, unchanged
        assert (message.width, message.height) == (640, 480)
    stamps = [stamp_ns(message) for message in masks]
    assert max(stamps) >= min(headers)
    assert stamps == sorted(set(stamps))  # one mask a frame, never an older one after a newer one
    assert {m.encoding for m in masks} == {m.encoding for m in confidences} == {"mono8"}
    assert {m.encoding for m in overlays} == {"rgb8"}
    for mask in masks:
        assert mask.step == 640 and len(mask.data) == 640 * 480
        assert set(np.unique(pixels(mask)).tolist()) <= {*range(len(CLASSES)), 255}
    for confidence in confidences:  # the winner of four classes has at least a quarter
        assert pixels(confidence).min() >= math.floor(255 / len(CLASSES)) - 1


def test_demo_on_a_folder(tmp_path: Path, checkpoint: Path) -> None:
    """`sartm demo --data DIR`: pairs with labels give IoU, pictures and a report; exit code 0."""
    data, out = tmp_path / "data", tmp_path / "out"
    rng = np.random.default_rng(0)
    for kind in ("rgb", "thermal", "labels"):
        (data / kind).mkdir(parents=True)
    for name in ("00001D", "00002D", "00003N", "00004N"):
        Picture.fromarray(rng.integers(0, 255, (96, 128, 3), np.uint8)).save(data / "rgb" / f"{name}.png")
        Picture.fromarray(rng.integers(0, 65535, (48, 64), np.uint16)).save(data / "thermal" / f"{name}.png")
        Picture.fromarray(rng.integers(0, 9, (96, 128), np.uint8)).save(data / "labels" / f"{name}.png")
    arguments = ("--data", str(data), "--output", str(out), "--checkpoint", str(checkpoint))
    with Domain(tmp_path).process("sartm_ros.demo", arguments=arguments) as demo:
        assert demo.wait(120) == 0, demo.output
    report = json.loads((out / "report.json").read_text())
    assert next(iter(report["phases"].values()))["masks"] == 4
    assert set(report["iou"]) == {"day", "night", "all"}
    assert report["foreign_stamps_or_wrong_masks"] == report["failures"] == []
    assert Picture.open(out / "contact.png").width == 4 * 320
    assert len(list((out / "overlays").glob("*.png"))) >= 1
    assert "IoU, percent" in demo.output
    assert "Traceback" not in demo.output


def test_ctrl_c_ends_the_demo_and_its_node(tmp_path: Path, checkpoint: Path) -> None:
    """Exit code 130, no traceback, and the node has ended in order."""
    out = tmp_path / "out"
    log = out / "node.log"
    arguments = ("--frames", "200", "--output", str(out), "--checkpoint", str(checkpoint))
    with Domain(tmp_path).process("sartm_ros.demo", arguments=arguments) as demo:
        demo.wait_for(lambda: log.is_file() and "listening to" in log.read_text())
        assert demo.interrupt() == 130
    assert "interrupted" in demo.output
    assert "Traceback" not in demo.output + log.read_text()


def test_demo_shows_why_the_node_died(tmp_path: Path) -> None:
    arguments = ("--frames", "2", "--output", str(tmp_path / "out"), "--checkpoint", "/no/such/file.safetensors")
    with Domain(tmp_path).process("sartm_ros.demo", arguments=arguments) as demo:
        assert demo.wait(60) == 1
    assert "the segment node ended with exit code 1" in demo.output
    assert "/no/such/file.safetensors" in demo.output  # the node's own words
    assert "Traceback" not in demo.output
