"""What a camera topic tells over real DDS: publishers, QoS, messages lost on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: pip install '.[ros]', or source a distro")
import rclpy
from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from sensor_msgs.msg import Image

from sartm_ros.frames import transport
from sartm_ros.health import explain
from sartm_ros.health.vitals import Vitals
from sartm_ros.node import inputs
from sartm_ros.pairing.nearest import RGB
from test.ros.bench import VALUES, Bench

pytestmark = pytest.mark.alone

SENDER = """
import time, rclpy
from contextlib import suppress
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node("camera")
publisher = node.create_publisher(Image, "/sartm/rgb/image_raw", qos_profile_sensor_data)
message = Image(height=720, width=1280, step=1280 * 3, encoding="bgr8")
message.data.frombytes(bytes(720 * 1280 * 3))
with suppress(Exception):
    for _ in range(3000):
        publisher.publish(message)
        time.sleep(0.033)
"""
"""A camera as most are: it knows nothing of the Fast DDS profile. Ends by SIGINT, or after 100 s."""


@pytest.fixture
def bench(monkeypatch):
    made = Bench(monkeypatch)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("offered", "asked", "expected"),
    [
        ({}, {}, ""),
        (
            {"reliability": ReliabilityPolicy.BEST_EFFORT},
            {"reliability": ReliabilityPolicy.RELIABLE},
            "reliability best_effort, this node asks for reliable",
        ),
        (
            {"durability": DurabilityPolicy.VOLATILE},
            {"durability": DurabilityPolicy.TRANSIENT_LOCAL},
            "durability volatile, this node asks for transient_local",
        ),
        ({}, {"deadline": Duration(seconds=1)}, "deadline none, this node asks for 1 s"),
        ({"deadline": Duration(seconds=2)}, {"deadline": Duration(seconds=1)}, "deadline 2 s, this node asks for 1 s"),
    ],
)
def test_policies_that_clash_are_named_on_both_sides(offered, asked, expected):
    assert inputs.clashes(QoSProfile(depth=1, **offered), QoSProfile(depth=1, **asked)) == expected


def camera(node, got=None, **values):
    take = got.append if got is not None else (lambda message: None)
    return inputs.Camera(node, RGB, VALUES | values, lambda stream, message, at: take(message), lambda stream: None)


def test_a_topic_without_publisher_names_others_that_have_one(bench):
    listening = camera(bench.node)
    other = bench.node.create_publisher(Image, "/own/mask", 1)
    peer = rclpy.create_node("driver", context=bench.context)
    there = peer.create_publisher(Image, "/cam/image", qos_profile_sensor_data)
    bench.until(lambda: listening.link().candidates, "the driver in the graph")
    link = listening.link()
    assert link.candidates == ("/cam/image",) and link.publishers == 0, "not what the node itself publishes"
    assert there and other
    listening.close()
    peer.destroy_node()


def test_a_middleware_that_cannot_tell_of_losses(bench, monkeypatch):
    create = bench.node.create_subscription

    def without(*args, event_callbacks, **rest):
        if event_callbacks.message_lost:
            raise inputs.UnsupportedEventTypeError("message_lost")
        return create(*args, event_callbacks=event_callbacks, **rest)

    monkeypatch.setattr(bench.node, "create_subscription", without)
    listening = camera(bench.node)
    assert listening.lost is None and listening.topic == "/sartm/rgb/image_raw"
    listening.close()


def test_a_count_of_losses_that_ran_over_is_no_count(bench):
    """Regression: after messages of absurd sizes the log told of 18446744071562067968 lost ones."""
    listening = camera(bench.node)
    for count, told in ((3, 3), (2**64 - 2**31, None), (4, None)):
        listening._on_lost(SimpleNamespace(total_count=count))
        assert listening.lost == told
    listening.close()


def test_images_that_do_not_fit_the_camera_processs_shared_memory_are_counted_as_lost(bench):
    """720p from a driver that runs without the profile: nothing arrives, and the node knows that and why."""
    got = []
    listening = camera(bench.node, got)
    if not listening.link().fastdds:
        pytest.skip("about Fast DDS")
    domain = str(bench.context.get_domain_id())
    environment = {k: v for k, v in os.environ.items() if k not in transport.USER_VARIABLES} | {"ROS_DOMAIN_ID": domain}
    driver = subprocess.Popen([sys.executable, "-c", SENDER], env=environment)
    seen = Vitals()
    seen.mark_lost(0)
    try:
        bench.until(lambda: (listening.lost or 0) >= 5 or driver.poll() is not None, "messages reported as lost")
        seen.mark_lost(listening.lost)
        out = explain.explain_silence(listening.link(), 1.5, seen, heard=False, refusing=False)
    finally:
        driver.send_signal(signal.SIGINT)
        driver.wait(20)
        listening.close()
    assert "the middleware lost" in out and "_DEFAULT_PROFILES_FILE=" in out and "fastdds.xml" in out
