"""Registration found from the frames themselves: rough search, then patches in ever finer steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from sartm_ros.calibration import coarse
from sartm_ros.calibration.blocks import Level, Matches, match
from sartm_ros.calibration.models import REFERENCE_WIDTH, Fit, fit
from sartm_ros.calibration.needs import CalibrationError
from sartm_ros.calibration.sources import FramePair
from sartm_ros.calibration.structure import grey, heat

FIRST = (Level(width=320, patch=80, step=40, reach=20), "scale_shift", 6.0)
LEVELS = (
    (Level(width=320, patch=64, step=24, reach=12), "affine", 4.0),
    (Level(width=640, patch=96, step=40, reach=12), "affine", 4.0),
    (Level(width=640, patch=80, step=32, reach=8), "homography", 3.0),
)
"""Passes after the first, the model that leads to the next one, and the largest residual of an inlier in pixels of an
image 640 wide."""
LAST = Level(width=640, patch=80, step=32, reach=8)
"""The pass whose matches count."""
LIMIT = 3.0
"""Largest residual of an inlier in the end, pixels of an image 640 wide."""
ADVICE = (
    "Give more frames (--data DIR, --topics), with people, cars or buildings at the distance that matters; or pick "
    "points by hand: --pick pick.html"
)


def steps(frames: int) -> int:
    """How often `find` calls `tick` at most."""
    return coarse.steps() + (coarse.KEEP + len(LEVELS) + 1) * frames


def find(frames: Sequence[FramePair], tick: Callable[[], None]) -> Matches:
    """Matching points of the thermal and rgb frames, most of them right when the frames show the same.

    Raises CalibrationError when the patches agree on nothing.
    """
    pictures = [(grey(frame.rgb), heat(frame.thermal)) for frame in frames]
    unit = pictures[0][0].shape[1] / REFERENCE_WIDTH

    def improve(matrix: np.ndarray, step: tuple[Level, str, float]) -> Fit | None:
        level, model, limit = step
        matches = match(pictures, matrix, level, tick)
        return fit(model, matches.thermal, matches.rgb, limit * unit)

    tries = [improve(guess.matrix, FIRST) for guess in coarse.search(pictures, tick)]
    fits = [each for each in tries if each is not None]
    if not fits:
        raise CalibrationError(refusal("no part of the two views agrees with another"))
    best = max(fits, key=lambda each: int(each.inliers.sum()))
    for step in LEVELS:
        following = improve(best.matrix, step)
        if following is None:
            raise CalibrationError(refusal("the patches that were found again do not agree with one another"))
        best = following
    return match(pictures, best.matrix, LAST, tick)


def refusal(reason: str, advice: str = ADVICE) -> str:
    """The text for somebody whose frames or points could not be matched."""
    return f"no registration to be trusted: {reason}. Nothing was written. {advice}"
