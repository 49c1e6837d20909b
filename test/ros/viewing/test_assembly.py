"""Messages of a node and its cameras become frames of the page: each mask with the frames it is of."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sartm_core.view.source import Live, Shown
from sartm_ros.viewing.assembly import APART_NS, KEPT, SILENT_S, Assembly, by_id
from test.ros.fake_messages import encode

MS = 1_000_000
CLASSES = json.dumps(
    {
        "classes": [
            {"id": 0, "name": "unlabeled", "color": [0, 0, 0]},
            {"id": 2, "name": "car", "color": [64, 0, 128]},
        ]
    }
)


def at(message: Any, ns: int) -> Any:
    message.header = SimpleNamespace(stamp=SimpleNamespace(sec=ns // 10**9, nanosec=ns % 10**9), frame_id="x")
    return message


def image(value: int, ns: int, encoding: str = "mono8") -> Any:
    """A picture of one value."""
    shape = (4, 6, 3) if encoding == "rgb8" else (4, 6)
    return at(encode(np.full(shape, value, np.uint16 if encoding == "mono16" else np.uint8), encoding), ns)


class Stage:
    """An assembly, and every frame and state it showed."""

    def __init__(self) -> None:
        self.now, self.frames, self.states = 0.0, [], []
        live = Live("a test")
        live.show, live.tell = self.frames.append, self.states.append  # type: ignore[method-assign]
        self.assembly = Assembly(live, "/sartm", lambda: self.now)
        self.assembly.classes(CLASSES)

    def frame(self, ns: int, rgb: int | None = 10, thermal: int | None = 20, skew_ns: int = 3 * MS) -> None:
        if rgb is not None:
            self.assembly.camera("rgb", "/c", image(rgb, ns, "rgb8"))
        if thermal is not None:
            self.assembly.camera("thermal", "/t", image(thermal, ns + skew_ns, "mono16"))

    def last(self) -> Shown:
        assert self.frames
        return self.frames[-1]


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_a_mask_is_shown_with_its_own_frames_and_its_confidence(stage: Stage) -> None:
    for number in range(5):
        stage.frame(number * 100 * MS, rgb=number, thermal=100 + number)
    stage.assembly.mask(image(2, 200 * MS))
    assert stage.frames == []  # its confidence comes next
    stage.assembly.confidence(image(250, 200 * MS))
    shown = stage.last()
    assert (shown.rgb == 2).all() and (shown.thermal == 102).all() and shown.thermal.dtype == np.uint16
    assert (shown.mask == 2).all() and (shown.confidence == 250).all()
    assert shown.classes == ("unlabeled", "", "car") and shown.palette[2] == (64, 0, 128)


def test_a_mask_without_confidence_is_shown_when_the_next_one_comes(stage: Stage) -> None:
    for number in (1, 2):
        stage.frame(number * 100 * MS, rgb=number)
        stage.assembly.mask(image(0, number * 100 * MS))
    assert len(stage.frames) == 1 and (stage.last().rgb == 1).all() and stage.last().confidence is None


def test_a_mask_of_frames_that_were_not_seen_is_not_shown_with_others(stage: Stage) -> None:
    stage.frame(900 * MS)
    stage.assembly.mask(image(0, 500 * MS))
    stage.assembly.confidence(image(9, 500 * MS))
    assert stage.frames == [] and "masks of frames that did not come here" in stage.assembly.problem
    stage.frame(3000 * MS, thermal=None)
    stage.assembly.mask(image(0, 3000 * MS))
    stage.assembly.confidence(image(9, 3000 * MS))
    assert stage.last().rgb is not None and stage.last().thermal is None  # the old thermal frame is too far off
    assert stage.assembly.problem == ""
    assert 3000 * MS - 900 * MS > APART_NS


def test_one_camera_alone(stage: Stage) -> None:
    stage.frame(100 * MS, rgb=None, skew_ns=0)
    stage.assembly.mask(image(0, 100 * MS))
    stage.assembly.confidence(image(9, 100 * MS))
    assert stage.last().rgb is None and stage.last().thermal is not None


def test_frames_that_wait_for_a_mask_are_few(stage: Stage) -> None:
    for number in range(3 * KEPT):
        stage.frame(number * 10 * MS)
    assert {len(kept) for kept in stage.assembly._frames.values()} == {KEPT}
    stage.assembly.mask(image(0, (3 * KEPT - 1) * 10 * MS))
    stage.assembly.confidence(image(0, (3 * KEPT - 1) * 10 * MS))
    assert {len(kept) for kept in stage.assembly._frames.values()} == {1}


def test_a_frame_that_cannot_be_used_is_told_with_the_state(stage: Stage) -> None:
    broken = image(1, 0, "rgb8")
    broken.step = 2
    stage.assembly.camera("rgb", "/c", broken)
    stage.assembly.diagnostics(diagnostics("/sartm/segment"))
    assert "/c: image 6x4" in stage.states[-1]["not shown"]


def diagnostics(node: str) -> Any:
    def status(name: str, message: str, hardware: str, **values: str) -> Any:
        pairs = [SimpleNamespace(key=key.replace("__", "."), value=value) for key, value in values.items()]
        return SimpleNamespace(name=f"{node}: {name}", message=message, hardware_id=hardware, values=pairs)

    return SimpleNamespace(
        status=[
            status("segmentation", "degraded: rgb silent", "nano", state="degraded: rgb silent", mask_rate_hz="9.50",
                   inference_p50_ms="80.00", model__name="nano", model__engine="openvino"),
            status("rgb camera", "silent, last usable frame 2.0 s ago", "/front/color"),
            status("thermal camera", "9.5 Hz, 640x512 16UC1", "/front/thermal"),
        ]
    )  # fmt: skip


def test_state_rates_and_topics_come_from_the_diagnostics_of_the_node_alone(stage: Stage) -> None:
    stage.assembly.diagnostics(diagnostics("/other/segment"))
    assert stage.states == [] and stage.assembly.topics == {}
    stage.assembly.diagnostics(diagnostics("/sartm/segment"))
    state = stage.states[-1]
    assert state["state"] == "degraded: rgb silent" and state["masks"] == "9.50 Hz" and state["weights"] == "nano"
    assert state["rgb camera"] == "silent, last usable frame 2.0 s ago" and "not shown" not in state
    assert stage.assembly.topics == {"rgb": "/front/color", "thermal": "/front/thermal"}


def test_a_node_that_does_not_speak_is_told_once_in_a_while(stage: Stage) -> None:
    stage.assembly.silence()
    assert "no node speaks in /sartm/" in stage.states[-1]["state"]
    stage.assembly.diagnostics(diagnostics("/sartm/segment"))
    for stage.now in (0.0, SILENT_S, SILENT_S + 0.1, SILENT_S + 0.2):
        stage.assembly.silence()
    assert [state["state"][:7] for state in stage.states] == ["no node", "degrade", "no node"]


def test_classes_by_id() -> None:
    assert by_id([]) == ((), ())
    assert by_id([(1, "b", [1, 2, 3])]) == (("", "b"), ((90, 90, 90), (1, 2, 3)))
