"""The segment node over real DDS with cameras that freeze, repeat one message, or lose their images on the way."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: pip install '.[ros]', or source a distro")
from rig import H, W
from test_inputs import SENDER

from sartm_ros import transport


def lively(r):
    """Make the rig's rgb camera send a new picture each time."""
    numbers = itertools.count()
    r.rgb = lambda skew_ns=0: r.image(
        np.full((H, W, 3), next(numbers) % 250, np.uint8), "bgr8", "rgb_optical", r.clock_ns + skew_ns
    )


def test_a_frozen_thermal_camera_is_left_out_until_its_picture_moves(rig):
    r = rig()
    lively(r)
    r.ready()
    r.stream_until(lambda: "degraded: thermal frozen" in r.states, "frozen")
    r.stream_until(lambda: r.fake.calls[-1][1] is None, "masks from rgb alone")
    r.stream_until(lambda: r.numbers()["state"] == "degraded: thermal frozen", "diagnostics")
    r.stream_until(lambda: r.logs.having("warning", "thermal", "sends the same picture for"), "the cause")
    values = itertools.count()
    still = r.thermal
    r.thermal = lambda: still(np.full((20, 30), next(values), np.uint16))
    r.stream_until(lambda: r.states[-1] == "ok", "recovery")
    r.stream_until(lambda: r.fake.calls[-1][1] is not None, "pairs again")


def test_a_driver_that_repeats_one_message_is_named(rig):
    r = rig()
    r.ready()
    r.clock_ns += 1
    stuck = r.thermal()
    stuck.header.stamp.sec -= 100
    r.stream_until(
        lambda: r.logs.having("warning", "no masks: frames do not pair", "thermal stamps do not advance"),
        "the cause",
        thermal=stuck,
    )


def test_a_camera_without_the_profile_is_named_though_nothing_of_it_arrives(rig):
    r = rig(cameras=("thermal",))
    r.until(lambda: r.node.intake.cameras, "active")
    if not r.node.intake.cameras["rgb"].link().fastdds:
        pytest.skip("about Fast DDS")
    environment = {k: v for k, v in os.environ.items() if k not in transport.USER_VARIABLES}
    driver = subprocess.Popen([sys.executable, "-c", SENDER], env=environment | {"ROS_DOMAIN_ID": str(r.domain)})
    try:
        r.stream_until(
            lambda: r.logs.having("warning", "degraded: rgb silent", "the middleware lost", f"{transport.VARIABLE}="),
            "the cause",
            seconds=60.0,
        )
    finally:
        driver.send_signal(signal.SIGINT)
        driver.wait(20)
