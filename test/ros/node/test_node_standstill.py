"""After a stop of the process, and while an engine compiles: no old mask, and the state says what is going on."""

from __future__ import annotations

import signal
import threading

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: pip install '.[ros]', or source a distro")
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image

from sartm_ros.frames.filling import write_pixels
from sartm_ros.health.beat import STANDSTILL_S
from test.ros.fake_segmenter import SECONDS
from test.ros.processes import stamp_ns
from test.ros.rig import FRAME_NS

pytestmark = pytest.mark.alone

STOPPED = 80
"""Pairs sent while the process is stopped, 20 a second."""
ALLOWED = 20
"""So many pairs old a mask may be: a second, on a machine that has other things to do."""


class Cameras:
    """Two publishers of a listener; the stamp of a pair tells its number."""

    def __init__(self, node) -> None:
        self._publishers = [
            node.create_publisher(Image, f"/sartm/{stream}/image_raw", qos_profile_sensor_data)
            for stream in ("rgb", "thermal")
        ]
        self._clock, self.sent = node.get_clock(), 0
        self._begin = self._clock.now().nanoseconds
        self._pause = threading.Event()

    def send(self) -> None:
        """One pair, and the time until the next one."""
        self.sent += 1
        for publisher, shape in zip(self._publishers, ((48, 64, 3), (20, 30)), strict=True):
            pixels = np.random.default_rng(self.sent).integers(0, 255, shape, np.uint8)
            message = write_pixels(Image(), pixels, "rgb8" if len(shape) == 3 else "mono8")
            stamp = self._begin + self.sent * FRAME_NS
            message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp, 1_000_000_000)
            publisher.publish(message)
        self._pause.wait(FRAME_NS / 1e9)

    def number(self, mask) -> int:
        return round((stamp_ns(mask) - self._begin) / FRAME_NS)


def test_after_sigstop_and_sigcont_no_old_mask_is_published(domain, monkeypatch):
    """What was in the model when the process was stopped came when it went on."""
    monkeypatch.setenv(SECONDS, "0.3")
    with domain.listener() as listener, domain.process("test.ros.fake_segmenter") as node:
        masks, cameras = listener.hear("/sartm/semantic_mask", Image), Cameras(listener)

        def until(count: int) -> None:
            for _ in range(2000):
                if len(masks) >= count:
                    return
                cameras.send()
            raise AssertionError(f"{len(masks)} of {count} masks; {node.output}")

        until(5)
        node.interrupt_with(signal.SIGSTOP)
        cameras.send()
        before = len(masks)
        for _ in range(STOPPED):
            cameras.send()
        resumed = cameras.sent
        node.interrupt_with(signal.SIGCONT)
        until(before + 5)
        ages = [resumed - cameras.number(mask) for mask in masks[before:]]
        assert max(ages) <= ALLOWED, ages
        node.wait_for(lambda: "nothing ran here for" in node.output)


def test_while_an_engine_compiles_the_state_says_so_and_the_old_mask_is_dropped(rig):
    """It was `no masks: the model does not answer`, restart the node."""
    r = rig()
    r.hang_after(2)
    r.fake.compiling = "640x512"
    r.stream_until(lambda: r.states[-1] == "compiling for 640x512", "the state")
    r.fake.compilations += 1
    calls, reports = len(r.fake.calls), len(r.diagnostics)
    r.stream_until(lambda: len(r.diagnostics) >= reports + 4, "the model's usual patience")
    assert r.states[-1] == "compiling for 640x512" and r.diagnostics[-1].status[0].level == b"\x01"
    assert len(r.fake.calls) == calls and not r.logs.having("does not answer")
    before, begun = len(r.masks), r.clock_ns
    r.fake.compiling = ""
    r.fake.gate.set()
    r.stream_until(lambda: r.states[-1] == "ok", "recovery")
    r.masks_after(1)
    assert all(stamp_ns(mask) >= begun - 3 * FRAME_NS for mask in r.masks[before:])
    assert r.logs.having("info: masks come again")


def test_a_pair_that_is_in_the_model_when_all_stands_still_is_not_lost(rig):
    """Nothing newer comes. It was dropped in silence; the state was `no input`."""
    r = rig()
    r.ready()
    r.masks_after(1)
    r.until(lambda: stamp_ns(r.masks[-1]) == r.clock_ns, "all masks")
    r.fake.gate = threading.Event()
    calls = len(r.fake.calls)
    r.send()
    r.until(lambda: len(r.fake.calls) > calls, "the pair in the model")
    stand_still()
    r.until(lambda: r.logs.having("nothing ran here for"), "the end of the standstill")
    r.fake.gate.set()
    r.until(lambda: stamp_ns(r.masks[-1]) == r.clock_ns, "the mask of the last pair")
    assert len(r.fake.calls) == calls + 2


def test_a_pair_that_comes_while_all_stands_still_is_not_lost(rig):
    r = rig()
    r.ready()
    r.masks_after(1)
    r.until(lambda: stamp_ns(r.masks[-1]) == r.clock_ns, "all masks")
    r.send()
    stand_still()
    r.until(lambda: stamp_ns(r.masks[-1]) == r.clock_ns, "the mask of the last pair")
    assert r.logs.having("nothing ran here for")


def stand_still() -> None:
    """The executor, which is this thread."""
    threading.Event().wait(1.2 * STANDSTILL_S)
