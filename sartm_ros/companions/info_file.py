"""`camera_info` for a driver that publishes none: from a file of `camera_calibration` or `sartm calibrate --target`.

Without ROS: recordings have parameters too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from sartm_core.support.yaml_text import read_yaml
from sartm_ros.companions.camera_info import camera
from sartm_ros.companions.topics import RGB_INFO, THERMAL_INFO

PARAMETERS = {RGB_INFO: "rgb_camera_info_url", THERMAL_INFO: "thermal_camera_info_url"}
NONE = "none"
"""Their value for: the topic tells."""
FILE, PACKAGE = "file://", "package://"
"""Beginnings of URLs, as drivers know them; anything else is a path."""
MATRICES = {"distortion_coefficients": 0, "camera_matrix": 9, "rectification_matrix": 9, "projection_matrix": 12}
"""Keys in the file for d, k, r and p -> how many numbers; 0: as many as the model has."""


@dataclass(frozen=True)
class Roi:
    """The whole picture."""

    x_offset: int = 0
    y_offset: int = 0
    width: int = 0
    height: int = 0


@dataclass(frozen=True)
class InfoFile:
    """The fields of a `sensor_msgs/CameraInfo` that a file has."""

    url: str
    width: int
    height: int
    distortion_model: str
    d: tuple[float, ...]
    k: tuple[float, ...]
    r: tuple[float, ...]
    p: tuple[float, ...]
    binning_x: int = 0
    binning_y: int = 0
    roi: Roi = Roi()


def files_of(values: dict[str, Any]) -> dict[str, InfoFile]:
    """What the parameters name, by the topic it stands in for. ValueError names the parameter."""
    found = {}
    for name, parameter in PARAMETERS.items():
        if values[parameter] != NONE:
            try:
                found[name] = read(values[parameter])
            except (OSError, ValueError) as error:
                raise ValueError(f"{parameter}: {error}") from error
    return found


@lru_cache(8)
def read(url: str) -> InfoFile:
    """ValueError or OSError: there is no such file, or no usable camera in it. A file is read once."""
    path = path_of(url)
    values = read_yaml(path)
    try:
        numbers = {key: tuple(float(n) for n in values[key]["data"]) for key in MATRICES}
        size = int(values["image_width"]), int(values["image_height"])
        d, k, r, p = numbers.values()
        found = InfoFile(url, *size, str(values["distortion_model"]), d, k, r, p)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path}: {error} is missing; expected a file as camera_calibration writes it") from error
    for key, count in MATRICES.items():
        if count and len(numbers[key]) != count:
            raise ValueError(f"{path}: got {key} of {len(numbers[key])} numbers, expected {count}")
    for rectified in (False, True):
        try:
            camera(found, rectified)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    return found


def path_of(url: str) -> Path:
    """Of a path, `file:///PATH` or `package://PACKAGE/PATH`."""
    if not url.startswith(PACKAGE):
        return Path(url.removeprefix(FILE)).expanduser()
    from ament_index_python.packages import get_package_share_directory

    package, _, rest = url.removeprefix(PACKAGE).partition("/")
    try:
        return Path(get_package_share_directory(package)) / rest
    except (LookupError, OSError) as error:  # no such package; no ROS workspace sourced
        raise ValueError(f"got {url}, but no package '{package}' is installed here") from error
