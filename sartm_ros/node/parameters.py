"""Every parameter of the segment node: one table, from which they are declared, checked, read and documented."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.exceptions import InvalidParameterTypeException

from sartm_core.preprocess.thermal import THERMAL_MODES
from sartm_core.support.text import plain
from sartm_ros.errors import ParameterError
from sartm_ros.node import parameter_checks
from sartm_ros.node.parameter_checks import SHOWN
from sartm_ros.pairing.policies import POLICIES

__all__ = ["BY_NAME", "MODEL", "SPECS", "ParameterError", "Spec", "check", "checked", "declare", "overrides", "read"]

LIVE, CONFIGURE, ACTIVATE, START = "live", "at configure", "at activate", "at start"
RELOAD = "at configure or ~/reload"

Value = str | bool | int | float | list[int] | list[float]


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


RELIABILITY = ("best_effort", "reliable")
TRANSPORT = ("raw", "compressed")
NORMALIZATIONS = ("checkpoint", *THERMAL_MODES)
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
ENGINES = ("auto", "torch", "torch-compile", "openvino", "onnxruntime")
"""auto and the keys of `sartm_core.runtime.engines.ENGINES`, named here because importing that takes seconds; a test
holds them equal."""
AHEAD = ("auto", "always", "never")
"""Not on and off: YAML reads these as true and false."""
FALLBACKS = ("smaller", "cpu", "inactive")
REGISTRATIONS = ("none", "homography", "scale_shift")
ANY = (-1e6, 1e6)
DAY = (-86400.0, 86400.0)
PIXELS = (0, 4096)
IDENTITY = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
CANCELS = "Matters for range and unit; with the others, a positive scale and any offset cancel out."
GONE = "Silence that makes a camera count as gone, seconds; a slow camera gets 2.5 of its periods."
BACK = "Seconds a camera that was gone must send without a gap before its frames are used again."
FROZEN = "Seconds of identical frames, while the other camera's change, that make a camera count as frozen; 0: never."
OOM = "When GPU memory runs out: smaller (fewer pairs at a time, a smaller input, then the CPU), cpu, or inactive."
REMAP = "Other ids for the model's classes, e.g. 'bike=person, car=10, curve=ignore'. 'none': the model's own."
STRANGERS = "Let ~/reload and adapter change to weights with other classes; who reads the masks must know."
HOMOGRAPHY = "Row-major 3x3 matrix from thermal to rgb pixels (homography)."
OF_SIZE = "Width and height of the {} images the homography was measured with; 0, 0: of those that come."
SCALE = "Horizontal and vertical size of the thermal view in that of the rgb camera (scale_shift)."
SHIFT = "Shift of the thermal view to the right and down, rgb pixels (scale_shift)."
QUEUE = "Frames of each camera kept for pairing; 0: by the cameras' rates and the waits."
LOAD = "Seconds loading and warm-up may take; then they failed. A first start may compile the model, which is kept."
DECODE = (
    "Convert the next frames while the model works on the last ones. auto: when it runs on a GPU; on a CPU, decoding "
    "frames that newer ones replace takes time from the model."
)
ADAPTERS = "More files like checkpoint, in memory beside it, for the parameter adapter to choose from by their names."
ADAPTER = "Which of the loaded files makes the masks, from the next frame on; other classes need allow_class_change."
CROP = "Pixels cut off the thermal image at this side (telemetry rows)."

SPECS = (
    Spec(
        "checkpoint", "default", RELOAD, "Weights, or an exported model.",
        form="'default' (shipped), the path of a .safetensors, .onnx or .xml file, or hf:OWNER/NAME on the Hub",
    ),
    Spec("adapters", "none", RELOAD, ADAPTERS, form="'none' or FILE, NAME=FILE, ..."),
    Spec("adapter", "checkpoint", LIVE, ADAPTER, form="'checkpoint', or a NAME (else the stem of a FILE) of adapters"),
    Spec("sam2", "none", RELOAD, "Meta's SAM2 file; adapter checkpoints need it.", form="'none' or a path"),
    Spec("device", "auto", RELOAD, "Where the model runs.", form="auto, cpu, cuda or cuda:N"),
    Spec("precision", "auto", RELOAD, "Number format of the model; auto: the fastest that agrees.", PRECISIONS),
    Spec("engine", "auto", RELOAD, "What executes the model; auto: the fastest here that agrees.", ENGINES),
    Spec(
        "input_size", "checkpoint", RELOAD, "Size the model works at.",
        form="'checkpoint' (as trained) or HEIGHTxWIDTH in multiples of 32, as 480x640",
    ),
    Spec("threads", 0, RELOAD, "CPU threads of the model; 0 leaves the library's own choice.", bounds=(0, 256)),
    Spec("warmup", True, RELOAD, "Run the model before the first frame, so that this one is not slow."),
    Spec("load_timeout", 300.0, CONFIGURE, LOAD, bounds=(1, 3600)),
    Spec("oom_fallback", "smaller", LIVE, OOM, FALLBACKS),
    Spec("allow_class_change", False, LIVE, STRANGERS),
    Spec("autostart", True, START, "Configure and activate without a lifecycle manager."),
    Spec("confidence_threshold", 0.0, LIVE, "Pixels of lower confidence (0..1) become 255 in the mask.", bounds=(0, 1)),
    Spec("class_remap", "none", LIVE, REMAP, form="'none' or CLASS=CLASS, CLASS=ID (0..254), CLASS=ignore, ..."),
    Spec("overlay_alpha", 0.5, LIVE, "Weight of the class colour in the overlay.", bounds=(0, 1)),
    Spec("rgb_transport", "raw", ACTIVATE, "Type of rgb/image_raw: Image or CompressedImage.", TRANSPORT),
    Spec("thermal_transport", "raw", ACTIVATE, "Type of thermal/image_raw: Image or CompressedImage.", TRANSPORT),
    Spec("qos.rgb.reliability", "best_effort", ACTIVATE, "Reliability asked of the rgb camera.", RELIABILITY),
    Spec("qos.rgb.depth", 5, ACTIVATE, "Rgb messages the middleware keeps for the node.", bounds=(1, 100)),
    Spec("qos.thermal.reliability", "best_effort", ACTIVATE, "Reliability asked of the thermal camera.", RELIABILITY),
    Spec("qos.thermal.depth", 5, ACTIVATE, "Thermal messages the middleware keeps for the node.", bounds=(1, 100)),
    Spec("decode_ahead", "auto", LIVE, DECODE, AHEAD),
    Spec("sync.policy", "nearest", CONFIGURE, "Pairing; all but nearest need message_filters.", tuple(POLICIES)),
    Spec("sync.tolerance", 0.05, LIVE, "Largest time between the two frames of a pair, seconds.", bounds=(0, 10)),
    Spec("sync.max_wait", 0.05, LIVE, "Longest wait for a better partner, seconds (nearest).", bounds=(0, 10)),
    Spec("sync.queue_size", 0, LIVE, QUEUE, bounds=(0, 1000)),
    Spec("sync.rgb_offset", 0.0, LIVE, "Seconds added to rgb stamps for pairing only.", bounds=DAY),
    Spec("sync.thermal_offset", 0.0, LIVE, "Seconds added to thermal stamps for pairing only.", bounds=DAY),
    Spec("thermal.scale", 1.0, LIVE, f"Thermal value = raw x scale + offset. {CANCELS}", bounds=ANY),
    Spec("thermal.offset", 0.0, LIVE, f"Thermal value = raw x scale + offset. {CANCELS}", bounds=ANY),
    Spec("thermal.normalization", "checkpoint", LIVE, "Thermal values to model input.", NORMALIZATIONS),
    Spec("thermal.low", 50.0, LIVE, "Percentile (0..100) or value (range) that becomes 0.", bounds=ANY),
    Spec("thermal.high", 99.0, LIVE, "Percentile (0..100) or value (range) that becomes 1.", bounds=ANY),
    *(Spec(f"thermal.crop_{side}", 0, LIVE, CROP, bounds=PIXELS) for side in ("top", "bottom", "left", "right")),
    Spec("registration.mode", "none", LIVE, "How the thermal view is laid over the rgb view.", REGISTRATIONS),
    Spec("registration.homography", IDENTITY, LIVE, HOMOGRAPHY, form="9 numbers, an invertible matrix"),
    Spec("registration.thermal_size", [0, 0], LIVE, OF_SIZE.format("thermal"), form="2 integers: width, height"),
    Spec("registration.rgb_size", [0, 0], LIVE, OF_SIZE.format("rgb"), form="2 integers: width, height"),
    Spec("registration.scale", [1.0, 1.0], LIVE, SCALE, form="2 numbers above 0: horizontal, vertical"),
    Spec("registration.shift", [0.0, 0.0], LIVE, SHIFT, form="2 numbers: right, down"),
    Spec("degraded.enabled", True, LIVE, "Go on with one camera while the other one is silent or frozen."),
    Spec("degraded.timeout", 1.0, LIVE, GONE, bounds=(0.05, 60)),
    Spec("degraded.recovery", 0.5, LIVE, BACK, bounds=(0, 60)),
    Spec("frozen_timeout", 0.5, LIVE, FROZEN, bounds=(0, 60)),
)  # fmt: skip

BY_NAME = {spec.name: spec for spec in SPECS}
MODEL = tuple(spec.name for spec in SPECS if spec.applies == RELOAD)
"""Parameters of the model; nodes that share a process share them."""
CAMERA_FILES = ("registration.rgb_camera", "registration.thermal_camera")
"""Of `sartm calibrate --target`, for training and Python; the node hears camera_info."""
FOREIGN = ("cameras_file", "use_sim_time", "qos_overrides.", "start_type_description_service", *CAMERA_FILES)
"""Names (or their beginnings) that are no parameters of the node: of rclpy, of the process around it, of others."""


def declare(node: Any) -> None:
    """Declare every parameter on a node and check the whole set; an integer given for a float is taken as one.

    Raises ParameterError for a value of the wrong type, outside its range, or not among the choices.
    """
    given = overrides(node)
    for spec in SPECS:
        override = given.get(spec.name)
        value = spec.converted(override)
        try:
            if repr(value) != repr(override):  # 1 and 1.0 are equal
                node.declare_parameter(spec.name, value, spec.descriptor(), ignore_override=True)
            else:
                node.declare_parameter(spec.name, spec.default, spec.descriptor())
        except InvalidParameterTypeException:
            found, wanted = type(override).__name__, type(spec.default).__name__
            raise ParameterError(
                f"{spec.name}: got {plain(repr(override), SHOWN)} ({found}), expected a {wanted}. {spec.text}"
            ) from None
        except Exception as error:  # out of range: the exception's type differs between distros
            raise ParameterError(
                f"{spec.name}: got {plain(repr(override), SHOWN)}, refused: {plain(error)}. {spec.text}"
            ) from None
    values = read(node)
    if problems := check(values, set(values)):
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
    """All values by name; lists as lists."""
    values = {spec.name: spec.clamped(node.get_parameter(spec.name).value) for spec in SPECS}
    return {
        name: value if isinstance(value, (str, bool, int, float)) else list(value) for name, value in values.items()
    }


def check(values: dict[str, Any], changed: Iterable[str]) -> list[str]:
    """What is wrong with a full set of values, one sentence each; empty when it can be used. No value makes it raise.

    Files are looked for only when their parameter is among `changed`: what is loaded stays loaded.
    """
    problems = [p for spec in SPECS if (p := spec.problem(values[spec.name]))]
    if problems:
        return problems
    if any(values[spec.name] != spec.default for spec in SPECS if spec.name.startswith("registration.")):
        problems = parameter_checks.registration(values)
    return problems + parameter_checks.together(values) + parameter_checks.files(values, changed)


def checked(node: Any, changes: Iterable[Any]) -> tuple[SetParametersResult, dict[str, Any]]:
    """Judge changed rclpy Parameters; returns the result for rclpy and the full set of values as it would be."""
    specs = {p.name: BY_NAME[p.name] for p in changes if p.name in BY_NAME}
    new = {p.name: (spec := specs[p.name]).clamped(spec.converted(p.value)) for p in changes if p.name in specs}
    old = read(node)
    values = old | {name: list(v) if hasattr(v, "tolist") else v for name, v in new.items()}
    problems = check(values, [name for name in new if values[name] != old[name]])
    return refused("; ".join(problems)) if problems else SetParametersResult(successful=True), values


def refused(why: object) -> SetParametersResult:
    """The answer to a change that cannot be made."""
    return SetParametersResult(successful=False, reason=plain(why))
