"""`sartm bag play`: the replay node on a recording, heard over real DDS."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: pip install '.[ros]', or source a distro")
from sensor_msgs.msg import Image

from sartm_ros.bag import main
from test.ros.bag_files import Frame, drive, record, scene
from test.ros.processes import Domain, stamp_ns

pytestmark = pytest.mark.alone

RGB, THERMAL = "/sartm/rgb/image_raw", "/sartm/thermal/image_raw"
MODULE = "sartm_ros.bag"


def test_every_pair_of_a_recording_is_published_once(domain: Domain, tmp_path: Path) -> None:
    bag = record(tmp_path / "drive", drive(5))
    with domain.listener() as listener:
        rgb, thermal = listener.hear(RGB, Image), listener.hear(THERMAL, Image)
        ros_args = ("-p", "wait_for_subscribers:=true", "-p", "rgb_frame_id:=left")
        with domain.process(MODULE, *ros_args, arguments=["play", str(bag), "--rate", "20"]) as replay:
            listener.wait_for(lambda: len(rgb) == len(thermal) == 5)
            assert replay.wait() == 0
    assert [stamp_ns(m) for m in rgb] == [stamp_ns(m) for m in thermal] and rgb[0].header.frame_id == "left"
    for index in range(5):
        colors, counts = scene(index)
        assert np.array_equal(np.frombuffer(rgb[index].data, np.uint8), colors.ravel())
        assert np.array_equal(np.frombuffer(thermal[index].data, np.uint16), counts.ravel())
    assert "all 5 pairs published" in replay.output and "Traceback" not in replay.output


def test_a_recording_without_the_topic_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag = record(tmp_path / "drive", drive(2))
    with pytest.raises(SystemExit, match="2"):
        main(["play", str(bag), "--rgb-topic", "/nobody"])
    assert "--rgb-topic /nobody: no image topic of that name" in capsys.readouterr().err


def test_a_recording_that_does_not_pair_ends_with_the_reason(domain: Domain, tmp_path: Path) -> None:
    apart = [Frame(f.topic, f.stamp_s + 5 * (f.topic == "/flir/image_raw"), f.logged_s, f.content) for f in drive(3)]
    bag = record(tmp_path / "drive", apart)
    with domain.process(MODULE, arguments=["play", str(bag)]) as replay:
        assert replay.wait() == 1
    assert "no pairs within 50 ms" in replay.output and "Traceback" not in replay.output
