"""Every parameter of the segment node: one table, from which they are declared, checked, read and documented."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.exceptions import InvalidParameterTypeException

from sartm_core.preprocess.thermal import THERMAL_MODES
from sartm_core.scene.temperature import THERMAL_UNITS
from sartm_core.support.text import plain
from sartm_ros.errors import ParameterError
from sartm_ros.node import parameter_checks
from sartm_ros.node.parameter_checks import IDENTITY, SHOWN
from sartm_ros.node.spec import ACTIVATE, CONFIGURE, LIVE, RELOAD, START, Spec, Value
from sartm_ros.pairing.policies import POLICIES

__all__ = ["BY_NAME", "MODEL", "SPECS", "ParameterError", "Spec", "check", "checked", "declare", "overrides", "read"]

RELIABILITY = ("best_effort", "reliable")
TRANSPORT = ("raw", "compressed")
NORMALIZATIONS = ("checkpoint", *THERMAL_MODES)
PRECISIONS = ("auto", "fp32", "bf16", "fp16", "int8")
ENGINES = ("auto", "torch", "torch-compile", "openvino", "onnxruntime", "tensorrt")
"""auto and the keys of `sartm_core.runtime.engines.ENGINES`, named here because importing that takes seconds; a test
holds them equal."""
AHEAD = ("auto", "always", "never")
"""Not on and off: YAML reads these as true and false."""
FALLBACKS = ("smaller", "cpu", "inactive")
REGISTRATIONS = ("none", "homography", "scale_shift", "depth")
EXTRINSICS = ("parameter", "tf")
ANY = (-1e6, 1e6)
DAY = (-86400.0, 86400.0)
PIXELS = (0, 4096)
UNMOVED = [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0]
CANCELS = "Matters for temperatures, range and unit; with the others, a positive scale and any offset cancel out."
GONE = "Silence that makes a camera count as gone, seconds; a slow camera gets 2.5 of its periods."
BACK = "Seconds a camera that was gone must send without a gap before its frames are used again."
FROZEN = "Seconds of identical frames, while the other camera's change, that make a camera count as frozen; 0: never."
OOM = "When GPU memory runs out: smaller (fewer pairs at a time, a smaller input, then the CPU), cpu, or inactive."
REMAP = "Other ids for the model's classes, e.g. 'bike=person, car=10, curve=ignore'. 'none': the model's own."
STRANGERS = "Let ~/reload and adapter change to weights with other classes; who reads the masks must know."
HOMOGRAPHY = "Row-major 3x3 matrix from thermal to rgb pixels (homography; depth, where there is no depth)."
EXTRINSIC = "Where rgb_to_thermal comes from: the parameter, or TF between the frame_ids, where tf2_ros is installed."
RGB_TO_THERMAL = "Row-major 4x4 matrix from points in the rgb optical frame to the thermal one, metres (depth)."
OCCLUSION = "Parallax, rgb pixels, above which the farther of two points on one thermal pixel is hidden (depth)."
SELECTED = "Classes that are 255 in selected_mask, by their names in the weights."
LOADING = "loading the model, within load_timeout; a first start compiles its network, which is kept"
UNIT = "What thermal values are after scale and offset; unknown: no temperatures are told."
EMISSIVITY = "Of what is looked at; 1: the camera's temperatures as they are."
REFLECTED = "Temperature of what the surfaces reflect, kelvin; matters for an emissivity below 1."
HOT = "Kelvin above which something is a hot spot and raises alarm; 0: off. Needs thermal.unit."
COOLS = "Kelvin below alarm.temperature at which a hot spot ends; above the camera's noise."
SPOT = "Thermal pixels of a hot spot at least; single bad pixels are no fire."
SMALL = "Regions of fewer pixels are no object."
NEAR = "Largest time between a depth image and the rgb frame, seconds."
DEPTH_WAIT = "Longest wait for a depth image that is due, seconds; the mask of that frame is later by it."
RECTIFIED = "Whether {} images are rectified (image_proc): then P of camera_info holds, and no distortion."
INFO_URL = "File (read once) that stands in for {}/camera_info, which some drivers do not publish; see registration.md."
URLS = "'none', a path, file:///PATH or package://PACKAGE/PATH"
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
    Spec(
        "precision", "auto", RELOAD,
        "Number format of the model; auto: the fastest that agrees. int8 is made at the first start, in minutes.",
        PRECISIONS,
    ),
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
    Spec("selected_classes", ["none"], LIVE, SELECTED, form="names of classes, or [none]"),
    Spec("objects.min_pixels", 50, LIVE, SMALL, bounds=(1, 1_000_000)),
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
    Spec("thermal.unit", "unknown", LIVE, UNIT, tuple(THERMAL_UNITS)),
    Spec("thermal.emissivity", 1.0, LIVE, EMISSIVITY, bounds=(0.01, 1)),
    Spec("thermal.reflected", 293.15, LIVE, REFLECTED, bounds=(1, 5000)),
    Spec("alarm.temperature", 0.0, LIVE, HOT, bounds=(0, 5000)),
    Spec("alarm.hysteresis", 2.0, LIVE, COOLS, bounds=(0, 1000)),
    Spec("alarm.min_pixels", 4, LIVE, SPOT, bounds=(1, 1_000_000)),
    *(Spec(f"thermal.crop_{side}", 0, LIVE, CROP, bounds=PIXELS) for side in ("top", "bottom", "left", "right")),
    Spec("registration.mode", "none", LIVE, "How the thermal view is laid over the rgb view.", REGISTRATIONS),
    Spec("registration.homography", IDENTITY, LIVE, HOMOGRAPHY, form="9 numbers, an invertible matrix"),
    Spec("registration.thermal_size", [0, 0], LIVE, OF_SIZE.format("thermal"), form="2 integers: width, height"),
    Spec("registration.rgb_size", [0, 0], LIVE, OF_SIZE.format("rgb"), form="2 integers: width, height"),
    Spec("registration.scale", [1.0, 1.0], LIVE, SCALE, form="2 numbers above 0: horizontal, vertical"),
    Spec("registration.shift", [0.0, 0.0], LIVE, SHIFT, form="2 numbers: right, down"),
    Spec("registration.rgb_to_thermal", UNMOVED, LIVE, RGB_TO_THERMAL, form="16 numbers, a rotation and a shift"),
    Spec("registration.extrinsic", "parameter", LIVE, EXTRINSIC, EXTRINSICS),
    Spec("registration.tolerance", 1.5, LIVE, OCCLUSION, bounds=(0.1, 100)),
    Spec("depth.tolerance", 0.02, LIVE, NEAR, bounds=(0, 10)),
    Spec("depth.max_wait", 0.05, LIVE, DEPTH_WAIT, bounds=(0, 10)),
    Spec("rgb_camera_info_url", "none", LIVE, INFO_URL.format("rgb"), form=URLS),
    Spec("thermal_camera_info_url", "none", LIVE, INFO_URL.format("thermal"), form=URLS),
    Spec("rgb_rectified", False, LIVE, RECTIFIED.format("rgb")),
    Spec("thermal_rectified", False, LIVE, RECTIFIED.format("thermal")),
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
        if spec.name in given and override is None:  # YAML's [], which has no type in ROS
            override = nothing(spec)
        value = spec.converted(override)
        try:
            if repr(value) != repr(given.get(spec.name)):  # 1 and 1.0 are equal
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


def nothing(spec: Spec) -> Value:
    """What an empty list stands for. Raises ParameterError for parameters of another type, and of numbers."""
    if isinstance(spec.default, list) and isinstance(spec.default[0], str):
        return spec.default
    raise ParameterError(f"{spec.name}: got an empty list or nothing, expected {spec.values or 'a value'}. {spec.text}")


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
    problems += parameter_checks.alarm(values)
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
