"""One parameter of the segment node: what it is, and which values it may have."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor

from sartm_core.support.text import plain
from sartm_ros.node.parameter_checks import SHOWN

LIVE, CONFIGURE, ACTIVATE, START = "live", "at configure", "at activate", "at start"
RELOAD = "at configure or ~/reload"

Value = str | bool | int | float | list[int] | list[float] | list[str]


@dataclass(frozen=True)
class Spec:
    """One parameter: its default, when a change takes effect, what it is, and which values it may have."""

    name: str
    default: Value
    applies: str
    description: str
    choices: tuple[str, ...] = ()
    bounds: tuple[float, float] | None = None
    form: str = ""
    """What a value must look like, in words, where neither choices nor bounds say it."""

    @property
    def live(self) -> bool:
        """Whether a change takes effect at once."""
        return self.applies == LIVE

    @property
    def values(self) -> str:
        """The values it may have, in words."""
        if self.choices:
            return ", ".join(self.choices)
        if self.bounds:
            return f"{self.bounds[0]:g} to {self.bounds[1]:g}"
        return "true, false" if isinstance(self.default, bool) else self.form

    @property
    def text(self) -> str:
        """Description with choices and time of effect."""
        choices = f" One of: {', '.join(self.choices)}." if self.choices else ""
        return f"{self.description}{choices} Takes effect: {self.applies}."

    def descriptor(self) -> ParameterDescriptor:
        """What `ros2 param describe` shows; rclpy refuses what is outside the range or read-only."""
        out = ParameterDescriptor(description=self.text, additional_constraints=self.values)
        out.read_only = self.applies == START
        if self.bounds:
            low, high = self.bounds
            if isinstance(self.default, float):
                out.floating_point_range = [FloatingPointRange(from_value=float(low), to_value=float(high))]
            else:
                out.integer_range = [IntegerRange(from_value=int(low), to_value=int(high), step=0)]
        return out

    def problem(self, value: Any) -> str | None:
        """Why `value` is refused, or None."""
        if value is None:
            return f"{self.name}: cannot be deleted; set another value"
        if isinstance(value, float) and not math.isfinite(value):
            return f"{self.name}: got {value}, expected a finite number"
        if self.choices and value not in self.choices:
            return f"{self.name}: got '{plain(value, SHOWN)}', expected one of {', '.join(self.choices)}"
        if isinstance(self.default, str) and not self.choices and not value:
            return f"{self.name}: got an empty string, expected {self.form}"
        if isinstance(self.default, list) and isinstance(self.default[0], str):
            return None if all(value) else f"{self.name}: got an empty name, expected {self.form}"
        if isinstance(self.default, list) and len(value) != len(self.default):
            return f"{self.name}: got {len(value)} numbers, expected {self.form}"
        return None

    def converted(self, value: Any) -> Any:
        """`value` with integers made floats where the parameter is one of floats (YAML reads 1 as an integer)."""
        if isinstance(self.default, float) and type(value) is int:
            return float(value)
        many = hasattr(value, "__iter__") and not isinstance(value, str)
        if isinstance(self.default, list) and isinstance(self.default[0], float) and many:
            return [float(v) if type(v) is int else v for v in value]
        return value

    def clamped(self, value: Any) -> Any:
        """An accepted float brought within the bounds: rclpy lets a millionth more pass."""
        if self.bounds and isinstance(value, float):
            return min(max(value, float(self.bounds[0])), float(self.bounds[1]))
        return value
