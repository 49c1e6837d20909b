"""Health counts what users lose, over real DDS: the state says the share of frames refused and why, until it ends."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: pip install '.[ros]', or source a distro")

from sartm_ros.health.pace import TOO_FEW
from test.ros.node.test_node_health import jpegs
from test.ros.rig import FRAME_NS, H, W

pytestmark = pytest.mark.alone

EVERY = 4
"""Every so many-th frame is bad."""


def truncated(r):
    message = r.rgb()
    del message.data[100:]
    return message


def wrong_size(r):
    message = r.rgb()
    message.width *= 2
    return message


def encoding_change(r):
    message = r.rgb()
    message.encoding = "rgb16"
    return message


def backwards(r):
    return r.rgb(skew_ns=-3 * FRAME_NS // 2)


def faulty(r, make):
    """Make every `EVERY`-th rgb frame of the rig a bad one; returns what, once emptied, ends that."""
    good, count, on = r.rgb, itertools.count(), [True]

    class Good:
        rgb = staticmethod(good)

    bad = type("Bad", (), {"rgb": staticmethod(good)})()
    r.rgb = lambda skew_ns=0: make(bad) if on and next(count) % EVERY == 0 else good(skew_ns)
    return on


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (truncated, "data has 100 bytes"),
        (wrong_size, "step is"),
        (encoding_change, "rgb16"),
        (backwards, "stamps go backwards"),
    ],
)
def test_a_share_of_refused_frames_is_told_with_its_reason_until_it_ends(rig, make, reason):
    r = rig()
    r.ready()
    r.masks_after(3)
    on = faulty(r, make)
    r.stream_until(lambda: "degraded: rgb" in r.states[-1], "the state")
    assert reason in r.states[-1] and 0.2 <= share_in(r.states[-1]) <= 0.34, r.states
    r.stream_until(lambda: r.numbers()["state"] == r.states[-1], "the diagnostics")
    whole, rgb, thermal = r.diagnostics[-1].status
    assert whole.level == rgb.level == b"\x01" and thermal.level == b"\x00" and reason in rgb.message
    assert 20 <= float(r.numbers()["rgb.refused_percent"]) <= 34 and r.numbers()["thermal.refused_percent"] == "0.00"
    assert r.logs.having("warning: state: degraded: rgb", reason)
    on.clear()
    r.stream_until(lambda: r.states[-1] == "ok", "recovery")
    assert r.logs.having("info: state: ok")


def share_in(state):
    return int(re.search(r"(\d+)% ", state).group(1)) / 100


def test_frames_that_cannot_be_decoded_now_and_then_are_told(rig):
    r = rig(cameras=("rgb",), parameters={"thermal_transport": "compressed", "frozen_timeout": 0.0})
    broken, count = jpegs(r, "thermal"), itertools.count()
    send = r.thermal

    def some(**kwargs):
        broken[:] = [True] if on and next(count) % EVERY == 0 else []
        return send(**kwargs)

    on = [True]
    r.thermal = some
    r.ready()
    r.stream_until(lambda: "degraded: thermal" in "".join(r.states[-1:]), "the state")
    assert "cannot decode" in r.states[-1] and share_in(r.states[-1]) <= 0.5
    on.clear()
    r.stream_until(lambda: r.states[-1] == "ok", "recovery")


def test_a_camera_all_of_whose_frames_are_refused_is_not_called_silent(rig):
    r = rig()
    r.ready()
    r.masks_after(2)
    good, r.rgb = r.rgb, lambda skew_ns=0: truncated(type("R", (), {"rgb": staticmethod(good)})())
    r.stream_until(lambda: r.node.monitor.mode == "thermal", "masks from thermal alone")
    r.stream_until(lambda: len(r.masks) and r.masks[-1].header.frame_id == "thermal_optical", "one of them")
    assert "degraded: rgb 100% refused: image 64x48, encoding 'bgr8': data has 100 bytes" in r.states[-1], r.states


def test_frames_that_do_not_pair_now_and_then_are_told(rig):
    r = rig()
    r.ready()
    r.masks_after(3)
    good, count, on = r.rgb, itertools.count(), [True]
    r.rgb = lambda skew_ns=0: good(FRAME_NS * 2 // 5 if on and next(count) % EVERY == 0 else 0)
    r.node.set_parameters([tolerance(0.01)])
    r.stream_until(lambda: "of frames do not pair: no partner" in r.states[-1], "the state")
    assert r.states[-1].startswith("degraded: ") and 0.15 <= share_in(r.states[-1]) <= 0.5
    on.clear()
    r.stream_until(lambda: r.states[-1] == "ok", "recovery")


def tolerance(seconds):
    from rclpy.parameter import Parameter

    return Parameter("sync.tolerance", value=seconds)


def test_fewer_masks_than_frames_are_told_and_a_slow_model_is_not(rig, monkeypatch):
    """Three of four answers never reach a topic, whatever the reason."""
    r = rig()
    r.ready()
    r.masks_after(10)
    deliver, count, on = r.node.delivery.deliver, itertools.count(), [True]
    monkeypatch.setattr(
        r.node.delivery, "deliver", lambda *args: None if on and next(count) % EVERY else deliver(*args)
    )
    r.stream_until(lambda: r.states[-1] == TOO_FEW, "the state")
    r.stream_until(lambda: "masks come at" in r.diagnostics[-1].status[0].message, "the numbers")
    on.clear()
    r.stream_until(lambda: r.states[-1] == "ok", "recovery")


def test_swapped_cameras_are_warned_of_once(rig):
    r = rig()
    assert H % 8 == W % 8 == 0
    rng = np.random.default_rng(0)
    heat = np.repeat(rng.integers(0, 255, (H, W, 1), np.uint8), 3, axis=2)
    colors = rng.integers(0, 255, (20, 30, 3), np.uint8)
    r.rgb = lambda skew_ns=0: r.image(heat, "rgb8", "rgb_optical", r.clock_ns)
    r.thermal = lambda: r.image(colors, "bgr8", "thermal_optical", r.clock_ns)
    r.ready()
    r.masks_after(5)
    said = "rgb (/sartm/rgb/image_raw) is grey and thermal (/sartm/thermal/image_raw) is in colour: are the two cameras"
    assert len(r.logs.having("warning", said)) == 1
    r.stream_until(lambda: said in r.numbers()["swapped"], "the diagnostics")
    assert said in r.diagnostics[-1].status[0].message


def test_right_cameras_are_not_called_swapped(rig):
    r = rig()
    rng = np.random.default_rng(0)
    r.thermal = lambda: r.image(rng.integers(0, 255, (20, 30, 3), np.uint8), "bgr8", "thermal_optical", r.clock_ns)
    r.rgb = lambda skew_ns=0: r.image(rng.integers(0, 255, (H, W, 3), np.uint8), "rgb8", "rgb_optical", r.clock_ns)
    r.ready()
    r.masks_after(5)
    r.stream_until(lambda: r.diagnostics, "diagnostics")
    assert not r.logs.having("swapped?") and r.numbers()["swapped"] == ""
