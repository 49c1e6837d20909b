"""The segment node's two cameras: one lost, late, skewed, jumping in time; and why nothing pairs."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: pip install '.[ros]', or source a distro")
import rclpy
from builtin_interfaces.msg import Time
from rclpy.qos import qos_profile_sensor_data
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage

from test.ros.processes import stamp_ns
from test.ros.rig import H, W

pytestmark = pytest.mark.alone


@pytest.mark.parametrize(("lost", "left"), [("thermal", "rgb"), ("rgb", "thermal")])
def test_one_camera_goes_on_alone_and_both_come_back(rig, lost, left):
    r = rig(parameters={"degraded.timeout": 0.4})
    r.ready()
    r.masks_after(2)
    r.unplug(lost)
    r.stream_until(lambda: f"degraded: {lost} silent" in r.states, "degraded state")
    alone = r.masks_after(3)[-1]
    assert alone.header.frame_id == f"{left}_optical"
    assert (alone.height, alone.width) == ((H, W) if left == "rgb" else (20, 30))
    rgb, thermal = r.fake.calls[-1]
    assert (rgb is None) == (lost == "rgb") and (thermal is None) == (lost == "thermal")
    assert r.logs.having("warning", f"{lost} silent")
    r.plug(lost)
    r.stream_until(lambda: r.states[-1] == "ok", "recovery")
    r.stream_until(lambda: all(frame is not None for frame in r.fake.calls[-1]), "pairs again")
    assert r.masks_after(2)[-1].header.frame_id == "rgb_optical"
    stamps = [stamp_ns(m) for m in r.masks if m.header.frame_id == "rgb_optical"]
    assert len(stamps) == len(set(stamps)), "one mask per rgb frame at most"


def test_the_frame_that_waits_for_the_camera_that_is_lost_gets_its_mask(rig):
    """It was dropped with the pairing's queue."""
    r = rig(parameters={"degraded.timeout": 0.5})
    r.ready()
    r.masks_after(2)
    seen = r.node.monitor.vitals["thermal"]
    r.until(lambda: time.monotonic() - seen.last_good > 0.3, "half of the time that thermal may be silent")
    r.send(thermal=False)
    r.until(lambda: stamp_ns(r.masks[-1]) == r.clock_ns, "its mask")
    assert r.fake.calls[-1][1] is None
    r.until(lambda: "degraded: thermal silent" in r.states, "the state")


def changing(r):
    """Let the pictures of both cameras of a rig change with every frame; returns what freezes one of them."""
    frozen: set[str] = set()
    rgb, thermal = r.rgb, r.thermal
    count = itertools.count()

    def new_rgb(**kwargs):
        message = rgb(**kwargs)
        message.data[0] = 0 if "rgb" in frozen else next(count) % 256
        return message

    r.rgb = new_rgb
    gradient = np.arange(20 * 30, dtype=np.uint16).reshape(20, 30)  # a uniform picture is no evidence
    r.thermal = lambda: thermal(gradient + np.uint16(0 if "thermal" in frozen else 1 + next(count)))
    return frozen


def test_a_frozen_camera_counts_as_gone_until_its_picture_moves(rig):
    r = rig(parameters={"frozen_timeout": 0.3, "degraded.recovery": 0.2})
    frozen = changing(r)
    r.ready()
    r.masks_after(2)
    frozen.add("thermal")
    r.stream_until(lambda: r.states[-1] == "degraded: thermal frozen", "frozen state")
    r.stream_until(lambda: r.fake.calls[-1][1] is None, "masks of rgb alone")
    frozen.clear()
    r.stream_until(lambda: r.states[-1] == "ok", "recovery")
    r.stream_until(lambda: r.fake.calls[-1][1] is not None, "pairs")


def test_a_still_scene_freezes_nobody(rig):
    r = rig(parameters={"frozen_timeout": 0.2})
    r.ready()
    good = r.node.monitor.vitals["thermal"]
    r.stream_until(lambda: good.good > 20, "a second of equal frames of both cameras")
    assert set(r.states) <= {"loading", "inactive", "ok", "unconfigured"}, r.states


def test_the_ros_clock_going_back_clears_what_waits(rig):
    r = rig()
    r.ready()
    r.masks_after(1)
    r.send(thermal=False)
    r.until(lambda: len(r.node.intake.pairer), "a waiting frame")
    r.node.intake._on_clock_jump(None)
    assert len(r.node.intake.pairer) == 0 and r.node.intake.pairer.counters.dropped["rgb"]["backward_jump"] == 1
    r.masks_after(1)


