"""Thermal values to temperatures: what the camera says in kelvin, and what that means for a surface that also reflects.

A surface of emissivity e sends out e of what a black body of its temperature would, and reflects (1 - e) of what comes
from around it. In the usual grey-body approximation, all of it proportional to T^4 and no air in between,

    T_apparent^4 = e T_object^4 + (1 - e) T_reflected^4

which is solved for T_object. People and most painted, wooden or stony things have e = 0.9 to 0.98; bare metal 0.05 to
0.3, and is no thermometer. Air, windows and the camera's spectral band are not modelled.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ZERO_CELSIUS = 273.15
"""In kelvin."""
UNKNOWN = "unknown"
THERMAL_UNITS: dict[str, tuple[float, float] | None] = {
    UNKNOWN: None,
    "kelvin": (1.0, 0.0),
    "celsius": (1.0, ZERO_CELSIUS),
    "centikelvin": (0.01, 0.0),
    "decikelvin": (0.1, 0.0),
}
"""Name of a unit -> (scale, offset) to kelvin; None: the numbers are no temperatures. centikelvin and decikelvin are
the TLinear of FLIR cameras at high and at low resolution."""


@dataclass(frozen=True)
class Radiometry:
    """What the values of a thermal camera mean."""

    unit: str = UNKNOWN
    """One of `THERMAL_UNITS`, of the values after the node's scale and offset."""
    emissivity: float = 1.0
    """Of what is looked at, above 0 up to 1. 1: the camera's temperatures as they are, also where it corrects them."""
    reflected: float = 293.15
    """Kelvin: temperature of what the surfaces reflect, mostly that of the air; of a clear sky far below."""

    def __post_init__(self) -> None:
        if self.unit not in THERMAL_UNITS:
            raise ValueError(f"thermal.unit: got {self.unit!r}, expected one of {', '.join(THERMAL_UNITS)}")
        if not 0 < self.emissivity <= 1:
            raise ValueError(f"thermal.emissivity: got {self.emissivity}, expected a number above 0, at most 1")
        if not 0 < self.reflected < np.inf:
            raise ValueError(f"thermal.reflected: got {self.reflected}, expected kelvin above 0")

    @property
    def known(self) -> bool:
        """Whether there are temperatures at all."""
        return THERMAL_UNITS[self.unit] is not None

    def kelvin(self, thermal: np.ndarray) -> np.ndarray | None:
        """Values of any shape and number type -> float32 kelvin of the surfaces, NaN where there is none; of an unknown
        unit None."""
        conversion = THERMAL_UNITS[self.unit]
        if conversion is None:
            return None
        scale, offset = conversion
        kelvin = np.multiply(thermal, np.float32(scale), dtype=np.float32)
        kelvin += np.float32(offset)
        no_temperature = ~((kelvin > 0) & (kelvin < np.inf))
        if self.emissivity < 1:
            kelvin = surface_kelvin(kelvin, self.emissivity, self.reflected)
        kelvin[no_temperature] = np.nan
        return kelvin


def surface_kelvin(apparent: np.ndarray, emissivity: float, reflected: float) -> np.ndarray:
    """T_object of the formula above, float32; NaN where the reflection alone would be more than what was seen."""
    power = np.square(np.square(apparent.astype(np.float64)))
    power -= (1 - emissivity) * reflected**4
    power /= emissivity
    with np.errstate(invalid="ignore"):
        return np.sqrt(np.sqrt(power)).astype(np.float32)
