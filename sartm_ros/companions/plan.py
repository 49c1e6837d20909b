"""What the parameters say about registration through depth. Without ROS: recordings have parameters too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sartm_ros.frames.images import Crop


@dataclass(frozen=True)
class DepthPlan:
    """What the parameters say about it."""

    rgb_to_thermal: tuple[float, ...] | None
    """4x4 row by row, metres; None: TF knows."""
    fallback: Any
    """`Registration` where depth is missing, or None."""
    occlusion: float
    """`registration.tolerance`, rgb pixels."""
    depth_tolerance: float
    """Seconds between depth and rgb."""
    depth_wait: float
    """Seconds to wait for depth."""
    crop: Crop
    """Cut off the thermal image."""
    rgb_rectified: bool
    thermal_rectified: bool
