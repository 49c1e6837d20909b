"""Every parameter of the segment node: one table, from which they are declared, checked, read and documented."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.exceptions import InvalidParameterTypeException

LIVE, CONFIGURE, ACTIVATE, START = "live", "at configure", "at activate", "at start"
RELOAD = "at configure or ~/reload"


class ParameterError(ValueError):
    """A parameter that cannot be used; the text names it, what was found and what was expected."""


@dataclass(frozen=True)
class Spec:
    """One parameter: its default, when a change takes effect, what it is, and which values it may have."""

    name: str
    default: str | bool | int | float
    applies: str
    description: str
    choices: tuple[str, ...] = ()
    bounds: tuple[float, float] | None = None

    @property
    def live(self) -> bool:
        """Whether a change takes effect at once."""
        return self.applies == LIVE

    @property
    def text(self) -> str:
        """Description with choices and time of effect."""
        choices = f" One of: {', '.join(self.choices)}." if self.choices else ""
        return f"{self.description}{choices} Takes effect: {self.applies}."

    def descriptor(self) -> ParameterDescriptor:
        """What `ros2 param describe` shows; rclpy refuses values outside the range by itself."""
        out = ParameterDescriptor(description=self.text)
        if self.bounds:
            low, high = self.bounds
            if isinstance(self.default, float):
                out.floating_point_range = [FloatingPointRange(from_value=float(low), to_value=float(high))]
            else:
                out.integer_range = [IntegerRange(from_value=int(low), to_value=int(high), step=0)]
        if self.choices:
            out.additional_constraints = f"one of {', '.join(self.choices)}"
        return out

    def problem(self, value: Any) -> str | None:
        """Why `value` is refused, or None."""
        if self.choices and value not in self.choices:
            return f"{self.name}: got '{value}', expected one of {', '.join(self.choices)}"
        if isinstance(self.default, str) and not self.choices and not value:
            return f"{self.name}: got an empty string, expected {self.description.lower()}"
        return None


RELIABILITY = ("best_effort", "reliable")
TRANSPORT = ("raw", "compressed")
POLICIES = ("nearest", "approximate", "exact")
NORMALIZATIONS = ("checkpoint", "percentile", "range", "unit")
ANY = (-1e6, 1e6)
DAY = (-86400.0, 86400.0)
CANCELS = "Matters for range and unit; with percentile, a positive scale and any offset cancel out."
GONE = "Silence that makes a camera count as gone, seconds; a slow camera gets 2.5 of its periods."

SPECS = (
    Spec("checkpoint", "default", RELOAD, "Weights: 'default' (shipped) or the path of a .safetensors file."),
    Spec("sam2", "none", RELOAD, "Path of Meta's SAM2 file; adapter checkpoints need it. 'none': not needed."),
    Spec("device", "auto", RELOAD, "Where the model runs: auto, cpu, cuda or cuda:N."),
    Spec("precision", "auto", RELOAD, "Number format of the model: auto, fp32, bf16 or fp16."),
    Spec("engine", "torch", RELOAD, "What executes the model."),
    Spec("threads", 0, RELOAD, "CPU threads of the model; 0 leaves the library's own choice.", bounds=(0, 256)),
    Spec("warmup", True, RELOAD, "Run the model once before the first frame, so that this one is not slow."),
    Spec("autostart", True, START, "Configure and activate without a lifecycle manager."),
    Spec("confidence_threshold", 0.0, LIVE, "Pixels of lower confidence (0..1) become 255 in the mask.", bounds=(0, 1)),
    Spec("overlay_alpha", 0.5, LIVE, "Weight of the class colour in the overlay.", bounds=(0, 1)),
    Spec("rgb_transport", "raw", ACTIVATE, "Type of rgb/image_raw: Image or CompressedImage.", TRANSPORT),
    Spec("thermal_transport", "raw", ACTIVATE, "Type of thermal/image_raw: Image or CompressedImage.", TRANSPORT),
    Spec("qos.rgb.reliability", "best_effort", ACTIVATE, "Reliability asked of the rgb camera.", RELIABILITY),
    Spec("qos.rgb.depth", 5, ACTIVATE, "Rgb messages the middleware keeps for the node.", bounds=(1, 100)),
    Spec("qos.thermal.reliability", "best_effort", ACTIVATE, "Reliability asked of the thermal camera.", RELIABILITY),
    Spec("qos.thermal.depth", 5, ACTIVATE, "Thermal messages the middleware keeps for the node.", bounds=(1, 100)),
    Spec("sync.policy", "nearest", CONFIGURE, "Pairing; all but nearest need message_filters.", POLICIES),
    Spec("sync.tolerance", 0.05, LIVE, "Largest time between the two frames of a pair, seconds.", bounds=(0, 10)),
    Spec("sync.max_wait", 0.05, LIVE, "Longest wait for a better partner, seconds (nearest).", bounds=(0, 10)),
    Spec("sync.queue_size", 10, LIVE, "Frames of each camera kept for pairing.", bounds=(1, 1000)),
    Spec("sync.rgb_offset", 0.0, LIVE, "Seconds added to rgb stamps for pairing only.", bounds=DAY),
    Spec("sync.thermal_offset", 0.0, LIVE, "Seconds added to thermal stamps for pairing only.", bounds=DAY),
    Spec("thermal.scale", 1.0, LIVE, f"Thermal value = raw x scale + offset. {CANCELS}", bounds=ANY),
    Spec("thermal.offset", 0.0, LIVE, f"Thermal value = raw x scale + offset. {CANCELS}", bounds=ANY),
    Spec("thermal.normalization", "checkpoint", RELOAD, "Thermal values to model input.", NORMALIZATIONS),
    Spec("thermal.low", 50.0, RELOAD, "Percentile (0..100) or value (range) that becomes 0.", bounds=ANY),
    Spec("thermal.high", 99.0, RELOAD, "Percentile (0..100) or value (range) that becomes 1.", bounds=ANY),
    Spec("degraded.enabled", True, LIVE, "Go on with one camera while the other one is silent."),
    Spec("degraded.timeout", 1.0, LIVE, GONE, bounds=(0.05, 60)),
)

BY_NAME = {spec.name: spec for spec in SPECS}
FOREIGN = ("use_sim_time", "qos_overrides.", "start_type_description_service")
"""Names (or their beginnings) that rclpy itself declares."""


def declare(node: Any) -> None:
    """Declare every parameter on a node and check the whole set; an integer given for a float is taken as one.

    Raises ParameterError for a value of the wrong type, outside its range, or not among the choices.
    """
    for spec in SPECS:
        override = overrides(node).get(spec.name)
        try:
            if isinstance(spec.default, float) and type(override) is int:
                node.declare_parameter(spec.name, float(override), spec.descriptor(), ignore_override=True)
            else:
                node.declare_parameter(spec.name, spec.default, spec.descriptor())
        except InvalidParameterTypeException:
            found, wanted = type(override).__name__, type(spec.default).__name__
            raise ParameterError(f"{spec.name}: got {override!r} ({found}), expected a {wanted}. {spec.text}") from None
        except Exception as error:  # out of range: the exception's type differs between distros
            raise ParameterError(f"{spec.name}: got {override!r}, refused: {error}. {spec.text}") from None
    if problems := check(read(node)):
        raise ParameterError("; ".join(problems))


def overrides(node: Any) -> dict[str, Any]:
    """Values given from outside (params file, -p), by name. rclpy has no public way to ask before declaring."""
    return {name: parameter.value for name, parameter in getattr(node, "_parameter_overrides", {}).items()}


def unknown(names: Iterable[str]) -> list[str]:
    """One warning per name that no parameter has, with the nearest known one."""
    warnings = []
    for name in names:
        if name in BY_NAME or name.startswith(FOREIGN):
            continue
        near = difflib.get_close_matches(name, BY_NAME, n=1, cutoff=0.5) or [
            known for known in BY_NAME if known.rsplit(".", 1)[-1] == name.rsplit(".", 1)[-1]
        ]
        hint = f"did you mean '{near[0]}'?" if near else f"known are: {', '.join(BY_NAME)}"
        warnings.append(f"parameter '{name}' is unknown and has no effect; {hint}")
    return warnings


def read(node: Any) -> dict[str, Any]:
    """All values by name."""
    return {spec.name: node.get_parameter(spec.name).value for spec in SPECS}


def check(values: dict[str, Any]) -> list[str]:
    """What is wrong with a full set of values, one sentence each; empty when it can be used."""
    problems = [p for spec in SPECS if (p := spec.problem(values[spec.name]))]
    mode, low, high = (values[f"thermal.{key}"] for key in ("normalization", "low", "high"))
    if mode in ("percentile", "range") and not low < high:
        problems.append(f"thermal.low: got {low}, expected less than thermal.high ({high})")
    if mode == "percentile" and not (low >= 0 and high <= 100):
        problems.append(f"thermal.low, thermal.high: got {low}, {high}, expected percentiles in 0..100")
    if values["thermal.scale"] == 0:
        problems.append("thermal.scale: got 0, expected any other number (0 turns every image into one value)")
    return problems


def checked(node: Any, changes: Iterable[Any]) -> tuple[SetParametersResult, dict[str, Any]]:
    """Judge changed rclpy Parameters; returns the result for rclpy and the full set of values as it would be."""
    values = read(node) | {p.name: p.value for p in changes if p.name in BY_NAME}
    problems = check(values)
    return SetParametersResult(successful=not problems, reason="; ".join(problems)), values
