"""Slower outputs beside the model's thread: the mask never waits for them, the newest frame's are made."""

from __future__ import annotations

import threading

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: pip install '.[ros]', or source a distro")
from sensor_msgs.msg import Image

from sartm_ros.node.aside import Aside
from sartm_ros.outputs import pictures
from test.ros.fake_segmenter import DEADLINE_S
from test.ros.processes import stamp_ns
from test.ros.rig import RELIABLE

pytestmark = pytest.mark.alone


def test_a_task_that_waits_is_dropped_for_the_next_and_an_error_is_told() -> None:
    errors: list[Exception] = []
    done: list[str] = []
    begun, going, ended = threading.Event(), threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        going.wait(DEADLINE_S)
        raise ValueError("slow")

    def last() -> None:
        done.append("last")
        ended.set()

    aside = Aside(errors.append)
    aside.put(lambda: done.append("before the start"))
    aside.start()
    aside.put(slow)
    assert begun.wait(DEADLINE_S)
    aside.put(lambda: done.append("overwritten"))
    aside.put(last)
    assert aside.dropped == 1
    going.set()
    assert ended.wait(DEADLINE_S)
    aside.stop()
    aside.stop()
    aside.put(last)
    assert done == ["last"] and [str(error) for error in errors] == ["slow"]


def test_masks_go_on_while_an_overlay_takes_its_time(rig, monkeypatch):
    begun, going = threading.Event(), threading.Event()
    draw = pictures.drawn

    def slow(*args):
        begun.set()
        assert going.wait(DEADLINE_S)
        return draw(*args)

    monkeypatch.setattr(pictures, "drawn", slow)
    r = rig()
    overlays: list[Image] = []
    r.peer.create_subscription(Image, "/sartm/overlay", overlays.append, RELIABLE)
    r.ready()
    r.stream_until(begun.is_set, "an overlay that is begun")
    r.masks_after(3)
    assert not overlays
    r.stream_until(lambda: r.node.delivery.aside.dropped >= 2, "overlays left out")
    r.stream_until(lambda: r.diagnostics and int(r.numbers()["dropped_outputs"]) >= 2, "drops in diagnostics")
    going.set()
    r.until(lambda: len(overlays) >= 2, "the overlay begun and that of the newest frame")
    stamps = [stamp_ns(mask) for mask in r.masks]
    assert stamps.index(stamp_ns(overlays[1])) - stamps.index(stamp_ns(overlays[0])) > 2
