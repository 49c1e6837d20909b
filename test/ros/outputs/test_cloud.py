"""The labelled cloud, over real DDS: right points, or none and the reason."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: pip install '.[ros]', or source a distro")
from sensor_msgs.msg import PointCloud2

from sartm_core.scene.cloud import POINT
from sartm_ros.companions.topics import DEPTH, RGB_INFO
from test.ros.beside import FOCAL, METRES, Beside, camera_info
from test.ros.processes import stamp_ns
from test.ros.rig import H, W

pytestmark = pytest.mark.alone


@pytest.mark.parametrize("encoding", ["16UC1", "32FC1"])
def test_points_are_where_depth_says(rig, encoding):
    r = rig(parameters={"thermal.unit": "kelvin"})
    warm, original = np.linspace(300, 310, 600, dtype=np.float32).reshape(20, 30), r.thermal
    r.thermal = lambda: original(warm, "32FC1")
    beside = Beside(r, RGB_INFO, DEPTH)
    beside.sent[DEPTH] = beside.plain_depth(encoding)
    heard = beside.hear("cloud", PointCloud2)
    r.ready()
    message = beside.next(heard)
    assert (message.width, message.height, message.header.frame_id) == (W, H, "rgb_optical")
    r.until(lambda: stamp_ns(message) in {stamp_ns(mask) for mask in r.masks}, "the mask of its stamp")
    assert [field.name for field in message.fields] == list(POINT.names) and not message.is_dense
    assert (message.point_step, message.row_step) == (POINT.itemsize, POINT.itemsize * W)
    points = np.frombuffer(message.data, POINT).reshape(H, W)
    assert np.isnan(points["z"][:, 0]).all() and np.allclose(points["z"][:, 1:], METRES)
    assert points["x"][0, -1] == pytest.approx((W - 1) / 2 / FOCAL * METRES)
    assert (points["label"].ravel()[1:] == 1).all()
    assert points["confidence"][1, 1] == 200
    assert (points["temperature"] >= 300).all()
    assert points["rgb"].view(np.uint32)[0, 0] == 0x646464


def test_without_a_unit_points_have_no_temperature(rig):
    r = rig()
    beside = Beside(r, RGB_INFO, DEPTH)
    message = beside.next(beside.hear("cloud", PointCloud2))
    assert np.isnan(np.frombuffer(message.data, POINT)["temperature"]).all()


def test_depth_of_another_size_gives_no_cloud_and_the_reason(rig):
    r = rig()
    beside = Beside(r, RGB_INFO, DEPTH)
    beside.sent[DEPTH] = beside.plain_depth(size=(W // 2, H // 2))
    heard = beside.hear("cloud", PointCloud2)
    r.ready()
    beside.missing("cloud: depth: got 32x24, expected the mask's 64x48", "align")
    assert not heard and r.masks


def test_depth_of_another_time_gives_no_cloud_and_the_reason(rig):
    r = rig()
    beside = Beside(r, RGB_INFO, DEPTH)
    beside.off_ns = -2_000_000_000
    heard = beside.hear("cloud", PointCloud2)
    r.ready()
    beside.missing("cloud: the depth image nearest to the rgb frame is", "ms older, depth.tolerance is 20 ms")
    assert not heard
    beside.off_ns = 10_000_000
    beside.next(heard, "a cloud of a depth image 10 ms off")


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ((RGB_INFO,), "cloud: no depth image so far on /sartm/depth/image_raw (1 publisher)"),
        ((DEPTH,), "cloud: no camera_info so far on /sartm/rgb/camera_info"),
    ],
)
def test_what_is_missing_is_named(rig, sent, reason):
    r = rig()
    beside = Beside(r, *sent)
    heard = beside.hear("cloud", PointCloud2)
    r.ready()
    beside.missing(reason)
    assert not heard


def test_depth_in_a_strange_encoding_is_named(rig):
    r = rig()
    beside = Beside(r, RGB_INFO, DEPTH)
    beside.sent[DEPTH] = r.image(np.zeros((H, W), np.uint8), "mono8", "d", 0)
    beside.hear("cloud", PointCloud2)
    r.ready()
    beside.missing("encoding 'mono8': expected one of 16UC1, mono16, 32FC1 for depth")


def test_a_camera_that_was_not_calibrated_gives_no_cloud(rig):
    r = rig()
    beside = Beside(r, RGB_INFO, DEPTH)
    beside.sent[RGB_INFO] = camera_info((W, H), focal=0.0)
    beside.hear("cloud", PointCloud2)
    r.ready()
    beside.missing("cloud: /sartm/rgb/camera_info: camera:", "not calibrated")
