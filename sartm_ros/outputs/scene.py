"""One segmented frame as the outputs see it. What several of them need is made at the first question, and once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from sartm_core.scene.hot_spots import HotSpot
from sartm_core.scene.objects import SceneObject, objects
from sartm_ros.companions.camera_info import camera
from sartm_ros.companions.missing import Missing
from sartm_ros.companions.topics import RGB_INFO
from sartm_ros.outputs.alarm import Alarm
from sartm_ros.pairing.stamps import NS

if TYPE_CHECKING:  # the table of outputs is read without ROS too
    from sartm_ros.companions.companions import Companions


@dataclass(eq=False)
class Scene:
    """Made in the model's thread for each result."""

    header: Any
    """Of the frame it is a mask of: rgb, or thermal alone."""
    rgb: np.ndarray | None
    """(H, W, 3) uint8."""
    thermal: np.ndarray | None
    """(h, w), scaled as the parameters say."""
    result: Any
    """`SegmentationResult`."""
    settings: Any
    """`sartm_ros.node.settings.Settings`, with its class map, of the time of the frame."""
    companions: Companions
    alarm: Alarm
    registration: Any = None
    """Where the thermal view lies in the rgb view (`sartm_core.scene.cameras.Pixels`); None: the same view."""
    warning: str = ""
    """What is doubtful about the thermal frame."""

    @cached_property
    def mask(self) -> np.ndarray:
        """(H, W) uint8, published ids."""
        mask: np.ndarray = self.settings.class_map.apply(self.result.mask)
        return mask

    def drawn(self, name: str) -> np.ndarray | None:
        """A picture that a GPU made beside the mask, (H, W, 3) uint8."""
        picture: np.ndarray | None = self.result.drawn.get(name)
        return picture

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the mask."""
        return self.result.mask.shape[1], self.result.mask.shape[0]

    @property
    def stamp_ns(self) -> int:
        """Of the header."""
        return int(self.header.stamp.sec * NS + self.header.stamp.nanosec)

    @property
    def no_kelvin(self) -> str:
        """Why there are no temperatures; empty where there are."""
        if not self.settings.radiometry.known:
            return "thermal.unit is unknown: set it to what the camera's numbers are, after thermal.scale and offset"
        if self.thermal is None:
            return "there is no thermal frame"
        if self.warning:
            return f"the thermal frame holds no temperatures: {self.warning}"
        if self.thermal.dtype == np.uint8:
            return "the thermal frame has 8 bits, a picture without temperatures: use the camera's 16-bit output"
        return ""

    @cached_property
    def kelvin(self) -> np.ndarray | None:
        """(h, w) float32 at the thermal camera's own pixels; None: `no_kelvin` says why."""
        return None if self.no_kelvin else self.settings.radiometry.kelvin(self.thermal)

    @cached_property
    def objects(self) -> list[SceneObject]:
        """Connected regions of the mask, how warm each is."""
        s = self.settings
        return objects(
            self.mask, s.class_map.names, self.result.confidence, self.kelvin, self.registration, s.min_pixels
        )

    @cached_property
    def hot_spots(self) -> list[HotSpot]:
        """Raises Missing without temperatures or a threshold."""
        if self.settings.alarm is None:
            raise Missing("alarm.temperature is 0, which means off: set it, in kelvin")
        if self.kelvin is None:
            raise Missing(self.no_kelvin)
        size = None if self.rgb is None else self.result.mask.shape
        return self.alarm.look(self.settings.alarm, self.kelvin, size, self.registration)

    @cached_property
    def rgb_info(self) -> Any:
        """`camera_info` of the rgb camera, checked against the mask's size. Raises Missing."""
        if self.rgb is None:
            raise Missing("the mask is of the thermal camera, rgb is gone")
        return self.companions.info(RGB_INFO, self.size)

    @property
    def camera(self) -> Any:
        """`sartm_core.preprocess.camera.Camera` of the rgb images. ValueError: not there, not calibrated."""
        try:
            return camera(self.rgb_info, self.settings.rgb_rectified)
        except Missing:
            raise
        except ValueError as error:
            raise Missing(f"{self.companions.topics[RGB_INFO]}: {error}") from None
