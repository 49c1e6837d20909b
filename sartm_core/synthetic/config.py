"""What a synthetic scene may look like: size, conditions and sensor faults."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral, Real

CONDITIONS = ("day", "dusk", "night", "glare", "fog")
MIN_SIDE = 32


@dataclass(frozen=True)
class SceneConfig:
    """Size, conditions and sensor properties of synthetic scenes.

    A bad value raises ValueError that names the field, the value and what is expected.
    """

    height: int = 480
    """Rows of every image, in pixels; at least 32."""
    width: int = 640
    """Columns of every image, in pixels; at least 32."""
    conditions: tuple[str, ...] = CONDITIONS
    """Conditions a scene is drawn from, uniformly, by its seed."""
    misalignment: float = 0.0
    """Largest random shift of the thermal image against the rgb image, in pixels, with a little scale and rotation in
    proportion. Labels follow rgb."""
    rgb_noise: float = 1.0
    """Factor on the colour camera's noise, which is much stronger at night; 0 turns it off."""
    thermal_noise: float = 0.05
    """Noise of the thermal camera, 1 sigma in kelvin (NETD), plus fixed-pattern noise in proportion."""
    baseline: float = 0.0
    """Metres that the thermal camera stands to the right of the colour camera, looking the same way: parallax."""
    frozen_shutter: int = 0
    """For sequences: now and then the thermal image repeats its last frame for this many frames; 0 turns it off."""

    def __post_init__(self) -> None:
        for field, low in (("height", MIN_SIDE), ("width", MIN_SIDE), ("frozen_shutter", 0)):
            value = getattr(self, field)
            if not isinstance(value, Integral) or isinstance(value, bool) or value < low:
                raise ValueError(f"SceneConfig.{field} is {value!r}; expected a whole number of at least {low}")
        for field in ("misalignment", "rgb_noise", "thermal_noise", "baseline"):
            value = getattr(self, field)
            if not isinstance(value, Real) or not math.isfinite(value) or value < 0:
                raise ValueError(f"SceneConfig.{field} is {value!r}; expected a finite number of at least 0")
        check_conditions("SceneConfig.conditions", self.conditions)
        object.__setattr__(self, "conditions", tuple(self.conditions))


def check_conditions(field: str, names: tuple[str, ...]) -> None:
    """Raise ValueError unless `names` is a non-empty sequence of known conditions; `field` names it in the message."""
    if isinstance(names, str) or not names or any(n not in CONDITIONS for n in names):
        raise ValueError(f"{field} is {names!r}; expected a non-empty sequence of {CONDITIONS}")
