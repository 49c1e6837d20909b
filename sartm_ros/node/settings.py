"""Parameter values made into the objects that work with frames, once per change and not once per frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sartm_core.scene.hot_spots import AlarmConfig
from sartm_core.scene.pictures import selection
from sartm_core.scene.temperature import Radiometry
from sartm_ros.companions.info_file import InfoFile, files_of
from sartm_ros.companions.plan import DepthPlan
from sartm_ros.frames.images import Crop
from sartm_ros.node.class_map import ClassMap
from sartm_ros.node.parameter_checks import NONE
from sartm_ros.node.weights import depth_plan, registration, thermal_norm


@dataclass(frozen=True)
class Settings:
    """What the live parameters mean for a frame."""

    crop: Crop
    """Cut off the thermal image."""
    scale: float
    offset: float
    """Thermal value = raw x scale + offset."""
    registration: Any
    """`sartm_core.preprocess.registration.Registration` or None; in mode depth what stands in for it."""
    depth: DepthPlan | None
    """For mode depth."""
    thermal_norm: Any
    """`sartm_core.preprocess.config.ThermalNorm`; None: the one in the weights."""
    threshold: float
    """Pixels of lower confidence (0..1) become 255."""
    alpha: float
    """Weight of the class colours in the overlay, 0..1."""
    adapter: str
    """The parameter `adapter`: which weights. Not their name, which another `checkpoint` has too."""
    class_map: ClassMap | None
    """From the model's classes to the ids that are published; None while there is no model."""
    selected: Any
    """(256,) uint8: value of `selected_mask` by id of the model; None while there is no model."""
    radiometry: Radiometry
    """What thermal values are in kelvin."""
    alarm: AlarmConfig | None
    """When something is hot; None: nothing is."""
    min_pixels: int
    """Of an object."""
    depth_tolerance: float
    """Seconds between depth and rgb."""
    depth_wait: float
    """Seconds to wait for depth."""
    rgb_rectified: bool
    """Whether the rgb images went through `image_proc`."""
    info_files: dict[str, InfoFile]
    """What stands in for the topics of these names."""

    @classmethod
    def of(cls, values: dict[str, Any], loaded: Any = None) -> Settings:
        """From parameter values and the model, if there is one. Raises ValueError naming the parameter."""
        weights = loaded.weights(values["adapter"]) if loaded else None
        return cls(
            crop=Crop(*(values[f"thermal.crop_{side}"] for side in ("top", "bottom", "left", "right"))),
            scale=values["thermal.scale"],
            offset=values["thermal.offset"],
            registration=registration(values),
            depth=depth_plan(values),
            thermal_norm=thermal_norm(values),
            threshold=values["confidence_threshold"],
            alpha=values["overlay_alpha"],
            adapter=values["adapter"],
            class_map=ClassMap.parse(values["class_remap"], weights.classes, weights.palette) if weights else None,
            selected=selection(weights.classes, selected_classes(values)) if weights else None,
            radiometry=Radiometry(values["thermal.unit"], values["thermal.emissivity"], values["thermal.reflected"]),
            alarm=alarm(values),
            min_pixels=values["objects.min_pixels"],
            depth_tolerance=values["depth.tolerance"],
            depth_wait=values["depth.max_wait"],
            rgb_rectified=values["rgb_rectified"],
            info_files=files_of(values),
        )


def selected_classes(values: dict[str, Any]) -> list[str]:
    """Names of the parameter; `none` stands for an empty list, which has no type in ROS."""
    return [name for name in values["selected_classes"] if name != NONE]


def alarm(values: dict[str, Any]) -> AlarmConfig | None:
    """None: `alarm.temperature` 0."""
    if not values["alarm.temperature"]:
        return None
    return AlarmConfig(values["alarm.temperature"], values["alarm.hysteresis"], values["alarm.min_pixels"])
