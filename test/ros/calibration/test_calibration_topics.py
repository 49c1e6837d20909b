"""Calibration on the topics of running cameras, over real DDS."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("rclpy", reason="no ROS 2 here: pip install '.[ros]', or source a distro")
pytest.importorskip("skimage", reason="no scikit-image here: pip install scikit-image")
from sartm_core.support.visualize import caption_height
from test.ros.processes import Domain

pytestmark = pytest.mark.alone

MODULE = "sartm_ros.calibrate"
W, H, w, h = 160, 120, 80, 60
POINTS = [(x, y) for x in (5, 30, 60, 75) for y in (5, 25, 55)]
"""Thermal pixels; their rgb pixels are twice as far."""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for kind in ("rgb", "thermal"):
        (tmp_path / "data" / kind).mkdir(parents=True)
    for index in range(2):
        Image.fromarray(rng.integers(0, 256, (H, W, 3), np.uint8)).save(tmp_path / "data" / "rgb" / f"{index}.png")
        counts = rng.integers(29000, 31000, (h, w)).astype(np.uint16)
        Image.fromarray(counts).save(tmp_path / "data" / "thermal" / f"{index}.png")
    lines = [f"{2 * x + 0.5},{2 * y + 0.5},{x},{y}" for x, y in POINTS]
    (tmp_path / "points.csv").write_text("\n".join(["rgb_x,rgb_y,thermal_x,thermal_y", *lines]))
    return tmp_path / "data"


def options(tmp_path: Path, *more: str) -> list[str]:
    return ["--topics", "--points", str(tmp_path / "points.csv"), "--output", str(tmp_path / "out"), *more]


def test_frames_of_the_replay_node_make_a_parameter_file(domain: Domain, data: Path, tmp_path: Path) -> None:
    replay = ["-p", f"source:={data}", "-p", "rate:=20.0", "-p", "loop:=true", "-r", "rgb/image_raw:=/front/color"]
    with (
        domain.process("sartm_ros.replay_node", *replay),
        domain.process(
            MODULE, "-r", "rgb/image_raw:=/front/color", arguments=options(tmp_path, "--frames", "2")
        ) as calibrate,
    ):
        assert calibrate.wait() == 0, calibrate.output
    result = json.loads((tmp_path / "out" / "registration.json").read_text())
    assert result["inputs"][:2] == ["pair_0", "pair_1"]
    assert result["registration"]["thermal_size"] == [w, h] and result["registration"]["rgb_size"] == [W, H]
    np.testing.assert_allclose(result["registration"]["homography"], [2, 0, 0.5, 0, 2, 0.5, 0, 0, 1], atol=1e-6)
    assert Image.open(tmp_path / "out" / "overlay.png").height == 2 * (H + caption_height(H))
    assert "Traceback" not in calibrate.output


def test_compressed_topics_are_found(domain: Domain, data: Path, tmp_path: Path) -> None:
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import CompressedImage

    with domain.listener() as cameras:
        publishers = []
        for kind in ("rgb", "thermal"):
            topic = f"/sartm/{kind}/image_raw/compressed"
            publisher = cameras.create_publisher(CompressedImage, topic, qos_profile_sensor_data)
            publishers.append((publisher, (data / kind / "0.png").read_bytes()))

        def send() -> None:
            stamp = cameras.get_clock().now().to_msg()
            for publisher, picture in publishers:
                message = CompressedImage(format="png")
                message.header.stamp = stamp
                message.data.frombytes(picture)
                publisher.publish(message)

        cameras.create_timer(0.05, send)
        with domain.process(MODULE, arguments=options(tmp_path, "--frames", "1")) as calibrate:
            assert calibrate.wait() == 0, calibrate.output
    assert json.loads((tmp_path / "out" / "registration.json").read_text())["registration"]["thermal_size"] == [w, h]


def test_gives_up_with_the_reason_when_nobody_publishes(domain: Domain, data: Path, tmp_path: Path) -> None:
    with domain.process(MODULE, arguments=options(tmp_path, "--timeout", "1", "--namespace", "rover")) as calibrate:
        assert calibrate.wait() == 1
    assert "nobody publishes on /rover/rgb/image_raw and /rover/thermal/image_raw" in calibrate.output
    assert "Traceback" not in calibrate.output


def test_stamps_too_far_apart_are_named(domain: Domain, data: Path, tmp_path: Path) -> None:
    replay = ["-p", f"source:={data}", "-p", "rate:=4.0", "-p", "loop:=true", "-p", "thermal_delay:=0.1"]
    with (
        domain.process("sartm_ros.replay_node", *replay),
        domain.process(MODULE, arguments=options(tmp_path, "--timeout", "4", "--tolerance", "0.01")) as calibrate,
    ):
        assert calibrate.wait() == 1
    assert "no two stamps are within 0.01 s (nearest 0." in calibrate.output
