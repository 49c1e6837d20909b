"""What is written: the node's parameter file, the same as JSON, and the picture."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from sartm_core.support.files import replacing, write_text
from sartm_ros.calibration.models import Fit
from sartm_ros.calibration.needs import CalibrationError
from sartm_ros.calibration.trust import Quality, Sizes

PARAMETERS, JSON, PICTURE, REFUSED = "registration.yaml", "registration.json", "overlay.png", "refused.png"
"""File names below --output; the last one is the picture of a registration that was refused."""

DIGITS = 12
"""Significant digits of the numbers that are written."""


@dataclass(frozen=True, eq=False)
class Result:
    """A registration and where it comes from."""

    fit: Fit
    quality: Quality
    sizes: Sizes
    why: str
    """Why this model."""
    method: str
    """`auto`, `points` or `matcher`."""
    inputs: list[str]
    """Names of the frames, and of the points file."""
    command: str
    date: str


def scale_shift(matrix: np.ndarray, sizes: Sizes) -> tuple[list[float], list[float]]:
    """The node's `registration.scale` and `.shift` for a matrix without rotation and perspective.

    They start from the thermal frame stretched over the rgb view and refer to its centre; shift is in rgb pixels.
    """
    scale, shift = [], []
    for axis in range(2):
        thermal, rgb = sizes.thermal[axis], sizes.rgb[axis]
        scale.append(float(matrix[axis, axis] * thermal / rgb))
        shift.append(float(matrix[axis, axis] * (thermal - 1) / 2 + matrix[axis, 2] - (rgb - 1) / 2))
    return scale, shift


def parameters(fit: Fit, sizes: Sizes) -> dict[str, Any]:
    """The `registration.*` parameters, without the prefix."""
    values: dict[str, Any] = {
        "mode": "homography",
        "homography": rounded(fit.matrix.ravel()),
        "thermal_size": list(sizes.thermal),
        "rgb_size": list(sizes.rgb),
    }
    if fit.model == "scale_shift":
        scale, shift = scale_shift(fit.matrix, sizes)
        values |= {"scale": rounded(scale), "shift": rounded(shift)}
    return values


def rounded(values: Iterable[float]) -> list[float]:
    """The numbers to `DIGITS` significant digits."""
    return [float(f"{value:.{DIGITS}g}") for value in values]


def check(fit: Fit, sizes: Sizes) -> None:
    """CalibrationError unless the node will take the matrix."""
    from sartm_core.preprocess.registration import Registration

    try:
        Registration(tuple(float(v) for v in fit.matrix.ravel()), thermal_size=sizes.thermal, rgb_size=sizes.rgb)
    except ValueError as error:
        raise CalibrationError(str(error)) from error


def as_yaml(result: Result) -> str:
    """The text for `--params-file`."""
    lines = [f"# {line}" for line in (*headline(result), f"from: {_one_line(', '.join(result.inputs))}")]
    lines += [
        f"# {result.date}: {_one_line(result.command)}",
        "/**/segment:",
        "  ros__parameters:",
        "    registration:",
    ]
    for name, value in parameters(result.fit, result.sizes).items():
        lines.append(f"      {name}: {_value(value)}")
    if result.fit.model == "scale_shift":
        lines.append("      # mode: scale_shift with these two is the same, and easier to adjust by hand")
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_value(v) for v in value)}]"
    # Always a point, never an exponent: ROS refuses lists of integers and floats, YAML 1.1 takes 1e-5 for text
    return np.format_float_positional(value, trim="0") if isinstance(value, float) else str(value)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def headline(result: Result) -> list[str]:
    """The numbers in words."""
    q = result.quality
    what = {"auto": "patches of the grid", "points": "picked points", "matcher": "matches"}[result.method]
    found = f", {q.points} found again" if result.method == "auto" else ""
    return [
        f"{result.fit.model}: residual {q.rms:.2f} px RMS, {q.median:.2f} median, {q.maximum:.2f} max; leave-out error "
        f"{q.leave_out:.2f} px RMS (rgb pixels)",
        f"{q.inliers} inliers of {q.tried} {what}{found}; uncertainty at the worst place of the common view "
        f"{q.doubt:.1f} px",
        result.why,
    ]


def as_json(result: Result) -> str:
    values = {
        "model": result.fit.model,
        "why": result.why,
        "method": result.method,
        "registration": parameters(result.fit, result.sizes),
        "quality": dataclasses.asdict(result.quality),
        "inputs": result.inputs,
        "command": result.command,
        "date": result.date,
    }
    return json.dumps(values, indent=2) + "\n"


def write(result: Result, picture: Any, folder: Path) -> None:
    """All files, each in one step; the parameter file last, so that it never stands beside an older picture."""
    save_picture(picture, folder / PICTURE)
    write_text(folder / JSON, as_json(result))
    text = as_yaml(result)
    yaml.safe_load(text)  # never leave a file that does not parse
    write_text(folder / PARAMETERS, text)
    (folder / REFUSED).unlink(missing_ok=True)


def save_picture(picture: Any, path: Path) -> None:
    """A PNG, in one step."""
    with replacing(path) as temporary:
        picture.save(temporary, "PNG")
