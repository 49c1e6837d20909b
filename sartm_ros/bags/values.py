"""What of the node's parameters matters for a recording: defaults, a parameter file of the node, options on top."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sartm_core.preprocess.thermal import THERMAL_MODES
from sartm_core.support.text import plain
from sartm_core.support.yaml_text import read_yaml
from sartm_ros.bags.storage import BagError
from sartm_ros.node import parameter_checks

DEFAULTS: dict[str, Any] = {
    "checkpoint": "default",
    "adapters": "none",
    "adapter": "checkpoint",
    "sam2": "none",
    "device": "auto",
    "precision": "auto",
    "engine": "auto",
    "input_size": "checkpoint",
    "threads": 0,
    "confidence_threshold": 0.0,
    "class_remap": "none",
    "overlay_alpha": 0.5,
    "sync.tolerance": 0.05,
    "sync.max_wait": 0.05,
    "sync.queue_size": 0,
    "sync.rgb_offset": 0.0,
    "sync.thermal_offset": 0.0,
    "thermal.scale": 1.0,
    "thermal.offset": 0.0,
    "thermal.normalization": "checkpoint",
    "thermal.low": 50.0,
    "thermal.high": 99.0,
    "thermal.crop_top": 0,
    "thermal.crop_bottom": 0,
    "thermal.crop_left": 0,
    "thermal.crop_right": 0,
    "registration.mode": "none",
    "registration.homography": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
    "registration.thermal_size": [0, 0],
    "registration.rgb_size": [0, 0],
    "registration.scale": [1.0, 1.0],
    "registration.shift": [0.0, 0.0],
    "registration.rgb_to_thermal": [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0],
    "registration.extrinsic": "parameter",
    "registration.tolerance": 1.5,
    "depth.tolerance": 0.02,
    "depth.max_wait": 0.05,
    "rgb_camera_info_url": "none",
    "thermal_camera_info_url": "none",
    "rgb_rectified": False,
    "thermal_rectified": False,
    "selected_classes": ["none"],
    "objects.min_pixels": 50,
    "thermal.unit": "unknown",
    "thermal.emissivity": 1.0,
    "thermal.reflected": 293.15,
    "alarm.temperature": 0.0,
    "alarm.hysteresis": 2.0,
    "alarm.min_pixels": 4,
}
"""As in `sartm_ros.node.parameters`, which cannot be imported without ROS; a test holds them equal."""
UNUSED = (
    "warmup", "load_timeout", "oom_fallback", "allow_class_change", "autostart", "rgb_transport", "thermal_transport",
    "qos.rgb.reliability", "qos.rgb.depth", "qos.thermal.reliability", "qos.thermal.depth", "decode_ahead",
    "sync.policy", "degraded.enabled", "degraded.timeout", "degraded.recovery", "frozen_timeout",
    "use_sim_time",
)  # fmt: skip
"""Parameters of the node that mean nothing for a recording."""
CHOICES = {
    "thermal.normalization": ("checkpoint", *THERMAL_MODES),
    "registration.mode": ("none", "homography", "scale_shift", "depth"),
}
PARAMETERS = "ros__parameters"


def read_values(path: Path | None, options: dict[str, Any], depth: bool = False) -> dict[str, Any]:
    """Defaults, a parameter file of the node (`--params-file`) over them, options that are not None over both.

    depth: whether `registration.mode: depth` will do.

    Raises:
        BagError: names the file and the parameter.
    """
    values = DEFAULTS | (from_file(path) if path else {})
    values |= {name: value for name, value in options.items() if value is not None}
    problems = [
        f"{name}: got '{values[name]}', expected one of {', '.join(known)}"
        for name, known in CHOICES.items()
        if values[name] not in known
    ]
    if values["registration.mode"] == "depth" and not depth:
        problems.append("registration.mode: got 'depth', for `segment` only; give homography, scale_shift or none")
    problems += parameter_checks.together(values) + parameter_checks.files(values, values)
    if problems:
        raise BagError("; ".join(problems))
    return values


def from_file(path: Path) -> dict[str, Any]:
    """The parameters in a file, by dotted name, without those that mean nothing here. BagError names file and key."""
    try:
        content = read_yaml(path)
    except (OSError, ValueError) as error:
        raise BagError(f"--params {error}") from error
    nodes = content.values() if isinstance(content, dict) else ()
    sections = [node[PARAMETERS] for node in nodes if isinstance(node, dict) and PARAMETERS in node]
    if len(sections) != 1 or not isinstance(sections[0], dict):
        raise BagError(
            f"--params {path}: {len(sections)} sections with {PARAMETERS}; expected one, as in config/segment.yaml"
        )
    values = {}
    for name, value in flat(sections[0]):
        if name in DEFAULTS:
            values[name] = typed(path, name, value)
        elif name not in UNUSED:
            near = difflib.get_close_matches(name, [*DEFAULTS, *UNUSED], 1)
            raise BagError(
                f"--params {path}: {name}: unknown parameter" + (f"; did you mean {near[0]}?" if near else "")
            )
    return values


def flat(section: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted name, value) of nested sections."""
    for key, value in section.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def typed(path: Path, name: str, value: Any) -> Any:
    """The value in the type of its default; whole numbers will do for floats. BagError when it is of another type."""
    default = DEFAULTS[name]
    many = value if isinstance(default, list) and isinstance(value, list) else [value]
    one = default[0] if isinstance(default, list) else default
    right = all(type(v) is type(one) or (type(one) is float and type(v) is int) for v in many)
    if (
        not right
        or isinstance(default, list) != isinstance(value, list)
        or (isinstance(default, list) and not isinstance(one, str) and len(value) != len(default))
    ):
        raise BagError(f"--params {path}: {name}: got {plain(repr(value))}, expected something like {default!r}")
    converted = [type(one)(v) for v in many]
    return converted if isinstance(default, list) else converted[0]
