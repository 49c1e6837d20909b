"""`registration.mode: depth`: the registration of one frame, from its depth, both cameras' info and the extrinsic."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Protocol

import numpy as np

from sartm_ros.companions.camera_info import camera
from sartm_ros.companions.plan import DepthPlan
from sartm_ros.companions.topics import DEPTH, RGB_INFO, THERMAL_INFO
from sartm_ros.frames.images import Incoming

NEEDS = (RGB_INFO, THERMAL_INFO, DEPTH)
"""What must be listened to."""


class Beside(Protocol):
    """What comes beside the cameras: `companions.Companions` of a node, `bags.depth.Beside` of a recording."""

    def info(self, name: str, size: tuple[int, int]) -> Any:
        """The `camera_info` of images of (width, height)."""

    def depth(self, stamp_ns: int, tolerance: float, wait: float) -> np.ndarray:
        """(H, W) of that time."""


class Frames(Protocol):
    """Where cameras are: `extrinsic.Tf`."""

    def matrix(self, target: str, source: str) -> tuple[float, ...]:
        """4x4 row by row."""


def through_depth(plan: DepthPlan, companions: Beside, tf: Frames | None, rgb: Incoming, thermal: Incoming) -> Any:
    """The `DepthView` of a frame pair. Raises ValueError (`Missing`, `ImageError`): what is missing or does not fit.

    tf: asked where the plan has no extrinsic.
    """
    crop = plan.crop
    rgb_info = companions.info(RGB_INFO, (rgb.width, rgb.height))
    whole = thermal.width + crop.left + crop.right, thermal.height + crop.top + crop.bottom
    thermal_info = companions.info(THERMAL_INFO, whole)
    depth = companions.depth(rgb.stamp_ns, plan.depth_tolerance, plan.depth_wait)
    matrix = plan.rgb_to_thermal
    if matrix is None:
        assert tf is not None
        matrix = tf.matrix(thermal.header.frame_id, rgb.header.frame_id)
    colour = camera(rgb_info, plan.rgb_rectified)
    heat = camera(thermal_info, plan.thermal_rectified).cropped(crop.top, crop.bottom, crop.left, crop.right)
    return cameras(colour, heat, matrix, plan.fallback, plan.occlusion).at(depth)


@lru_cache(16)
def cameras(rgb: Any, thermal: Any, matrix: tuple[float, ...], fallback: Any, occlusion: float) -> Any:
    """The `DepthRegistration`, checked once for each camera pair and not for each frame."""
    from sartm_core.preprocess.parallax import DepthRegistration  # torch: not before it is needed

    return DepthRegistration(rgb, thermal, matrix, fallback, occlusion)
