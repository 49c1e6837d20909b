"""From what a running node and its cameras publish to frames for a page. Knows messages, but needs no ROS."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from sartm_core.support.classes import Color
from sartm_core.support.visualize import IGNORE_COLOR
from sartm_core.view.source import Live, Shown
from sartm_ros.frames.images import Incoming, parse
from sartm_ros.pairing.nearest import STREAMS, THERMAL

KEPT = 64
"""Frames of a camera that may wait for their mask; with every mask the older ones go."""
APART_NS = 300_000_000
"""A frame whose stamp is further from the mask's is not shown with it."""
SILENT_S = 5.0
"""Diagnostics come every second; a node that says nothing for so long is not there."""
NUMBERS = {
    "masks": ("mask_rate_hz", "Hz"), "inference": ("inference_p50_ms", "ms"), "latency": ("latency_p50_ms", "ms"),
}  # fmt: skip
"""What is shown of the node's diagnostics: its key and unit."""
MODEL = {"weights": "model.name", "engine": "model.engine", "device": "model.device"}


class Assembly:
    """Takes messages as they come; shows a mask with the frames it is of."""

    def __init__(self, live: Live, namespace: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._live, self._clock = live, clock
        self._prefix = f"/{namespace.strip('/')}/"
        self._frames: dict[str, deque[Incoming]] = {stream: deque(maxlen=KEPT) for stream in STREAMS}
        self._mask: Any = None
        self._confidence: Any = None
        self._classes: tuple[tuple[str, ...], tuple[Color, ...]] = ((), ())
        self._heard: float | None = None
        self.topics: dict[str, str] = {}
        """Of the cameras, as the node tells them."""
        self.problem = ""
        """Why the last frame of a camera could not be used."""

    def camera(self, stream: str, topic: str, message: Any) -> None:
        """A frame of a camera: kept until its mask comes."""
        try:
            self._frames[stream].append(parse(message, stream, topic))
        except ValueError as error:
            self.problem = str(error)

    def mask(self, message: Any) -> None:
        """A mask: shown when its confidence is there, at the latest when the next mask comes."""
        if self._mask is not None:
            self._show(self._mask, None)
        self._mask = message
        self._join()

    def confidence(self, message: Any) -> None:
        self._confidence = message
        self._join()

    def classes(self, text: str) -> None:
        """The JSON of the topic `classes`."""
        self._classes = by_id((entry["id"], entry["name"], entry["color"]) for entry in json.loads(text)["classes"])

    def diagnostics(self, message: Any) -> None:
        """A /diagnostics message; other people's entries are passed over."""
        entries = {s.name.rpartition(": ")[2]: s for s in message.status if s.name.startswith(self._prefix)}
        node = entries.get("segmentation")
        if node is None:
            return
        self._heard = self._clock()
        numbers = {value.key: value.value for value in node.values}
        state = {"state": numbers.get("state", ""), "node": node.message}
        state |= {name: f"{numbers[key]} {unit}" for name, (key, unit) in NUMBERS.items() if key in numbers}
        for stream in STREAMS:
            camera = entries.get(f"{stream} camera")
            if camera is not None:
                self.topics[stream] = camera.hardware_id
                state[f"{stream} camera"] = camera.message
        state |= {name: numbers[key] for name, key in MODEL.items() if key in numbers}
        self._live.tell(state | ({"not shown": self.problem} if self.problem else {}))

    def silence(self) -> None:
        """To be called now and then: says so when no node speaks."""
        now = self._clock()
        if self._heard is None or now - self._heard > SILENT_S:
            self._heard = now  # not again before as long a time
            self._live.tell({"state": f"no node speaks in {self._prefix}: sartm node starts one"})

    def _join(self) -> None:
        if None not in (self._mask, self._confidence) and stamp(self._mask) == stamp(self._confidence):
            self._show(self._mask, self._confidence)
            self._mask = None

    def _show(self, mask: Any, confidence: Any) -> None:
        at = stamp(mask)
        rgb, thermal = (nearest(self._frames[stream], at) for stream in STREAMS)
        if at not in (frame.stamp_ns for frame in (rgb, thermal) if frame):  # never with others
            self.problem = f"masks of frames that did not come here (cameras: {self.topics or 'not known yet'})"
            return
        for frames in self._frames.values():
            while len(frames) > 1 and frames[0].stamp_ns < at:
                frames.popleft()
        names, palette = self._classes
        try:
            shown = Shown(
                f"{at / 1e9:.3f}",
                None if rgb is None else rgb.rgb(),
                None if thermal is None else thermal.thermal(),
                gray(mask), None if confidence is None else gray(confidence), names, palette,
            )  # fmt: skip
        except ValueError as error:
            self.problem = str(error)
            return
        self.problem = ""
        self._live.show(shown)


def by_id(entries: Iterable[tuple[int, str, Sequence[int]]]) -> tuple[tuple[str, ...], tuple[Color, ...]]:
    """Names and colours by id from (id, name, colour); an id that is no class has the name ""."""
    known = {i: (name, (color[0], color[1], color[2])) for i, name, color in entries}
    rows = [known.get(i, ("", IGNORE_COLOR)) for i in range(max(known, default=-1) + 1)]
    return tuple(name for name, _ in rows), tuple(color for _, color in rows)


def nearest(frames: Iterable[Incoming], at_ns: int) -> Incoming | None:
    """The frame of this time; None where all are further off than `APART_NS`."""
    near = (frame for frame in frames if abs(frame.stamp_ns - at_ns) <= APART_NS)
    return min(near, key=lambda frame: abs(frame.stamp_ns - at_ns), default=None)


def stamp(message: Any) -> int:
    """Nanoseconds."""
    return int(message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec)


def gray(message: Any) -> np.ndarray:
    """The (H, W) uint8 of a mono8 message."""
    return parse(message, THERMAL, "mask").thermal()
