"""Cameras connected the wrong way round, seen in the first pairs of an activation. Plain Python.

The rule is that of files (`sartm_core.data.swapped`). A thermal camera without colour, as most are, decides it at once
and costs nothing; else every 8th pixel of three pairs is looked at.
"""

from __future__ import annotations

from sartm_core.data.swapped import LOOKED_AT, coloring_of, look_swapped, question
from sartm_ros.frames.colors import COLOR
from sartm_ros.frames.images import THERMAL, ImageError, Incoming

STEP = 8
"""Every so many-th row and column."""


class Swapped:
    """Show it pair after pair by `look`."""

    def __init__(self) -> None:
        self.verdict = ""
        """Why the cameras look swapped; empty when they do not, or it is not known yet."""
        self._left = LOOKED_AT

    def look(self, rgb: Incoming, thermal: Incoming) -> str:
        """The verdict, once: empty before and after."""
        if not self._left:
            return ""
        try:
            hot = coloring(thermal)
            alike = bool(hot) and look_swapped(coloring(rgb), hot)
        except ImageError:  # told of where it is decoded for the model
            alike = False
        self._left = self._left - 1 if alike else 0
        if not alike or self._left:
            return ""
        self.verdict = question(f"rgb ({rgb.topic})", f"thermal ({thermal.topic})")
        return self.verdict


def coloring(frame: Incoming) -> float:
    """`coloring_of` some of a frame's pixels."""
    if frame.view is None:
        return coloring_of(frame.rgb()[::STEP, ::STEP])
    if frame.message.encoding in THERMAL:
        return 0.0
    pixels = frame.view if frame.message.encoding in COLOR else frame.rgb()
    return coloring_of(pixels[::STEP, ::STEP])