def test_a_clock_message_that_goes_back_reaches_the_pairing(rig):
    r = rig(parameters={"use_sim_time": True})
    clock = r.peer.create_publisher(Clock, "/clock", 10)
    r.ready()
    for second in (100, 101, 50):
        r.until(
            lambda s=second: (
                clock.publish(Clock(clock=Time(sec=s))) or r.node.get_clock().now().nanoseconds == s * 1_000_000_000
            ),
            "the clock",
        )
    r.until(lambda: r.logs.having("info", "clock went backwards"), "the jump")
    r.masks_after(1)


def test_cameras_that_start_late_are_not_taken_for_lost(rig):
    r = rig(parameters={"degraded.timeout": 0.3})
    r.ready()
    r.until(lambda: r.states and r.states[-1] == "no input: rgb and thermal silent", "silence noticed")
    r.masks_after(3)
    assert all(rgb is not None and thermal is not None for rgb, thermal in r.fake.calls)
    assert not any("degraded" in state for state in r.states)


def test_cameras_slower_than_the_timeout_still_fuse(rig):
    r = rig(parameters={"degraded.timeout": 0.1})
    r.ready()
    # The first frames show how slow the cameras are; no mask after them may come from one camera alone.
    r.stream_until(lambda: all(v.good >= 3 for v in r.node.monitor.vitals.values()), "frames", period=0.3)
    before = len(r.fake.calls)
    r.stream_until(lambda: len(r.fake.calls) >= before + 4, "masks", period=0.3)
    assert all(rgb is not None and thermal is not None for rgb, thermal in r.fake.calls[before + 1 :])
    assert r.node.monitor.mode == "both"


def test_degraded_mode_can_be_off(rig):
    r = rig(parameters={"degraded.enabled": False, "degraded.timeout": 0.3}, cameras=("rgb",))
    r.ready()
    r.stream_until(lambda: r.states and r.states[-1] == "no masks: thermal silent", "state")
    r.stream_until(lambda: r.node.monitor.vitals["rgb"].good > 20, "frames")
    assert not r.masks


def test_simulated_time_without_a_clock_does_not_stop_it(rig):
    r = rig(parameters={"use_sim_time": True, "degraded.timeout": 0.4})
    r.ready()
    r.masks_after(2)
    r.unplug("thermal")
    r.stream_until(lambda: "degraded: thermal silent" in r.states, "degraded state by the steady clock")
    r.masks_after(2)
    r.stream_until(lambda: r.diagnostics, "diagnostics")


def test_a_bag_that_loops_goes_on(rig):
    r = rig()
    r.ready()
    r.masks_after(3)
    r.clock_ns -= 600_000_000_000
    late = r.masks_after(3)
    assert all(m.header.stamp.sec < 500 for m in late)
    assert r.node.intake.pairer.counters.resets >= 1


def test_a_constant_offset_makes_skewed_cameras_pair(rig):
    r = rig(parameters={"sync.thermal_offset": -0.02, "sync.tolerance": 0.005})
    original = r.rgb
    r.rgb = lambda: original(skew_ns=-20_000_000)
    r.ready()
    r.masks_after(3)
    assert r.node.intake.pairer.counters.skews_ns[-1] == 0


@pytest.mark.parametrize("case", ["no publisher", "skew", "qos", "type", "stopped"])
def test_it_says_why_nothing_pairs(rig, request, case):
    cameras = ("rgb",) if case in ("no publisher", "type") else ("rgb", "thermal")
    parameters = {}
    if case == "qos":
        parameters["qos.thermal.reliability"] = "reliable"
    if case == "skew":
        parameters["sync.tolerance"] = 0.005
    r = rig(parameters=parameters, cameras=cameras)
    if case == "type":  # one DDS participant cannot have two types on a topic, so this camera needs its own
        foreign = rclpy.Context()
        rclpy.init(context=foreign, domain_id=r.domain)
        request.addfinalizer(foreign.try_shutdown)
        camera = rclpy.create_node("compressed_camera", context=foreign)
        camera.create_publisher(CompressedImage, "/sartm/thermal/image_raw", qos_profile_sensor_data)
    if case == "skew":
        original = r.rgb
        r.rgb = lambda: original(skew_ns=-20_000_000)
    r.until(lambda: r.node.intake.cameras and r.publishers["rgb"].get_subscription_count(), "discovery")
    if case == "stopped":
        r.stream_until(lambda: r.masks, "first mask")
        r.publishers.pop("thermal")
    expected = {
        "no publisher": ("/sartm/thermal/image_raw", "no publisher"),
        "skew": ("stamps differ by 20.0 ms", "sync.thermal_offset: -0.020"),
        "qos": ("incompatible QoS", "best_effort", "reliable", "qos.thermal.reliability"),
        "type": ("sensor_msgs/msg/CompressedImage", "thermal_transport"),
        "stopped": ("/sartm/thermal/image_raw", "stopped sending"),
    }[case]
    r.stream_until(lambda: r.logs.having("warning", *expected), f"warning with {expected}", seconds=4.0)
