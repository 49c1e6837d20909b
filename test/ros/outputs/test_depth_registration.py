"""`registration.mode: depth`, over real DDS: the depth of each frame reaches the model, or the homography does."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: pip install '.[ros]', or source a distro")
import importlib.util

from sartm_core.preprocess.parallax import DepthView
from sartm_core.preprocess.registration import Registration
from sartm_ros.companions.topics import DEPTH, RGB_INFO, THERMAL_INFO
from test.ros.beside import Beside, camera_info

pytestmark = pytest.mark.alone

SHIFTED = [1.0, 0.0, 0.0, 0.1, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0]
DEPTH_MODE = {"registration.mode": "depth", "registration.rgb_to_thermal": SHIFTED}
HOMOGRAPHY = {"registration.homography": [2.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 1.0]}


def last(r):
    """What the model got last as registration."""
    return r.fake.requests[-1].registration if r.fake.requests else None


def test_the_model_gets_the_depth_of_its_frame(rig):
    r = rig(parameters=DEPTH_MODE)
    beside = Beside(r, RGB_INFO, THERMAL_INFO, DEPTH)
    r.ready()
    r.stream_until(lambda: isinstance(last(r), DepthView), "registration through depth")
    cameras = last(r).cameras
    assert cameras.rgb_to_thermal[3] == 0.1 and cameras.fallback is None
    assert (cameras.rgb.size, cameras.thermal.size) == ((64, 48), (30, 20))
    assert last(r).coverage == pytest.approx(63 / 64)
    beside.complete()


def test_cropped_rows_are_taken_off_the_cameras_picture(rig):
    r = rig(parameters=DEPTH_MODE | {"thermal.crop_top": 2})
    Beside(r, RGB_INFO, THERMAL_INFO, DEPTH)
    r.ready()
    r.stream_until(lambda: isinstance(last(r), DepthView), "registration through depth")
    assert last(r).cameras.thermal.size == (30, 18) and last(r).cameras.thermal.centre[1] == 19 / 2 - 2


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ((RGB_INFO, THERMAL_INFO), "no depth image so far on /sartm/depth/image_raw"),
        ((RGB_INFO, DEPTH), "no camera_info so far on /sartm/thermal/camera_info"),
    ],
)
def test_the_homography_stands_in_and_the_reason_is_told(rig, sent, reason):
    r = rig(parameters=DEPTH_MODE | HOMOGRAPHY)
    beside = Beside(r, *sent)
    r.ready()
    beside.missing(f"registration: no depth (the homography instead): {reason}")
    assert isinstance(last(r), Registration) and last(r).matrix[0] == 2.0
    for name in (THERMAL_INFO, DEPTH):
        beside.sent[name] = beside.plain_depth() if name == DEPTH else camera_info((30, 20))
    r.stream_until(lambda: isinstance(last(r), DepthView), "registration through depth")
    assert last(r).cameras.fallback.matrix[0] == 2.0
    beside.complete()


def test_a_thermal_camera_of_another_size_is_told(rig):
    r = rig(parameters=DEPTH_MODE)
    beside = Beside(r, RGB_INFO, THERMAL_INFO, DEPTH)
    beside.sent[THERMAL_INFO] = camera_info((60, 40))
    r.ready()
    beside.missing("no depth (none instead)", "/sartm/thermal/camera_info is of images of 60x40", "30x20")
    assert last(r) is None


@pytest.mark.skipif(importlib.util.find_spec("tf2_ros") is not None, reason="tf2_ros is installed here")
def test_without_tf_the_homography_stands_in(rig):
    r = rig(parameters=DEPTH_MODE | HOMOGRAPHY | {"registration.extrinsic": "tf"})
    beside = Beside(r, RGB_INFO, THERMAL_INFO, DEPTH)
    r.ready()
    beside.missing("(the homography instead)", "tf2_ros is not installed", "set registration.extrinsic to parameter")
    assert isinstance(last(r), Registration)


def test_with_tf_the_extrinsic_comes_from_it_once_it_is_there(rig):
    tf2_ros = pytest.importorskip("tf2_ros", reason="tf2_ros comes with a ROS distro")
    from geometry_msgs.msg import TransformStamped

    r = rig(parameters=DEPTH_MODE | HOMOGRAPHY | {"registration.extrinsic": "tf"})
    beside = Beside(r, RGB_INFO, THERMAL_INFO, DEPTH)
    r.ready()
    beside.missing("(the homography instead)", "TF from rgb_optical to thermal_optical")
    assert isinstance(last(r), Registration)
    mounted = TransformStamped(child_frame_id="thermal_optical")
    mounted.header.frame_id = "rgb_optical"
    mounted.transform.translation.x = -0.25  # so a point is 0.25 m further right for the thermal camera
    tf2_ros.StaticTransformBroadcaster(r.peer).sendTransform(mounted)
    r.stream_until(lambda: isinstance(last(r), DepthView), "registration through depth")
    assert last(r).cameras.rgb_to_thermal == pytest.approx([1, 0, 0, 0.25, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1])
    beside.complete()


def test_a_matrix_that_is_no_rotation_is_refused(rig):
    from rclpy.parameter import Parameter

    r = rig()
    (answer,) = r.node.set_parameters([Parameter("registration.rgb_to_thermal", value=[2.0] * 16)])
    assert not answer.successful and "registration.rgb_to_thermal" in answer.reason
