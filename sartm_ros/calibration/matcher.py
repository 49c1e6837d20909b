"""Points by a matcher that is not ours, named `module:function`: MINIMA, LightGlue, or whatever is installed."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from sartm_ros.calibration.needs import CalibrationError
from sartm_ros.calibration.sources import FramePair

Matcher = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""rgb (H, W, 3) uint8, thermal (h, w) uint8, uint16 or float32 as read -> (N, 4) rgb_x, rgb_y, thermal_x, thermal_y in
pixels, integers at pixel centres. Wrong matches among them are sorted out here (RANSAC)."""


def named(name: str) -> Matcher:
    """The function of `module:function`; the module may lie in the current folder. CalibrationError: what is wrong."""
    module, colon, function = name.partition(":")
    if not (module and colon and function):
        raise CalibrationError(f"--matcher: got '{name}', expected MODULE:FUNCTION, as my_matcher:match")
    here = str(Path.cwd())
    if here not in sys.path:  # `python -m` has it, the installed command has not
        sys.path.append(here)
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise CalibrationError(f"--matcher {name}: {error}") from error
    if not callable(found):
        raise CalibrationError(f"--matcher {name}: got a {type(found).__name__}, expected a function")
    return found  # type: ignore[no-any-return]


def match(matcher: Matcher, frames: Sequence[FramePair], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Matching points (N, 2) of the thermal and of the rgb frames, of all frames together."""
    found = []
    for frame in frames:
        points = np.asarray(matcher(frame.rgb, frame.thermal), np.float64)
        if points.ndim != 2 or points.shape[1] != 4 or not np.isfinite(points).all():
            raise CalibrationError(
                f"--matcher {name}: got {points.shape} for {frame.name}, expected (N, 4) finite numbers: rgb_x, rgb_y, "
                "thermal_x, thermal_y"
            )
        found.append(points)
    points = np.concatenate(found)  # (N, 4)
    return points[:, 2:], points[:, :2]
