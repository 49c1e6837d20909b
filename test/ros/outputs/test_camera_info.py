"""camera_info beside the outputs, over real DDS: of the right stamp, frame and size, or not at all."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: pip install '.[ros]', or source a distro")
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, Image

from sartm_ros.companions.topics import RGB_INFO
from test.ros.beside import Beside, camera_info
from test.ros.companions.test_info_file import TEXT
from test.ros.processes import stamp_ns
from test.ros.rig import H, W

pytestmark = pytest.mark.alone


def test_it_is_the_cameras_own_under_the_masks_header(rig):
    r = rig()
    beside = Beside(r, RGB_INFO)
    beside.sent[RGB_INFO].header.frame_id = "another"
    heard = beside.hear("camera_info", CameraInfo)
    r.ready()
    told = beside.next(heard)
    assert (told.width, told.height, told.header.frame_id) == (W, H, "rgb_optical")
    assert list(told.k) == list(beside.sent[RGB_INFO].k) and list(told.p) == list(beside.sent[RGB_INFO].p)
    r.until(lambda: stamp_ns(told) in {stamp_ns(mask) for mask in r.masks}, "the mask of its stamp")


def test_late_it_is_said_to_be_missing_until_it_comes(rig):
    r = rig()
    beside = Beside(r)
    heard = beside.hear("camera_info", CameraInfo)
    r.ready()
    beside.missing("camera_info: no camera_info so far on /sartm/rgb/camera_info (1 publisher)")
    assert not heard and r.masks
    assert r.diagnostics[-1].status[0].level == b"\x01"
    assert r.logs.having("warning: camera_info: no camera_info so far")
    beside.sent[RGB_INFO] = camera_info((W, H))
    assert beside.next(heard).width == W
    beside.complete()


def test_of_another_size_it_is_not_passed_on(rig):
    r = rig()
    beside = Beside(r)
    beside.sent[RGB_INFO] = camera_info((2 * W, 2 * H))
    heard = beside.hear("camera_info", CameraInfo)
    r.ready()
    beside.missing("/sartm/rgb/camera_info is of images of 128x96, those that come are 64x48")
    assert not heard


def test_a_binned_one_fits_the_images(rig):
    """The numbers of a CameraInfo are those of the sensor; binning says how its images come from it."""
    r = rig()
    beside = Beside(r)
    info = beside.sent[RGB_INFO] = camera_info((2 * W, 2 * H))
    info.binning_x = info.binning_y = 2
    told = beside.next(beside.hear("camera_info", CameraInfo))
    assert (told.width, told.binning_x, list(told.k)) == (2 * W, 2, list(info.k))


def test_it_is_listened_to_only_while_somebody_asks_for_it(rig):
    r = rig()
    beside = Beside(r, RGB_INFO)
    r.ready()
    r.masks_after(1)
    assert not beside.publishers[RGB_INFO].get_subscription_count()
    ear = r.peer.create_subscription(CameraInfo, "/sartm/camera_info", lambda message: None, 10)
    r.stream_until(beside.publishers[RGB_INFO].get_subscription_count, "a subscription")
    r.peer.destroy_subscription(ear)
    r.stream_until(lambda: not beside.publishers[RGB_INFO].get_subscription_count(), "its end")


def test_that_of_the_scores_is_scaled(rig):
    r = rig()
    beside = Beside(r, RGB_INFO)
    heard, scores = beside.hear("scores/camera_info", CameraInfo), beside.hear("scores", Image)
    r.ready()
    told = beside.next(heard)
    r.until(lambda: scores, "scores")
    assert (told.width, told.height) == (scores[-1].width, scores[-1].height) == (W // 4, H // 4)
    assert (scores[-1].encoding, scores[-1].header.frame_id) == ("32FC2", "rgb_optical")
    assert np.allclose(np.frombuffer(scores[-1].data, np.float32), 0.5)
    k = camera_info((W, H)).k
    assert told.k[0] == pytest.approx(k[0] / 4) and told.k[2] == pytest.approx((W / 4 - 1) / 2)


def test_without_rgb_there_is_none(rig):
    """A mask of the thermal camera alone has another camera's view."""
    r = rig(parameters={"degraded.timeout": 0.2})
    beside = Beside(r, RGB_INFO)
    heard = beside.hear("camera_info", CameraInfo)
    r.ready()
    beside.next(heard)
    r.stream_until(lambda: r.states[-1] == "degraded: rgb silent", "one camera", rgb=False)
    count = len(heard)
    start = len(r.masks)
    r.stream_until(lambda: len(r.masks) > start + 2, "masks of thermal", rgb=False)
    assert len(heard) == count


def test_a_file_stands_in_for_a_driver_that_publishes_none(rig, tmp_path):
    path = tmp_path / "rgb.yaml"
    path.write_text(TEXT.replace("640", str(W)).replace("512", str(H)))
    r = rig(parameters={"rgb_camera_info_url": str(path)})
    beside = Beside(r)
    heard = beside.hear("camera_info", CameraInfo)
    r.ready()
    told = beside.next(heard)
    assert (told.width, told.height, told.header.frame_id) == (W, H, "rgb_optical")
    assert told.k[0] == 500.5 and list(told.d) == [0.1, -0.05, 0.001, 0.002, 0.0]
    assert not r.peer.count_subscribers("/sartm/rgb/camera_info")
    path.unlink()
    assert r.node.set_parameters([Parameter("overlay_alpha", value=0.4)])[0].successful, "what was read stays"
    gone = r.node.set_parameters([Parameter("thermal_camera_info_url", value=str(tmp_path / "gone.yaml"))])[0]
    assert not gone.successful and "no file" in gone.reason
