"""Parameter values made into the objects that work with frames, once per change and not once per frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sartm_ros.frames.images import Crop
from sartm_ros.node.class_map import ClassMap
from sartm_ros.node.weights import registration, thermal_norm


@dataclass(frozen=True)
class Settings:
    """What the live parameters mean for a frame."""

    crop: Crop
    """Cut off the thermal image."""
    scale: float
    offset: float
    """Thermal value = raw x scale + offset."""
    registration: Any
    """`sartm_core.preprocess.registration.Registration` or None."""
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

    @classmethod
    def of(cls, values: dict[str, Any], loaded: Any = None) -> Settings:
        """From parameter values and the model, if there is one. Raises ValueError naming the parameter."""
        weights = loaded.weights(values["adapter"]) if loaded else None
        return cls(
            crop=Crop(*(values[f"thermal.crop_{side}"] for side in ("top", "bottom", "left", "right"))),
            scale=values["thermal.scale"],
            offset=values["thermal.offset"],
            registration=registration(values),
            thermal_norm=thermal_norm(values),
            threshold=values["confidence_threshold"],
            alpha=values["overlay_alpha"],
            adapter=values["adapter"],
            class_map=ClassMap.parse(values["class_remap"], weights.classes, weights.palette) if weights else None,
        )
