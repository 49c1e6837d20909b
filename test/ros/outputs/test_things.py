"""Objects, temperatures and the fire watch, over real DDS."""

from __future__ import annotations

import json
import threading
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: pip install '.[ros]', or source a distro")
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from std_msgs.msg import Bool, String
from std_srvs.srv import Trigger

from sartm_ros.outputs import pictures, things
from test.ros.beside import Beside
from test.ros.fake_segmenter import DEADLINE_S
from test.ros.processes import stamp_ns
from test.ros.rig import H, W

pytestmark = pytest.mark.alone

COUNTS = np.full((20, 30), 29315, np.uint16)
"""Of a camera that counts hundredths of a kelvin: 293.15 K everywhere."""
CENTIKELVIN = {"thermal.unit": "centikelvin"}


def with_spot(counts: int) -> np.ndarray:
    """Four pixels of another temperature in the middle."""
    frame = COUNTS.copy()
    frame[8:10, 14:16] = counts
    return frame


def thermal(r, array: np.ndarray, encoding: str = "16UC1") -> None:
    """What the thermal camera sends from now on; a moving pixel, so that it does not count as frozen."""
    original = type(r).thermal

    def send():
        frame = array.copy()
        frame.flat[(r.clock_ns // 50_000_000) % 5] += 1
        return original(r, frame, encoding)

    r.thermal = send


def test_objects_carry_stamp_box_score_and_kelvin(rig):
    r = rig(parameters=CENTIKELVIN)
    thermal(r, with_spot(31015))
    beside = Beside(r)
    heard = beside.hear("objects_json", String)
    r.ready()
    told = json.loads(beside.next(heard).data)
    assert (told["frame_id"], told["size"], told["no_kelvin"]) == ("rgb_optical", [W, H], "")
    stamp = told["stamp"]["sec"] * 1_000_000_000 + told["stamp"]["nanosec"]
    r.until(lambda: stamp in {stamp_ns(mask) for mask in r.masks}, "the mask of its stamp")
    (car,) = told["objects"]
    assert (car["class"], car["id"], car["box"], car["pixels"]) == ("car", 1, [0, 0, W, H], W * H - 1)
    assert car["score"] == pytest.approx(200 / 255, abs=1e-3)
    assert car["kelvin"]["median"] == pytest.approx(293.15, abs=0.01)
    assert car["kelvin"]["max"] == pytest.approx(310.15, abs=0.01)


@pytest.mark.parametrize(
    ("parameters", "array", "encoding", "reason"),
    [
        ({}, COUNTS, "16UC1", "thermal.unit is unknown"),
        ({"thermal.unit": "kelvin"}, np.full((20, 30), 120, np.uint8), "mono8", "8 bits"),
        ({"thermal.unit": "kelvin"}, np.full((20, 30, 3), 120, np.uint8), "rgb8", "false colour"),
    ],
)
def test_without_a_unit_there_is_no_temperature(rig, parameters, array, encoding, reason):
    r = rig(parameters=parameters)
    thermal(r, array, encoding)
    beside = Beside(r)
    heard = beside.hear("objects_json", String)
    r.ready()
    told = json.loads(beside.next(heard).data)
    assert reason in told["no_kelvin"] and told["objects"][0]["kelvin"] is None


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [({"alarm.temperature": 350.0}, "hot_spots: thermal.unit is unknown"), (CENTIKELVIN, "alarm.temperature is 0")],
)
def test_hot_spots_say_what_they_lack(rig, parameters, reason):
    r = rig(parameters=parameters)
    beside = Beside(r)
    heard = beside.hear("hot_spots", String)
    r.ready()
    alarms = beside.hear("alarm", Bool, latched=True)
    beside.missing(reason, f"alarm: {reason.removeprefix('hot_spots: ')}")
    assert not heard and not alarms, "no all-clear without a watch"


def test_the_alarm_stays_until_it_is_reset(rig):
    r = rig(parameters=CENTIKELVIN | {"alarm.temperature": 350.0, "alarm.hysteresis": 5.0})
    thermal(r, COUNTS)
    beside = Beside(r)
    spots, alarms = beside.hear("hot_spots", String), beside.hear("alarm", Bool, latched=True)
    r.ready()
    assert json.loads(beside.next(spots).data)["hot_spots"] == []
    r.until(lambda: alarms and not alarms[-1].data, "no alarm")
    thermal(r, with_spot(36000))
    r.stream_until(lambda: alarms[-1].data, "the alarm")
    told = json.loads(beside.next(spots).data)
    (spot,) = told["hot_spots"]
    assert spot["kelvin"] == pytest.approx(360.0, abs=0.02) and spot["box"] == [14, 8, 2, 2] and told["alarm"]
    assert told["thermal_size"] == [30, 20] and spot["rgb"] is not None
    thermal(r, with_spot(34700))  # below the threshold, above its hysteresis
    for _ in range(3):
        assert len(json.loads(beside.next(spots).data)["hot_spots"]) == 1
    thermal(r, COUNTS)
    r.stream_until(lambda: json.loads(spots[-1].data)["hot_spots"] == [], "its end")
    assert json.loads(spots[-1].data)["alarm"] and len(alarms) == 2, "it is latched"
    client = r.peer.create_client(Trigger, "/sartm/segment/reset_alarm")
    r.until(client.service_is_ready, "service")
    future = client.call_async(Trigger.Request())
    r.stream_until(future.done, "reset")
    assert future.result().success and "now it is off" in future.result().message
    r.until(lambda: not alarms[-1].data, "all clear")
    late = beside.hear("alarm", Bool, latched=True)
    r.until(lambda: late, "the latched alarm")
    assert not late[0].data


def test_the_alarm_misses_no_frame_while_an_overlay_takes_its_time(rig, monkeypatch):
    """Slower outputs are made of the newest frame only; the fire watch looks at every one."""
    r = rig(parameters=CENTIKELVIN | {"alarm.temperature": 350.0})
    thermal(r, COUNTS)
    begun, going = threading.Event(), threading.Event()
    draw = pictures.drawn

    def slow(*args):
        begun.set()
        assert going.wait(DEADLINE_S)
        return draw(*args)

    monkeypatch.setattr(pictures, "drawn", slow)
    beside = Beside(r)
    beside.hear("overlay", Image)
    alarms = beside.hear("alarm", Bool, latched=True)
    r.ready()
    r.stream_until(begun.is_set, "an overlay that is begun")
    thermal(r, with_spot(36000))
    r.stream_until(lambda: alarms and alarms[-1].data, "the alarm while the overlay is not done")
    going.set()


def test_a_hysteresis_above_the_threshold_is_refused(rig):
    r = rig()
    changes = [Parameter("alarm.temperature", value=300.0), Parameter("alarm.hysteresis", value=300.0)]
    answer = r.node.set_parameters_atomically(changes)
    assert not answer.successful and "alarm.hysteresis: got 300.0, expected less" in answer.reason


class Plain(SimpleNamespace):
    """Any message of vision_msgs: `Detection2D` and its parts as of 4.x."""


def test_detections_have_box_class_and_score(monkeypatch):
    """vision_msgs comes with a distro only; here are messages with the fields that its 4.x has."""

    def detection(header: object) -> Plain:
        centre = Plain(position=Plain(x=0.0, y=0.0), theta=0.0)
        return Plain(header=header, bbox=Plain(center=centre, size_x=0.0, size_y=0.0), results=[])

    messages = Plain(
        Detection2D=detection,
        ObjectHypothesisWithPose=lambda: Plain(hypothesis=Plain(class_id="", score=0.0)),
    )
    monkeypatch.setattr(things.importlib, "import_module", lambda name: messages)
    one = Plain(box=(10, 20, 5, 3), name="car", score=0.5)
    message = things.detections(Plain(header=None, detections=[]), Plain(header="h", objects=[one]))
    (found,) = message.detections
    assert (message.header, found.header) == ("h", "h")
    assert (found.bbox.center.position.x, found.bbox.center.position.y) == (12.0, 21.0)
    assert (found.bbox.size_x, found.bbox.size_y) == (5.0, 3.0)
    assert (found.results[0].hypothesis.class_id, found.results[0].hypothesis.score) == ("car", 0.5)


def test_detections_over_dds_where_vision_msgs_is_installed(rig):
    kind = pytest.importorskip("vision_msgs.msg", reason="vision_msgs comes with a ROS distro").Detection2DArray
    r = rig(parameters={"objects.min_pixels": 1})
    beside = Beside(r)
    heard, told = beside.hear("objects", kind), beside.hear("objects_json", String)
    r.ready()
    message = beside.next(heard)
    r.until(lambda: told, "the same as JSON")
    listed = json.loads(told[-1].data)["objects"]
    assert message.header.frame_id == "rgb_optical" and len(message.detections) == len(listed) > 0
    for found, one in zip(message.detections, listed, strict=True):
        (guess,) = found.results
        left, top, width, height = one["box"]
        centre = found.bbox.center.position
        assert (guess.hypothesis.class_id, guess.hypothesis.score) == (
            one["class"],
            pytest.approx(one["score"], abs=1e-3),
        )
        assert (centre.x, centre.y) == (left + (width - 1) / 2, top + (height - 1) / 2)
        assert (found.bbox.size_x, found.bbox.size_y) == (width, height)
        assert found.header == message.header
