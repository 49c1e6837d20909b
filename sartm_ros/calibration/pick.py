"""A web page to pick point pairs on: one file with the pictures inside, for any browser, on any machine."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
from PIL import Image

from sartm_core.support.visualize import data_url
from sartm_ros.calibration.overlay import as_bytes
from sartm_ros.calibration.page import TEMPLATE
from sartm_ros.calibration.sources import FramePair

FRAMES = 6
"""Frames on a page at most; each costs about 1 MB."""


def page(frames: Sequence[FramePair]) -> str:
    """The HTML text."""
    shown = [
        {"name": frame.name, "rgb": as_text(frame.rgb), "thermal": as_text(as_bytes(frame.thermal))}
        for frame in frames[:FRAMES]
    ]
    text = json.dumps(shown).replace("<", "\\u003c")  # a frame's name must not end the script
    return TEMPLATE.replace("/*FRAMES*/[]", text)


def as_text(image: np.ndarray) -> str:
    """A PNG: a point is a pixel of the frame."""
    return data_url(Image.fromarray(np.ascontiguousarray(image)))
