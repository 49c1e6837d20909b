"""A web page to pick point pairs on: one file with the pictures inside, for any browser, on any machine."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence

import numpy as np
from PIL import Image

from sartm_ros.calibration.overlay import as_bytes
from sartm_ros.calibration.page import TEMPLATE
from sartm_ros.calibration.sources import FramePair

FRAMES = 6
"""Frames on a page at most; each costs about 1 MB."""


def page(frames: Sequence[FramePair]) -> str:
    """The HTML text."""
    shown = [
        {
            "name": frame.name,
            "rgb": _url(np.ascontiguousarray(frame.rgb)),
            "thermal": _url(as_bytes(frame.thermal)),
        }
        for frame in frames[:FRAMES]
    ]
    text = json.dumps(shown).replace("<", "\\u003c")  # a frame's name must not end the script
    return TEMPLATE.replace("/*FRAMES*/[]", text)


def _url(image: np.ndarray) -> str:
    """A PNG (lossless: a point is a pixel of the frame) as a data URL."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
