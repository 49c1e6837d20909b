"""The segment node over real DDS: cameras that freeze, send broken pictures, or lose them; models that hang."""

from __future__ import annotations

import io
import itertools
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image as PilImage

pytest.importorskip("rclpy", reason="no ROS 2 here: pip install '.[ros]', or source a distro")
from sensor_msgs.msg import CompressedImage

from sartm_ros.frames import transport
from test.ros.node.test_inputs import SENDER
from test.ros.rig import H, W

pytestmark = pytest.mark.alone


def lively(r):
    """Make the rig's rgb camera send a new picture each time."""
    numbers = itertools.count()
    detail = np.arange(H * W * 3, dtype=np.uint8).reshape(H, W, 3)  # uniform pictures show nothing
    r.rgb = lambda skew_ns=0: r.image(
        detail + np.uint8(next(numbers) % 250), "bgr8", "rgb_optical", r.clock_ns + skew_ns
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
    r.thermal = lambda: still(np.arange(600, dtype=np.uint16).reshape(20, 30) + np.uint16(next(values)))
    r.stream_until(lambda: "ok" in r.states[-1:], "recovery")
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
            lambda: r.logs.having("warning", "rgb", "the middleware lost", f"{transport.variable()}="),
            "the cause",
            seconds=60.0,
        )
    finally:
        driver.send_signal(signal.SIGINT)
        driver.wait(20)


def jpegs(r, stream):
    """Make a camera of the rig send JPEG, another picture each time; returns what, once filled, truncates them."""
    raw, broken, numbers = getattr(r, stream), [], itertools.count()

    def send(**kwargs):
        size = (H, W, 3) if stream == "rgb" else (20, 30)
        buffer = io.BytesIO()
        noise = np.random.default_rng(next(numbers)).integers(0, 255, size, np.uint8)
        PilImage.fromarray(noise).save(buffer, "JPEG")
        content = buffer.getvalue()
        message = CompressedImage(header=raw(**kwargs).header, format="jpeg")
        message.data.frombytes(content[: len(content) // 2] if broken else content)
        return message

    setattr(r, stream, send)
    r.plug(stream, CompressedImage)
    return broken


@pytest.mark.parametrize(("stream", "left"), [("rgb", "thermal"), ("thermal", "rgb")])
def test_truncated_jpegs_degrade_to_the_other_camera(rig, stream, left):
    """Their headers are good, so the state was `ok` for ever, without masks."""
    parameters = {f"{stream}_transport": "compressed", "degraded.timeout": 0.4, "degraded.recovery": 0.3}
    r = rig(cameras=(left,), parameters={**parameters, "frozen_timeout": 0.0})
    broken = jpegs(r, stream)
    r.ready()
    r.masks_after(2)
    broken.append(True)
    r.stream_until(lambda: f"degraded: {stream} unusable" in r.states[-1:], "degraded state")
    alone = r.masks_after(3)[-1]
    assert alone.header.frame_id == f"{left}_optical"
    assert (alone.height, alone.width) == ((H, W) if left == "rgb" else (20, 30))
    rgb, thermal = r.fake.calls[-1]
    assert (rgb is None) == (stream == "rgb") and (thermal is None) == (stream == "thermal")
    r.stream_until(lambda: "cannot decode" in r.diagnostics[-1].status[0].message, "the cause in the diagnostics")
    assert int(r.numbers()[f"{stream}.refused"]) > 3 and r.logs.having("error", f"{stream}: ", "cannot decode")
    broken.clear()
    r.stream_until(lambda: "ok" in r.states[-1:], "recovery")
    r.stream_until(lambda: all(frame is not None for frame in r.fake.calls[-1]), "pairs again")


def test_truncated_jpegs_without_degraded_mode_are_an_error(rig):
    parameters = {"rgb_transport": "compressed", "degraded.timeout": 0.4, "degraded.enabled": False}
    r = rig(cameras=("thermal",), parameters={**parameters, "frozen_timeout": 0.0})
    broken = jpegs(r, "rgb")
    broken.append(True)
    r.ready()
    r.stream_until(lambda: "no masks: rgb unusable" in r.states[-1:], "state")
    assert not r.masks and not r.fake.calls
    broken.clear()
    r.stream_until(lambda: "ok" in r.states[-1:], "recovery")
    r.masks_after(1)


def test_a_model_that_always_fails_is_said_to(rig, monkeypatch):
    """The state was `ok` for ever."""
    r = rig()
    r.ready()

    def broken(requests):
        raise RuntimeError("CUDA error: an illegal memory access")

    with monkeypatch.context() as patch:
        patch.setattr(r.fake, "batch", broken)
        r.stream_until(lambda: "no masks: the model fails" in r.states[-1:], "state")
        r.stream_until(lambda: "illegal memory access" in r.diagnostics[-1].status[0].message, "the cause")
        assert r.diagnostics[-1].status[0].level == b"\x02"
    r.stream_until(lambda: "ok" in r.states[-1:], "recovery")
    r.masks_after(1)


def test_a_model_that_hangs_is_said_to(rig):
    """The state was `ok` for ever."""
    r = rig()
    r.hang_after(2)
    r.stream_until(lambda: "no masks: the model does not answer" in r.states[-1:], "state")
    r.stream_until(lambda: "the model has not answered for" in r.diagnostics[-1].status[0].message, "the cause")
    assert r.diagnostics[-1].status[0].level == b"\x02"
    r.fake.gate.set()
    r.stream_until(lambda: "ok" in r.states[-1:], "recovery")
    r.masks_after(1)
